import type { Hex } from "viem";
import type { Idempotency, IdempotentReply } from "../../../relay/src/flow/ports.ts";

/** Idempotency in plain sight. */
export class PlainIdempotency implements Idempotency {
  readonly #entries = new Map<string, { bodyHash: Hex; reply: IdempotentReply | undefined }>();

  async claim(caller: { keyHash: string }, key: string, bodyHash: Hex) {
    const entry = this.#entries.get(`${caller.keyHash}:${key}`);
    if (!entry) {
      this.#entries.set(`${caller.keyHash}:${key}`, { bodyHash, reply: undefined });
      return "new" as const;
    }
    if (entry.bodyHash !== bodyHash) return "conflict" as const;
    return entry.reply ?? ("running" as const);
  }

  settle(
    caller: { keyHash: string },
    key: string,
    reply: IdempotentReply | undefined,
    then?: "running",
  ): void {
    if (then) return;
    const name = `${caller.keyHash}:${key}`;
    const entry = this.#entries.get(name);
    if (reply && entry) entry.reply = reply;
    else this.#entries.delete(name);
  }
}
