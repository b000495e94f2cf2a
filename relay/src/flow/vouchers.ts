import { formatUsd } from "@aimo/protocol/units";
import { highestPostable, parseVoucher, type SignedVoucher, voucherDigest } from "@aimo/protocol/vouchers";
import type { Address, Hex } from "viem";
import { type VoucherBook, type VoucherState, voucherError } from "../core/vouchers.ts";

/** Lets a request on a SIGNED channel through to its hold. */
export interface VoucherGate {
  /**
   * Takes in the voucher of a request that is about to be held for. Returns at once for METERED channels. Throws
   * `voucher_required` and `voucher_invalid` with all that is needed to sign; whether the highest voucher covers the
   * hold is judged by the ledger, with the hold itself. `signer`: as another process of this relay found it.
   */
  admit(userId: number, text: string | undefined, hold: bigint, signer?: VoucherSigner): void;
}

/** Whose key signed a voucher; null: no key did. */
export type VoucherSigner = Address | null;

export type VoucherSignatures = {
  readonly relayId: number;
  /** EIP-712 separator of Settlement. */
  readonly separator: Uint8Array;
  readonly recover: (digest: Uint8Array, signature: Hex) => Address | undefined;
};

export type VoucherGateParameters = VoucherSignatures & {
  readonly book: Pick<VoucherBook, "voucherStateOf" | "takeVoucher">;
};

/**
 * Vouchers are checked in the request's own turn, by native recovery: about as long as the rest of a request takes, and
 * far below what a worker thread would add to it (`npm run bench -- vouchers`). Processes without books find the signer
 * before they ask (`signerOf`).
 */
export function createVoucherGate(parameters: VoucherGateParameters): VoucherGate {
  const { book } = parameters;
  return {
    admit(userId, text, hold, signer) {
      const state = book.voucherStateOf(userId);
      // The ledger says better than a voucher could why a channel without room for the hold is not served.
      if (!state || state.free < hold) return;
      if (text === undefined) throw voucherError("voucher_required", state, { hold });
      const voucher = parseVoucher(text);
      if (!voucher) throw invalid(state, hold, "format", "The voucher is not `epoch:cumulative:signature`.");
      const { highest } = state;
      // Was checked when it came first: a client signs anew only when it needs more.
      const isKnown = highest?.cumulative === voucher.cumulative && highest.signature === voucher.signature;
      if (isKnown && voucher.epoch === state.epoch) return;
      refuse(parameters, { state, voucher, hold, signer });
      book.takeVoucher(userId, voucher);
    },
  };
}

type Offered = {
  readonly state: VoucherState & { readonly spent: bigint };
  readonly voucher: SignedVoucher;
  readonly hold: bigint;
  readonly signer: VoucherSigner | undefined;
};

/** Finds whose key signed a voucher for a user's channel: the dear part of checking it. */
export function signerOf(
  { relayId, separator, recover }: VoucherSignatures,
  userId: number,
  { epoch: channelEpoch, cumulative, signature }: SignedVoucher,
): VoucherSigner {
  return recover(voucherDigest(separator, { relayId, userId, channelEpoch, cumulative }), signature) ?? null;
}

function refuse(parameters: VoucherGateParameters, { state, voucher, hold, signer }: Offered): void {
  const { userId, epoch, sessionKey, spent } = state;
  const { cumulative } = voucher;
  if (voucher.epoch !== epoch)
    throw invalid(
      state,
      hold,
      "epoch",
      `The voucher is for epoch ${voucher.epoch}; the channel is in ${epoch}.`,
    );
  const most = highestPostable(spent);
  if (cumulative > most)
    throw invalid(state, hold, "amount", `A voucher above ${formatUsd(most)} USD cannot be posted.`);
  const by = signer === undefined ? signerOf(parameters, userId, voucher) : signer;
  if (by?.toLowerCase() === sessionKey.toLowerCase()) return;
  throw invalid(state, hold, "signature", "The voucher is not signed by the channel's session key.");
}

type Reason = "format" | "epoch" | "amount" | "signature";

const invalid = (state: VoucherState, hold: bigint, reason: Reason, message: string) =>
  voucherError("voucher_invalid", state, { hold, reason, message });
