import { type Address, isAddress, isHex } from "viem";
import type { AimoError } from "../errors.ts";

/** What a relay's corrective 402 says. pUSD. */
export type VoucherDemand = {
  readonly userId: number;
  readonly epoch: number;
  readonly sessionKey: Address;
  /** Charged, waiting for the provider's signature, and held for requests in flight: all that is claimed already. */
  readonly claimed: bigint;
  /** What this request is held for. */
  readonly hold: bigint;
  readonly needed: bigint;
  /** The highest voucher that the relay has. */
  readonly highest: bigint;
  readonly signature: `0x${string}` | undefined;
};

const CODES: readonly string[] = ["voucher_required", "voucher_too_low", "voucher_invalid"];

/** Reads a relay's demand for a voucher. Undefined: the error is another one, or does not add up. */
export function readDemand({ code, status, metadata }: AimoError): VoucherDemand | undefined {
  if (status !== 402 || !CODES.includes(code)) return undefined;
  const [userId, epoch, sessionKey] = [metadata["user_id"], metadata["epoch"], metadata["session_key"]];
  const amounts = ["charged_pusd", "pending_pusd", "held_pusd", "hold_pusd", "voucher_pusd"].map((name) =>
    amountOf(metadata[name]),
  );
  const [charged, pending, held, hold, highest] = amounts;
  if (charged === undefined || pending === undefined || held === undefined) return undefined;
  if (hold === undefined || highest === undefined) return undefined;
  if (typeof userId !== "number" || typeof epoch !== "number") return undefined;
  if (typeof sessionKey !== "string" || !isAddress(sessionKey, { strict: false })) return undefined;
  const signature = metadata["voucher_signature"];
  const claimed = charged + pending + held;
  return {
    ...{ userId, epoch, sessionKey, claimed, hold, highest, needed: claimed + hold },
    signature: isHex(signature) ? signature : undefined,
  };
}

/** Decimal digits, at most as many as 96 bits have. */
const amountOf = (value: unknown): bigint | undefined =>
  typeof value === "string" && /^[0-9]{1,29}$/.test(value) ? BigInt(value) : undefined;
