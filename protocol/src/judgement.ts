import type { Address, Hex } from "viem";
import {
  decodeEvidence,
  type Evidence,
  groupDigest,
  groupRootFrom,
  MAX_GROUP_AGE_SECONDS,
  type ReceiptGroup,
} from "./groups.ts";
import { type BoundBodyHash, requestHashOf, type UsageReceipt, usageDigest } from "./receipts.ts";
import { chargeBound, exactCost, type Prices } from "./units.ts";
import { CLOCK_TOLERANCE_SECONDS, PRICE_GRACE_SECONDS } from "./windows.ts";

/**
 * Whether a receipt is what a relay may bill: the twin of contracts/libraries/Judgement.sol, held to the same vectors.
 * Relays judge before they bill, so that an honest one can never be slashed; users and watchers judge what was billed.
 * Pure: what the chain knows comes as facts. Nothing here throws for anything that a receipt or its evidence says.
 * Times are protocol seconds, amounts pUSD.
 */

/** What is wrong. Every rule but `cost` and `charge` makes the whole receipt false. */
export type Rule =
  | "relay" // it is a receipt for another relay
  | "evidence" // the evidence cannot be read, or does not reach its root
  | "group" // the group is of another relay or provider than the receipt
  | "age" // it was issued too long before it was billed
  | "closing" // its group was closed before it was issued, or too long after
  | "signer" // the group is not signed by a key that the provider had when it was closed
  | "future" // its group was closed after it was billed
  | "provider" // the provider was not registered, or had left
  | "stake" // the provider had too little stake
  | "price" // there is no such price version, or it was not in force
  | "cost" // the cost is above units x price
  | "charge"; // the charge is above cost and fee

/** `allowed`: what might have been charged. `loss`: what the user was charged too much, which may be nothing. pUSD. */
export type Fault = {
  readonly rule: Rule;
  /** A sentence for people. */
  readonly detail: string;
  readonly allowed: bigint;
  readonly loss: bigint;
};

/** A receipt as a relay billed it, or is about to. */
export type BilledClaim = {
  readonly relayId: number;
  /** When it was posted; before that: now. */
  readonly postedAt: number;
  readonly charge: bigint;
  readonly receipt: UsageReceipt;
};

/** A price version. `effectiveUntil`: when the next one took over; undefined while it is the newest. */
export type PriceTerm = {
  readonly prices: Prices;
  readonly effectiveFrom: number;
  readonly effectiveUntil: number | undefined;
};

/** What the chain knows about a receipt. */
export type ReceiptFacts = {
  /** T_POST, seconds. */
  readonly postWindow: number;
  /** Undefined: no such provider. `deactivatedAt`: 0 while it has not left. */
  readonly provider: { readonly registeredAt: number; readonly deactivatedAt: number } | undefined;
  /** Whether the provider had the minimum stake at some time of `activitySpan(issuedAt)`. */
  readonly wasStaked: boolean;
  /** Whether who signed the group had the provider's key when it was closed. */
  readonly wasSigner: boolean;
  /** The version that the receipt names. Undefined: there is none. */
  readonly price: PriceTerm | undefined;
  /** The relay's fee for a request of that time: see `feeBoundAt`. Basis points. */
  readonly feeBps: number;
};

/** A group that a receipt is in, and what its provider must have signed. */
export type SignedGroup = {
  readonly group: ReceiptGroup;
  /** EIP-712 digest, 32 bytes. */
  readonly digest: Uint8Array;
  readonly signature: Hex;
};

/** A provider counts as active if it was so at some time of this span: nodes act on safe blocks, and clocks differ. */
export function activitySpan(issuedAt: number): { readonly from: number; readonly to: number } {
  return { from: Math.max(0, issuedAt - PRICE_GRACE_SECONDS), to: issuedAt + CLOCK_TOLERANCE_SECONDS };
}

/** A fee of a relay and since when it holds. The first one: from 0. */
export type RelayFee = { readonly bps: number; readonly from: number };

/** What the registry says of a relay, as a history of two. */
export function feesOf(relay: {
  readonly feeCurBps: number;
  readonly feePrevBps: number;
  readonly feeChangedAt: number;
}): readonly RelayFee[] {
  return [
    { bps: relay.feePrevBps, from: 0 },
    { bps: relay.feeCurBps, from: relay.feeChangedAt },
  ];
}

/**
 * Highest fee for a request of that time, basis points. Around a change either of the two; what was issued well before it
 * knows only the old one, or a relay could raise its fee for what it billed already. `fees` are in order of time.
 */
export function feeBoundAt(fees: readonly RelayFee[], issuedAt: number): number {
  const allowed = fees.filter(({ from }, index) => {
    const until = fees[index + 1]?.from ?? Number.POSITIVE_INFINITY;
    return from <= issuedAt + CLOCK_TOLERANCE_SECONDS && issuedAt < until + PRICE_GRACE_SECONDS;
  });
  return Math.max(0, ...allowed.map(({ bps }) => bps));
}

/** The group of a receipt, out of its evidence; or what is wrong with that. Who signed it is for the caller to find out. */
export function readEvidence(
  separator: Uint8Array,
  { receipt, charge }: Pick<BilledClaim, "receipt" | "charge">,
  evidence: Uint8Array,
): SignedGroup | Fault {
  const fault = (rule: Rule, detail: string) => falseReceipt(charge, rule, detail);
  let decoded: Evidence;
  let digest: Uint8Array;
  try {
    decoded = decodeEvidence(evidence);
    // fields too wide for their types are in no receipt that was signed
    digest = usageDigest(separator, receipt);
  } catch {
    return fault("evidence", "Its evidence cannot be read.");
  }
  const { group, index, path, signature } = decoded;
  if (group.relayId !== receipt.relayId || group.providerId !== receipt.providerId)
    return fault("group", "Its evidence is from a group of another relay or provider.");
  if (groupRootFrom(digest, { index, count: group.count, path }) !== group.root)
    return fault("evidence", "It is not the receipt that the provider signed.");
  return { group, digest: groupDigest(separator, group), signature };
}

/** True for what is wrong, false for what was read. */
export function isFault(value: SignedGroup | Fault): value is Fault {
  return "rule" in value;
}

function falseReceipt(charge: bigint, rule: Rule, detail: string): Fault {
  return { rule, detail, allowed: 0n, loss: charge };
}

/**
 * What is wrong with a billed receipt whose group was read, or nothing. The first rule that it breaks; when both the cost
 * and the charge are too high, `cost`, and the loss of both.
 */
export function judgeReceipt(
  claim: BilledClaim,
  group: Pick<ReceiptGroup, "closedAt">,
  facts: ReceiptFacts,
): Fault | undefined {
  const found = judgeRelay(claim) ?? judgeSigning(claim, group, facts) ?? judgeActivity(claim, facts);
  if (found) return falseReceipt(claim.charge, ...found);
  return judgeAmounts(claim, facts);
}

type Finding = readonly [rule: Rule, detail: string];

function judgeRelay({ receipt, relayId }: BilledClaim): Finding | undefined {
  if (receipt.relayId === relayId) return undefined;
  return ["relay", `It is a receipt for relay ${receipt.relayId}, not ${relayId}.`];
}

function judgeSigning(
  { receipt, postedAt }: BilledClaim,
  { closedAt }: Pick<ReceiptGroup, "closedAt">,
  { postWindow, provider, wasSigner }: ReceiptFacts,
): Finding | undefined {
  const { issuedAt, providerId } = receipt;
  if (!provider) return ["provider", `There is no provider ${providerId}.`];
  if (!wasSigner)
    return [
      "signer",
      `The group's signature is not by a key that provider ${providerId} had at ${closedAt}.`,
    ];
  if (closedAt < issuedAt || closedAt > issuedAt + MAX_GROUP_AGE_SECONDS)
    return ["closing", `It was accepted at ${issuedAt} but signed at ${closedAt}.`];
  if (closedAt > postedAt + CLOCK_TOLERANCE_SECONDS)
    return ["future", `It was signed at ${closedAt}, after it was billed at ${postedAt}.`];
  if (issuedAt + postWindow < postedAt)
    return ["age", `It was accepted at ${issuedAt}, too long before ${postedAt} to be billed.`];
  return undefined;
}

function judgeActivity(
  { receipt: { providerId, issuedAt } }: BilledClaim,
  { provider, wasStaked }: ReceiptFacts,
): Finding | undefined {
  const { from, to } = activitySpan(issuedAt);
  if (!provider || provider.registeredAt > to)
    return ["provider", `Provider ${providerId} was not registered at ${issuedAt}.`];
  if (provider.deactivatedAt !== 0 && provider.deactivatedAt < from)
    return ["provider", `Provider ${providerId} left at ${provider.deactivatedAt}, before ${issuedAt}.`];
  return wasStaked
    ? undefined
    : ["stake", `Provider ${providerId} had less than the minimum stake at ${issuedAt}.`];
}

function judgeAmounts({ receipt, charge }: BilledClaim, { price, feeBps }: ReceiptFacts): Fault | undefined {
  const { providerId, modelId, priceVersion, issuedAt, units, cost } = receipt;
  const name = `price version ${priceVersion} of provider ${providerId} for model ${modelId}`;
  if (!price) return falseReceipt(charge, "price", `There is no ${name}.`);
  if (!isInForce(price, issuedAt))
    return falseReceipt(charge, "price", `The ${name} was not in force at ${issuedAt}.`);
  const priced = exactCost(units, price.prices);
  const allowed = chargeBound(cost < priced ? cost : priced, feeBps);
  const loss = charge > allowed ? charge - allowed : 0n;
  if (cost > priced) {
    const detail = `It costs ${cost} pUSD; its units at the registered price cost ${priced}.`;
    return { rule: "cost", detail, allowed, loss };
  }
  if (loss === 0n) return undefined;
  const detail = `It is charged ${charge} pUSD; cost and the relay's fee allow ${allowed}.`;
  return { rule: "charge", detail, allowed, loss };
}

function isInForce({ effectiveFrom, effectiveUntil }: PriceTerm, issuedAt: number): boolean {
  const until = effectiveUntil ?? Number.POSITIVE_INFINITY;
  return effectiveFrom <= issuedAt && issuedAt < until + PRICE_GRACE_SECONDS;
}

/** What a provider's receipt costs beyond what it may ask, pUSD: its stake answers for that. 0: nothing. */
export function providerExcess(
  { units, cost, issuedAt }: UsageReceipt,
  price: PriceTerm | undefined,
): bigint {
  if (!price || !isInForce(price, issuedAt)) return cost;
  const priced = exactCost(units, price.prices);
  return cost > priced ? cost - priced : 0n;
}

/** Whether a request hashes to the receipt's requestHash and is of somebody else, or of another epoch, than was billed. */
export function isForeignRequest(
  request: BoundBodyHash,
  receipt: Pick<UsageReceipt, "requestHash">,
  billed: { readonly userId: number; readonly epoch: number },
): boolean {
  const isIts = requestHashOf(request) === receipt.requestHash.toLowerCase();
  return isIts && (request.userId !== billed.userId || request.channelEpoch !== billed.epoch);
}

/** A key of a provider: valid from the first second to before the second. */
export type SignerTerm = {
  readonly key: Address;
  readonly validFrom: number;
  readonly validUntil: number;
};

/** Whether a key was one of these at a time. */
export function wasSignerAt(
  terms: readonly SignerTerm[],
  signer: Address | undefined,
  time: number,
): boolean {
  return terms.some(
    ({ key, validFrom, validUntil }) =>
      key.toLowerCase() === signer?.toLowerCase() && validFrom <= time && time < validUntil,
  );
}
