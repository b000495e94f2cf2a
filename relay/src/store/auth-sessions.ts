import { randomBytes } from "node:crypto";
import type { Address } from "viem";
import { encodeBase58 } from "../core/base58.ts";
import type { AuthSessions } from "../flow/sign-in-ports.ts";

/** A wallet shows its window and a person reads it: minutes. */
export const NONCE_LIFE_MS = 10 * 60_000;
export const SESSION_LIFE_MS = 15 * 60_000;
/** Each is some hundred bytes; the oldest goes when there are more, so a flood costs memory for nobody else. */
const MAX_NONCES = 10_000;
const MAX_SESSIONS = 10_000;

/**
 * Wallet sign-ins, in memory only: after a restart one signs in again. Insertion order is order of expiry, so the
 * expired are at the front.
 */
export class AuthSessionStore implements AuthSessions {
  readonly #now: () => number;
  readonly #nonces = new Map<string, number>();
  readonly #sessions = new Map<string, { readonly owner: Address; readonly expiresAt: number }>();

  /** `now` is the wall clock in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  createNonce(): { nonce: string; expiresAt: number } {
    // EIP-4361 wants at least 8 letters and digits.
    const nonce = randomBytes(16).toString("hex");
    const expiresAt = this.#now() + NONCE_LIFE_MS;
    this.#nonces.set(nonce, expiresAt);
    this.#trim(this.#nonces, MAX_NONCES, (expiry) => expiry);
    return { nonce, expiresAt };
  }

  useNonce(nonce: string): boolean {
    const expiresAt = this.#nonces.get(nonce);
    this.#nonces.delete(nonce);
    return expiresAt !== undefined && expiresAt > this.#now();
  }

  open(owner: Address): { token: string; expiresAt: number } {
    const token = `aimo-st-${encodeBase58(randomBytes(32))}`;
    const expiresAt = this.#now() + SESSION_LIFE_MS;
    this.#sessions.set(token, { owner, expiresAt });
    this.#trim(this.#sessions, MAX_SESSIONS, (session) => session.expiresAt);
    return { token, expiresAt };
  }

  ownerOf(token: string): Address | undefined {
    const session = this.#sessions.get(token);
    return session && session.expiresAt > this.#now() ? session.owner : undefined;
  }

  #trim<T>(entries: Map<string, T>, limit: number, expiryOf: (entry: T) => number): void {
    const now = this.#now();
    for (const [key, entry] of entries) {
      if (expiryOf(entry) > now && entries.size <= limit) return;
      entries.delete(key);
    }
  }
}
