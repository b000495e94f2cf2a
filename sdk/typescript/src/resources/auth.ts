import type { Address, Hex } from "viem";
import { createSiweMessage } from "viem/siwe";
import type { RequestOptions, Transport } from "../transport.ts";

/** A wallet that can sign a text: a viem account is one. */
export type MessageSigner = {
  readonly address: Address;
  signMessage(parameters: { readonly message: string }): Promise<Hex>;
};

export type Session = {
  /** Used in place of an API key, for a few minutes. */
  readonly token: string;
  readonly address: Address;
  /** ISO 8601. */
  readonly expires_at: string;
};

type Nonce = { readonly nonce: string; readonly chain_id: number };

export type SignIn = (wallet: MessageSigner, options?: RequestOptions) => Promise<Session>;

/** Wallet sign-in by EIP-4361. */
export function createSignIn({ json, baseURL }: Transport): SignIn {
  return async (wallet, options = {}) => {
    const call = { ...options, method: "POST", maxRetries: 0 } as const;
    const { nonce, chain_id: chainId } = await json<Nonce>({ ...call, path: "/auth/nonce", body: {} });
    const url = new URL(baseURL);
    const message = createSiweMessage({
      address: wallet.address,
      chainId,
      // From the address that was called, never from the answer: a relay must not get a signature meant for another.
      domain: url.host,
      nonce,
      uri: url.origin,
      version: "1",
      statement: "Sign in to this AiMo relay.",
    });
    const signature = await wallet.signMessage({ message });
    return json<Session>({ ...call, path: "/auth/siwe", body: { message, signature } });
  };
}
