import { createSiweMessage } from "viem/siwe";
import type { LocalWallet } from "./wallets.ts";

/** Signs in to a relay with a wallet (EIP-4361) and creates an API key. Returns the key, which is shown only here. */
export async function createKey(relayUrl: string, wallet: LocalWallet, name: string): Promise<string> {
  const session = await signIn(relayUrl, wallet);
  const { key } = await call<{ key: string }>(`${relayUrl}/v1/keys`, { name }, session);
  return key;
}

async function signIn(relayUrl: string, wallet: LocalWallet): Promise<string> {
  const { account, chain } = wallet;
  const { nonce } = await call<{ nonce: string }>(`${relayUrl}/v1/auth/nonce`, {});
  const message = createSiweMessage({
    address: account.address,
    chainId: chain.id,
    domain: new URL(relayUrl).host,
    nonce,
    uri: relayUrl,
    version: "1",
  });
  const signature = await account.signMessage({ message });
  const { token } = await call<{ token: string }>(`${relayUrl}/v1/auth/siwe`, { message, signature });
  return token;
}

async function call<T>(url: string, body: object, token?: string): Promise<T> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${url} answered ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}
