import { createSiweMessage } from "viem/siwe";
import { CHAIN_ID, jsonOf, owner, type TestRelay } from "./test-relay.ts";

export type Fields = Parameters<typeof createSiweMessage>[0];

/** An account's owner before a test relay: signs in, and calls with a key or a session. */
export class AccountClient {
  readonly #relay: TestRelay;
  readonly #now: () => number;

  constructor(relay: TestRelay, now: () => number) {
    this.#relay = relay;
    this.#now = now;
  }

  call(method: string, path: string, token: string, body?: object): Promise<Response> {
    const type = body ? { "content-type": "application/json" } : {};
    return fetch(this.#relay.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...type },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  }

  async makeMessage(change: Partial<Fields> = {}): Promise<string> {
    const { nonce } = await jsonOf(await this.#relay.post("/v1/auth/nonce", {}));
    return createSiweMessage({
      address: owner.address,
      chainId: CHAIN_ID,
      domain: "relay.test",
      uri: "https://relay.test/login",
      version: "1",
      issuedAt: new Date(this.#now()),
      nonce,
      ...change,
    });
  }

  async signIn(message: string, account: Pick<typeof owner, "signMessage"> = owner): Promise<Response> {
    return this.#relay.post("/v1/auth/siwe", { message, signature: await account.signMessage({ message }) });
  }

  async openSession(): Promise<string> {
    return (await jsonOf(await this.signIn(await this.makeMessage()))).token;
  }
}
