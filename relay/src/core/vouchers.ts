import { AimoError, type ErrorDetails } from "@aimo/protocol/errors";
import type { SignedVoucher } from "@aimo/protocol/vouchers";
import type { Address } from "viem";

/** What a client needs to sign the voucher that its request lacks. pUSD. */
export type VoucherState = {
  readonly userId: number;
  readonly epoch: number;
  readonly sessionKey: Address;
  readonly charged: bigint;
  readonly pending: bigint;
  readonly held: bigint;
  /** The highest one that the relay has. */
  readonly highest: SignedVoucher | undefined;
};

/** store/: SIGNED channels and what was promised for them. */
export interface VoucherBook {
  /** Undefined: the channel is METERED, or not known. `spent`: what the chain has debited, pUSD. */
  voucherStateOf(
    userId: number,
  ): (VoucherState & { readonly spent: bigint; readonly free: bigint }) | undefined;
  takeVoucher(userId: number, voucher: SignedVoucher): void;
  /** The highest one of this epoch; undefined when it is METERED. */
  voucherOf(userId: number, epoch: number): SignedVoucher | undefined;
}

type Totals = Pick<VoucherState, "charged" | "pending" | "held">;

/** The cumulative that admits one more hold: all that was charged or may be, this request's worst case included. */
export function neededVoucher({ charged, pending, held }: Totals, hold: bigint): bigint {
  return charged + pending + held + hold;
}

/** The corrective 402: all that a client needs to sign and to repeat the request at once. */
export function voucherError(
  code: "voucher_required" | "voucher_too_low" | "voucher_invalid",
  state: VoucherState,
  { hold, message, reason }: { readonly hold: bigint; readonly message?: string; readonly reason?: string },
): AimoError {
  return new AimoError(code, {
    ...(message === undefined ? {} : { message }),
    param: "aimo-voucher",
    details: { ...(reason === undefined ? {} : { reason }), ...stateDetails(state, hold) },
  });
}

function stateDetails(state: VoucherState, hold: bigint): ErrorDetails {
  const { userId, epoch, sessionKey, charged, pending, held, highest } = state;
  return {
    user_id: userId,
    epoch,
    session_key: sessionKey,
    charged_pusd: charged,
    pending_pusd: pending,
    held_pusd: held,
    hold_pusd: hold,
    needed_pusd: neededVoucher(state, hold),
    voucher_pusd: highest?.cumulative ?? 0n,
    // With the signature the client can tell its own promise from a relay's claim.
    ...(highest === undefined ? {} : { voucher_signature: highest.signature }),
  };
}
