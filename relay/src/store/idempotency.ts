import type { Hex } from "viem";
import type { Caller } from "../core/types.ts";
import type { Idempotency, IdempotentReply } from "../flow/ports.ts";
import type { Journal } from "./journal.ts";

type Stored = {
  readonly bodyHash: Hex;
  readonly expiresAt: number;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly generationId: string;
};

/** A client that retries does so within minutes; a day covers a job that was stopped over night. */
const TTL_MS = 86_400_000;
const MAX_BODY_BYTES = 1024 * 1024;
/** Keys with a request under way; each is a request in flight, which is bounded elsewhere far below. */
const MAX_RUNNING = 100_000;
/** Kept replies on disk, in characters; the soonest to expire go first. Source: what a small machine has to spare. */
const MAX_KEPT = 1_073_741_824;

/**
 * What Idempotency-Keys led to. A reply is written to the journal together with the end of its request, so after a crash
 * either both are known or neither: then the request was free, and its key may be used again.
 */
export class IdempotentReplies implements Idempotency {
  readonly #journal: Journal;
  readonly #now: () => number;
  readonly #running = new Map<string, Hex>();
  /** Written and not yet read back: the journal may still be on its way to the disk. */
  readonly #fresh = new Map<string, Stored>();

  constructor(journal: Journal, now: () => number) {
    this.#journal = journal;
    this.#now = now;
  }

  async claim(
    caller: Caller,
    key: string,
    bodyHash: Hex,
  ): Promise<"new" | "running" | "conflict" | IdempotentReply> {
    const name = nameOf(caller, key);
    const under = this.#running.get(name);
    if (under !== undefined) return under === bodyHash ? "running" : "conflict";
    if (this.#running.size >= MAX_RUNNING) return "running";
    // Claimed before anything is awaited: of two that race, the second finds it.
    this.#running.set(name, bodyHash);
    const stored = this.#fresh.get(name) ?? (await this.#read(name));
    if (!stored || stored.expiresAt <= this.#now()) return "new";
    this.#running.delete(name);
    if (stored.bodyHash !== bodyHash) return "conflict";
    const { status, contentType, generationId } = stored;
    return { status, contentType, generationId, body: Buffer.from(stored.body, "base64") };
  }

  settle(caller: Caller, key: string, reply: IdempotentReply | undefined, then?: "running"): void {
    const name = nameOf(caller, key);
    const bodyHash = this.#running.get(name);
    if (then !== "running") this.#running.delete(name);
    if (!reply || bodyHash === undefined || reply.body.length > MAX_BODY_BYTES) return;
    const { status, contentType, generationId } = reply;
    const body = Buffer.from(reply.body).toString("base64");
    const stored = { bodyHash, expiresAt: this.#now() + TTL_MS, status, contentType, body, generationId };
    this.#journal.put("replies", name, stored);
    this.#fresh.set(name, stored);
    this.#journal
      .flushed()
      // What came in its place since then is not on disk yet.
      .then(() => this.#fresh.get(name) === stored && this.#fresh.delete(name))
      .catch(() => {});
  }

  /** Removes what has expired, and the oldest of what is above `maxKept` characters in all. Returns how many. */
  async sweep(maxKept = MAX_KEPT): Promise<number> {
    const kept: { name: string; expiresAt: number; size: number }[] = [];
    for await (const [name, { expiresAt, body }] of this.#journal.entries<Stored>("replies"))
      kept.push({ name, expiresAt, size: body.length });
    let total = kept.reduce((sum, { size }) => sum + size, 0);
    let removed = 0;
    for (const { name, expiresAt, size } of kept.sort((a, b) => a.expiresAt - b.expiresAt)) {
      if (expiresAt > this.#now() && total <= maxKept) break;
      total -= size;
      // The list may be older than a reply that took this name since.
      const current = await this.#journal.get<Stored>("replies", name);
      if (current?.expiresAt !== expiresAt || this.#running.has(name) || this.#fresh.has(name)) continue;
      this.#journal.delete("replies", name);
      removed += 1;
    }
    return removed;
  }

  async #read(name: string): Promise<Stored | undefined> {
    try {
      return await this.#journal.get<Stored>("replies", name);
    } catch (error) {
      // A claim that nobody holds would block its key for good.
      this.#running.delete(name);
      throw error;
    }
  }
}

/** Keys belong to an account: another one's cannot be found. */
function nameOf({ userId }: Caller, key: string): string {
  return `${userId}!${Buffer.from(key).toString("base64url")}`;
}
