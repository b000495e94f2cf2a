import { toBytes, toHex } from "@aimo/protocol/bytes";
import {
  buildGroup,
  type GroupTree,
  groupDigest,
  MAX_GROUP_AGE_SECONDS,
  MAX_GROUP_SIZE,
  type ReceiptGroup,
} from "@aimo/protocol/groups";
import { type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { digestOf } from "@aimo/protocol/typed-data";
import { CLOCK_TOLERANCE_SECONDS } from "@aimo/protocol/windows";
import type { Address, Hex } from "viem";
import { SignedGroup } from "../core/signed-group.ts";
import type { Outcome, ProviderKey, SignedDebt } from "../core/types.ts";
import type { Billing, BillingStore, ReceiptJudge } from "./ports.ts";

type Usage = Extract<Outcome, { kind: "usage" }>;

export type BillingParameters = {
  readonly relayId: number;
  /** EIP-712 separator of Settlement. */
  readonly separator: Uint8Array;
  readonly store: BillingStore;
  readonly recover: (digest: Uint8Array, signature: Hex) => Address | undefined;
  /** This relay's key: signs what it owes. */
  readonly signer: Address;
  readonly sign: (digest: Uint8Array) => Hex;
  readonly judge: ReceiptJudge;
  /** What the chain has paid a provider over all time. */
  readonly readPaid: (providerId: number) => Promise<bigint>;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  /** Receipts issued before this would be too old when they are posted; protocol seconds. */
  readonly oldestIssuedAt: () => number;
  readonly log: { warn(fields: object, message: string): void };
};

/** Turns providers' signed groups into bills: only what this relay asked for, only as it was stated. */
export function createBilling(parameters: BillingParameters): Billing {
  const { store, log } = parameters;
  return {
    async onGroup(group, signature, receipts, provider) {
      const miscounted = refuseCount(group, receipts);
      if (miscounted) return { refused: miscounted };
      const digests = receipts.map((receipt) => digestIn(parameters, receipt));
      const tree = buildGroup(digests);
      const refused = refuseGroup(parameters, { group, signature, tree, provider });
      if (refused) return { refused };
      const hashes = digests.map(toHex);
      await beginDebt(parameters, provider);
      const verdicts = await foresee(parameters, { group, receipts, hashes, provider });
      // From here to the cumulative nothing is awaited: another group bills before all of this, or after.
      const signed = new SignedGroup(group, signature, digests);
      for (const [index, receiptHash] of hashes.entries()) {
        const verdict = verdicts.get(receiptHash);
        // Unknown, late or seen before: owed to nobody.
        if (!verdict || !store.expected(receiptHash)) continue;
        if (verdict.fault !== undefined) {
          log.warn({ providerId: provider.id, fault: verdict.fault }, "A receipt was rejected.");
          store.reject(receiptHash, `The provider's receipt was rejected: ${verdict.fault}.`);
          continue;
        }
        store.bill(receiptHash, signed, index);
      }
      return signDebt(parameters, provider);
    },
    async onVoucher(voucher, provider) {
      await beginDebt(parameters, provider);
      if (isOwn(parameters, voucher, provider)) {
        const owed = store.owedTo(provider.id);
        if (voucher.cumulative > owed)
          log.warn(
            { providerId: provider.id, owed: `${owed}`, signed: `${voucher.cumulative}` },
            "The provider shows a voucher of this relay above what its books say: they were lost, and go on from it.",
          );
        store.raiseOwed(provider.id, voucher.cumulative);
      }
      return signDebt(parameters, provider);
    },
  };
}

function isOwn(parameters: BillingParameters, { cumulative, signature }: SignedDebt, provider: ProviderKey) {
  const { recover, signer } = parameters;
  const digest = voucherDigest(parameters, provider, cumulative);
  return recover(digest, signature)?.toLowerCase() === signer.toLowerCase();
}

/** The counter of a debt is the chain's: it begins where that stands, also when this relay's books are empty. */
async function beginDebt({ store, readPaid }: BillingParameters, { id }: ProviderKey): Promise<void> {
  if (!store.knowsDebt(id)) store.notePaid(id, await readPaid(id));
}

function voucherDigest(
  { separator, relayId }: BillingParameters,
  { id: providerId }: ProviderKey,
  cumulative: bigint,
): Uint8Array {
  return digestOf(separator, "ProviderVoucher", { relayId, providerId, cumulative });
}

/** A voucher over all that is owed now, signed when that is on disk. */
async function signDebt(parameters: BillingParameters, provider: ProviderKey): Promise<SignedDebt> {
  const { store, sign } = parameters;
  // Read before the wait: what is billed meanwhile is not on disk when it ends.
  const cumulative = store.owedTo(provider.id);
  await store.flushed();
  return { cumulative, signature: sign(voucherDigest(parameters, provider, cumulative)) };
}

/** The receipt's digest: the one that was judged when its numbers were stated, where they are the same. */
function digestIn({ store, separator, relayId }: BillingParameters, receipt: UsageReceipt): Uint8Array {
  const stated = store.statedFor(receipt.requestHash);
  const usage = stated && store.expected(stated)?.usage;
  const isKnown = usage && receipt.relayId === relayId && isStated(receipt, usage);
  return isKnown ? toBytes(stated) : usageDigest(separator, receipt);
}

/** Whether the receipt has every number of the statement for its request. */
function isStated(receipt: UsageReceipt, { providerId, modelId, priceVersion, statement }: Usage): boolean {
  const { issuedAt, units, cost, responseHash } = statement;
  return (
    receipt.providerId === providerId &&
    receipt.modelId === modelId &&
    receipt.priceVersion === priceVersion &&
    receipt.issuedAt === issuedAt &&
    receipt.units.length === units.length &&
    receipt.units.every((count, slot) => count === units[slot]) &&
    receipt.cost.toString() === cost &&
    receipt.responseHash === responseHash
  );
}

type Foreseen = {
  readonly group: ReceiptGroup;
  readonly receipts: readonly UsageReceipt[];
  readonly hashes: readonly Hex[];
  readonly provider: ProviderKey;
};

/**
 * What speaks against each receipt that is waited for: what this relay knows of the request, then what the chain would
 * say. A relay answers with its bond for what it posts, so what the chain would not take is not billed.
 */
async function foresee(
  parameters: BillingParameters,
  { group, receipts, hashes, provider }: Foreseen,
): Promise<ReadonlyMap<Hex, { readonly fault: string | undefined }>> {
  const verdicts = new Map<Hex, { fault: string | undefined }>();
  const cases = [];
  const sound: Hex[] = [];
  for (const [index, receipt] of receipts.entries()) {
    const receiptHash = hashes[index] ?? "0x";
    const expected = parameters.store.expected(receiptHash);
    // A provider may neither sign, nor spoil, what another one waits for.
    if (expected?.usage.providerId !== provider.id) continue;
    const fault = faultOf(parameters, { receipt, usage: expected.usage, group });
    verdicts.set(receiptHash, { fault });
    if (fault !== undefined) continue;
    cases.push({ receipt, group, signer: provider.signer, charge: expected.usage.charge });
    sound.push(receiptHash);
  }
  if (cases.length === 0) return verdicts;
  const faults = await parameters.judge.judge(cases);
  for (const [index, receiptHash] of sound.entries()) verdicts.set(receiptHash, { fault: faults[index] });
  return verdicts;
}

type GroupParts = {
  readonly group: ReceiptGroup;
  readonly signature: Hex;
  readonly tree: GroupTree;
  readonly provider: ProviderKey;
};

function refuseCount({ count }: ReceiptGroup, { length }: readonly UsageReceipt[]): string | undefined {
  if (length > MAX_GROUP_SIZE) return `the group has ${length} receipts; ${MAX_GROUP_SIZE} at most`;
  return length === 0 || count !== length
    ? `the group counts ${count} receipts and has ${length}`
    : undefined;
}

function refuseGroup(
  { relayId, separator, recover, protocolNow }: BillingParameters,
  parts: GroupParts,
): string | undefined {
  const { group, signature, tree, provider } = parts;
  if (group.relayId !== relayId || group.providerId !== provider.id)
    return "the group is between other parties";
  if (group.closedAt > protocolNow() + CLOCK_TOLERANCE_SECONDS) return "the group is from the future";
  if (tree.root !== group.root) return "the root is not that of the receipts";
  const signer = recover(groupDigest(separator, group), signature);
  if (signer?.toLowerCase() !== provider.signer.toLowerCase())
    return "the signature is not by the provider's registered key";
  return undefined;
}

type ReceiptParts = { readonly receipt: UsageReceipt; readonly usage: Usage; readonly group: ReceiptGroup };

/** The digest binds the receipt to what was stated; this checks what the statement did not carry. */
function faultOf(
  { relayId, oldestIssuedAt }: BillingParameters,
  { receipt, usage, group }: ReceiptParts,
): string | undefined {
  if (receipt.relayId !== relayId || receipt.providerId !== usage.providerId)
    return "it is between other parties";
  if (receipt.modelId !== usage.modelId || receipt.priceVersion !== usage.priceVersion)
    return "model or price version differ";
  if (receipt.requestHash !== usage.requestHash) return "it is for another request";
  if (receipt.responseHash !== usage.statement.responseHash) return "it is for another response";
  if (receipt.cost !== BigInt(usage.statement.cost) || receipt.cost > usage.charge)
    return "the cost differs from what was stated";
  if (receipt.issuedAt > group.closedAt || group.closedAt > receipt.issuedAt + MAX_GROUP_AGE_SECONDS)
    return "its time does not fit the group's";
  if (receipt.issuedAt < oldestIssuedAt()) return "it is too old to be posted in time";
  return undefined;
}
