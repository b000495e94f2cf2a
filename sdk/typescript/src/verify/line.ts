import { toBytes } from "@aimo/protocol/bytes";
import {
  activitySpan,
  type BilledClaim,
  type Fault,
  isFault,
  judgeReceipt,
  type ReceiptFacts,
  type Rule,
  readEvidence,
  type SignedGroup,
  wasSignerAt,
} from "@aimo/protocol/judgement";
import { requestHashOf } from "@aimo/protocol/receipts";
import { recoverSigner } from "@aimo/protocol/signatures";
import type { Line } from "./parse.ts";
import type { ChainFacts, PostedRow, ProblemKind } from "./types.ts";

/** One thing that is wrong with one receipt. */
export type Finding = { readonly kind: ProblemKind; readonly detail: string };

export type LineContext = {
  readonly userId: number;
  readonly row: Pick<PostedRow, "epoch" | "postedAt">;
  readonly facts: ChainFacts;
};

/** What a broken rule of the chain means to who pays the bill. */
const KINDS: Readonly<Record<Rule, ProblemKind>> = {
  relay: "altered",
  evidence: "altered",
  group: "altered",
  age: "overcharged",
  closing: "unsigned",
  signer: "unsigned",
  future: "unsigned",
  provider: "unsigned",
  stake: "unsigned",
  price: "overcharged",
  cost: "overcharged",
  charge: "overcharged",
};

/**
 * Checks a receipt by itself, as the chain would judge it: the provider's signature, the request it is bound to, the
 * times, the price and the fee. The first thing found wrong is given: what follows from an altered field says nothing
 * more.
 */
export async function checkLine(line: Line, context: LineContext): Promise<Finding | undefined> {
  const { receipt, charge, nonce, bodyHash } = line;
  const { facts, userId, row } = context;
  const claim: BilledClaim = { relayId: facts.relayId, postedAt: row.postedAt, charge, receipt };
  const signed = readEvidence(facts.separator, claim, toBytes(line.evidence));
  if (isFault(signed)) return findingOf(signed);
  const binding = { userId, channelEpoch: row.epoch, nonce, bodyHash };
  if (requestHashOf(binding) !== receipt.requestHash.toLowerCase())
    return {
      kind: "altered",
      detail: "Its request hash does not follow from the user, the epoch, the nonce and the body's hash.",
    };
  const fault = judgeReceipt(claim, signed.group, await readReceiptFacts(claim, signed, facts));
  return fault && findingOf(fault);
}

const findingOf = ({ rule, detail }: Fault): Finding => ({ kind: KINDS[rule], detail });

async function readReceiptFacts(
  { receipt }: BilledClaim,
  { group, digest, signature }: SignedGroup,
  facts: ChainFacts,
): Promise<ReceiptFacts> {
  const { providerId, modelId, priceVersion, issuedAt } = receipt;
  const { from, to } = activitySpan(issuedAt);
  const [provider, wasStaked, signers, price, signer] = await Promise.all([
    facts.providerOf(providerId),
    facts.wasStaked(providerId, from, to),
    facts.signersOf(providerId),
    facts.priceOf(providerId, modelId, priceVersion),
    recoverSigner(digest, signature),
  ]);
  return {
    postWindow: facts.postWindow,
    provider,
    wasStaked,
    wasSigner: wasSignerAt(signers, signer, group.closedAt),
    price,
    feeBps: facts.feeBoundAt(issuedAt),
  };
}
