import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { parseUsd } from "@aimo/protocol/units";
import { type Address, type Hex, isHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { AimoError } from "../errors.ts";

/** Whatever signs for the session key: a local account of viem does. */
export type VoucherSigner = {
  readonly address: Address;
  signTypedData(message: {
    readonly domain: ReturnType<typeof domainOf>;
    readonly types: typeof TYPES;
    readonly primaryType: "SpendVoucher";
    readonly message: {
      readonly relayId: number;
      readonly userId: number;
      readonly channelEpoch: number;
      readonly cumulative: bigint;
    };
  }): Promise<Hex>;
};

export type SessionOptions = {
  /** The channel's session key: its private key, or what signs with it. */
  readonly key: Hex | VoucherSigner;
  /**
   * USD that may be signed for beyond what answers were charged: the most that can be lost to the relay. It bounds the
   * worst cases of what is in flight. Default: 5.
   */
  readonly maxAheadUsd?: number | string;
  /** What vouchers are for. Default: what the relay says of itself, which is safe with a key of its own per channel. */
  readonly relayId?: number;
  readonly chainId?: number;
  readonly settlement?: Address;
};

export type Session = {
  readonly signer: VoucherSigner;
  /** pUSD. */
  readonly maxAhead: bigint;
  readonly pinned: Pick<SessionOptions, "relayId" | "chainId" | "settlement">;
};

const DEFAULT_AHEAD_USD = "5";

/** Throws `config_invalid`; the message does not repeat a key. */
export function readSession(options: SessionOptions): Session {
  const { key, maxAheadUsd = DEFAULT_AHEAD_USD, relayId, chainId, settlement } = options;
  return {
    signer: typeof key === "string" ? accountOf(key) : key,
    maxAhead: readAhead(String(maxAheadUsd)),
    pinned: {
      ...(relayId === undefined ? {} : { relayId }),
      ...(chainId === undefined ? {} : { chainId }),
      ...(settlement === undefined ? {} : { settlement }),
    },
  };
}

function accountOf(key: Hex): VoucherSigner {
  const isKey = isHex(key) && key.length === 66;
  if (isKey) return privateKeyToAccount(key);
  throw new AimoError("config_invalid", {
    message: "session.key is neither a private key (0x and 64 hex digits) nor an account that signs.",
    param: "session.key",
  });
}

function readAhead(text: string): bigint {
  try {
    return parseUsd(text);
  } catch (cause) {
    const message = `session.maxAheadUsd is ${text}, not an amount of USD.`;
    throw new AimoError("config_invalid", { message, param: "session.maxAheadUsd", cause });
  }
}

/** What a relay's vouchers are for; fixed once it is known. */
export type Payee = { readonly chainId: number; readonly settlement: Address; readonly relayId: number };

export function signVoucher(
  { signer }: Session,
  { chainId, settlement, relayId }: Payee,
  voucher: { readonly userId: number; readonly channelEpoch: number; readonly cumulative: bigint },
): Promise<Hex> {
  return signer.signTypedData({
    domain: domainOf({ chainId, verifyingContract: settlement }),
    types: TYPES,
    primaryType: "SpendVoucher",
    message: { relayId, ...voucher },
  });
}
