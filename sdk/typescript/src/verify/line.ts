import { toBytes, toHex } from "@aimo/protocol/bytes";
import {
  decodeEvidence,
  type Evidence,
  groupDigest,
  groupRootFrom,
  MAX_GROUP_AGE_SECONDS,
} from "@aimo/protocol/groups";
import { requestHashOf, usageDigest } from "@aimo/protocol/receipts";
import { chargeBound, costOf } from "@aimo/protocol/units";
import { CLOCK_TOLERANCE_SECONDS, PRICE_GRACE_SECONDS } from "@aimo/protocol/windows";
import { type Address, type Hex, recoverAddress } from "viem";
import type { Line } from "./parse.ts";
import type { ChainFacts, PostedRow, ProblemKind } from "./types.ts";

/** One thing that is wrong with one receipt. */
export type Finding = { readonly kind: ProblemKind; readonly detail: string };

export type LineContext = {
  readonly userId: number;
  readonly row: Pick<PostedRow, "epoch" | "postedAt">;
  readonly facts: ChainFacts;
};

/**
 * Checks a receipt by itself against the chain: the provider's signature, the request it is bound to, the times, the
 * price and the fee. The first thing found wrong is given: what follows from an altered field says nothing more.
 */
export async function checkLine(line: Line, context: LineContext): Promise<Finding | undefined> {
  const { receipt } = line;
  const { facts, userId, row } = context;
  if (receipt.relayId !== facts.relayId)
    return altered(`It is a receipt for relay ${receipt.relayId}, not ${facts.relayId}.`);
  const evidence = readEvidence(line, facts);
  if ("kind" in evidence) return evidence;
  const binding = { userId, channelEpoch: row.epoch, nonce: line.nonce, bodyHash: line.bodyHash };
  if (requestHashOf(binding) !== receipt.requestHash.toLowerCase())
    return altered(
      "Its request hash does not follow from the user, the epoch, the nonce and the body's hash.",
    );
  return (
    (await checkSigner(evidence, facts)) ??
    checkTimes(line, evidence, context) ??
    (await checkPrice(line, facts))
  );
}

const altered = (detail: string): Finding => ({ kind: "altered", detail });

/** The evidence, if the receipt as shown is in the group that it speaks of. */
function readEvidence({ evidence, receipt }: Line, facts: ChainFacts): Evidence | Finding {
  let decoded: Evidence;
  try {
    decoded = decodeEvidence(toBytes(evidence));
  } catch {
    return altered("Its evidence cannot be read.");
  }
  const { group, index, path } = decoded;
  if (group.relayId !== receipt.relayId || group.providerId !== receipt.providerId)
    return altered("Its evidence is from a group of another relay or provider.");
  if (
    groupRootFrom(usageDigest(facts.separator, receipt), { index, count: group.count, path }) !== group.root
  )
    return altered("It is not the receipt that the provider signed.");
  return decoded;
}

/** Half the group order: signatures above it are the malleable twins that the chain refuses. */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

async function checkSigner(evidence: Evidence, facts: ChainFacts): Promise<Finding | undefined> {
  const { providerId, closedAt } = evidence.group;
  const signers = await facts.signersOf(providerId);
  if (signers.length === 0) return { kind: "unsigned", detail: `There is no provider ${providerId}.` };
  const signer = await signerOf(toHex(groupDigest(facts.separator, evidence.group)), evidence.signature);
  const isValid = signers.some(
    ({ key, validFrom, validUntil }) =>
      key.toLowerCase() === signer?.toLowerCase() && validFrom <= closedAt && closedAt < validUntil,
  );
  if (isValid) return undefined;
  return {
    kind: "unsigned",
    detail: `The group's signature is not by a key that provider ${providerId} had at ${closedAt}.`,
  };
}

async function signerOf(digest: Hex, signature: Hex): Promise<Address | undefined> {
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  const v = Number.parseInt(signature.slice(130, 132), 16);
  if (s === 0n || s > HALF_ORDER || (v !== 27 && v !== 28)) return undefined;
  try {
    return await recoverAddress({ hash: digest, signature });
  } catch {
    // Not a point of the curve: nobody's signature.
    return undefined;
  }
}

function checkTimes(line: Line, { group }: Evidence, { facts, row }: LineContext): Finding | undefined {
  const { issuedAt } = line.receipt;
  const { closedAt } = group;
  if (closedAt < issuedAt || closedAt > issuedAt + MAX_GROUP_AGE_SECONDS)
    return { kind: "unsigned", detail: `It was accepted at ${issuedAt} but signed at ${closedAt}.` };
  if (closedAt > row.postedAt + CLOCK_TOLERANCE_SECONDS)
    return {
      kind: "unsigned",
      detail: `It was signed at ${closedAt}, after it was billed at ${row.postedAt}.`,
    };
  if (issuedAt < row.postedAt - facts.postWindow)
    return {
      kind: "overcharged",
      detail: `It was accepted at ${issuedAt}, too long before ${row.postedAt} to be billed.`,
    };
  return undefined;
}

async function checkPrice({ receipt, charge }: Line, facts: ChainFacts): Promise<Finding | undefined> {
  const { providerId, modelId, priceVersion, issuedAt, units, cost } = receipt;
  const over = (detail: string): Finding => ({ kind: "overcharged", detail });
  const price = await facts.priceOf(providerId, modelId, priceVersion);
  const name = `price version ${priceVersion} of provider ${providerId} for model ${modelId}`;
  if (!price) return over(`There is no ${name}.`);
  const until = price.effectiveUntil ?? Number.POSITIVE_INFINITY;
  if (issuedAt < price.effectiveFrom || issuedAt >= until + PRICE_GRACE_SECONDS)
    return over(`The ${name} was not in force at ${issuedAt}.`);
  const highest = boundOf(() => costOf(units, price.prices));
  if (highest === undefined || cost > highest)
    return over(
      `It costs ${cost} pUSD; its units at the registered price cost ${highest ?? "no valid amount"}.`,
    );
  const bound = chargeBound(cost, facts.feeBoundAt(issuedAt));
  if (charge > bound) return over(`It is charged ${charge} pUSD; cost and the relay's fee allow ${bound}.`);
  return undefined;
}

function boundOf(compute: () => bigint): bigint | undefined {
  try {
    return compute();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
