import { toHex } from "@aimo/protocol/bytes";
import {
  buildGroup,
  encodeEvidence,
  groupDigest,
  MAX_GROUP_AGE_SECONDS,
  MAX_GROUP_SIZE,
  type ReceiptGroup,
} from "@aimo/protocol/groups";
import { type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { costOf, type Price } from "@aimo/protocol/units";
import { CLOCK_TOLERANCE_SECONDS } from "@aimo/protocol/windows";
import type { Address, Hex } from "viem";
import type { Outcome } from "../core/types.ts";
import type { Billing, BillingStore } from "./ports.ts";

type Usage = Extract<Outcome, { kind: "usage" }>;

export type BillingParameters = {
  readonly relayId: number;
  /** EIP-712 separator of Settlement. */
  readonly separator: Uint8Array;
  readonly store: BillingStore;
  readonly recover: (digest: Uint8Array, signature: Hex) => Address | undefined;
  readonly priceOf: (providerId: number, modelId: number, version: number) => Price | undefined;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  readonly log: { warn(fields: object, message: string): void };
};

/** Turns providers' signed groups into bills: only what this relay asked for, only as it was stated. */
export function createBilling(parameters: BillingParameters): Billing {
  const { separator, store, log } = parameters;
  return {
    async onGroup(group, signature, receipts, provider) {
      const digests = receipts.map((receipt) => usageDigest(separator, receipt));
      const refused = refuseGroup(parameters, { group, signature, digests, provider });
      if (refused) return { refused };
      const { paths } = buildGroup(digests);
      for (const [index, receipt] of receipts.entries()) {
        const digest = digests[index];
        const path = paths[index];
        if (!digest || !path) continue;
        const receiptHash = toHex(digest);
        // Unknown, late or seen before: owed to nobody.
        const expected = store.expected(receiptHash);
        // Nor may a provider sign, or spoil, what another one waits for.
        if (expected?.usage.providerId !== provider.id) continue;
        const fault = faultOf(parameters, { receipt, usage: expected.usage, group });
        if (fault) {
          log.warn({ providerId: provider.id, fault }, "A receipt was rejected.");
          store.reject(receiptHash, `The provider's receipt was rejected: ${fault}.`);
          continue;
        }
        store.bill(receiptHash, receipt, toHex(encodeEvidence({ group, index, path, signature })));
      }
      // Read before the wait: what is billed meanwhile is not on disk when it ends.
      const cumulative = store.owedTo(provider.id);
      await store.flushed();
      return { cumulative };
    },
  };
}

type GroupParts = {
  readonly group: ReceiptGroup;
  readonly signature: Hex;
  readonly digests: readonly Uint8Array[];
  readonly provider: { readonly id: number; readonly signer: Address };
};

function refuseGroup(
  { relayId, separator, recover, protocolNow }: BillingParameters,
  parts: GroupParts,
): string | undefined {
  const { group, signature, digests, provider } = parts;
  if (group.relayId !== relayId || group.providerId !== provider.id)
    return "the group is between other parties";
  if (digests.length > MAX_GROUP_SIZE)
    return `the group has ${digests.length} receipts; ${MAX_GROUP_SIZE} at most`;
  if (digests.length === 0 || group.count !== digests.length)
    return `the group counts ${group.count} receipts and has ${digests.length}`;
  if (group.closedAt > protocolNow() + CLOCK_TOLERANCE_SECONDS) return "the group is from the future";
  if (buildGroup(digests).root !== group.root) return "the root is not that of the receipts";
  const signer = recover(groupDigest(separator, group), signature);
  if (signer?.toLowerCase() !== provider.signer.toLowerCase())
    return "the signature is not by the provider's registered key";
  return undefined;
}

type ReceiptParts = { readonly receipt: UsageReceipt; readonly usage: Usage; readonly group: ReceiptGroup };

/** The digest binds the receipt to what was stated; this checks what the statement did not carry. */
function faultOf(
  { relayId, priceOf }: BillingParameters,
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
  // The price that the request was served at was registered. After a restart the registry may not be read yet.
  const price = priceOf(receipt.providerId, receipt.modelId, receipt.priceVersion);
  if (price && receipt.cost > costOf(receipt.units, price.prices))
    return "the cost is above units times price";
  return undefined;
}
