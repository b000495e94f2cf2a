/** The same provider for the same conversation, so that it finds the prompt in its cache. Time is given, in ms. */

export const SESSION_IDLE_MS = 10 * 60_000;
/** Far above the conversations of ten minutes; the one that was silent longest goes first. */
export const MAX_SESSIONS = 65_536;
/** What of a prompt tells conversations apart. Providers cache no shorter prompts. */
export const PROMPT_HEAD_BYTES = 1_024;

type Session = { readonly providerId: number; readonly usedAt: number };

/** Which provider served a session last. */
export class StickySessions {
  readonly #sessions = new Map<string, Session>();
  readonly #tell: (name: string, providerId: number) => void;

  /** `tell`: passes on who served a session, where several processes share what they know. */
  constructor(tell: (name: string, providerId: number) => void = () => {}) {
    this.#tell = tell;
  }

  get size(): number {
    return this.#sessions.size;
  }

  providerOf(name: string, now: number): number | undefined {
    const session = this.#sessions.get(name);
    if (!session) return undefined;
    if (now - session.usedAt <= SESSION_IDLE_MS) return session.providerId;
    this.#sessions.delete(name);
    return undefined;
  }

  onServed(name: string, providerId: number, now: number): void {
    this.learn(name, providerId, now);
    this.#tell(name, providerId);
  }

  /** Another process has served the session. */
  learn(name: string, providerId: number, now: number): void {
    // Taken out first: a Map keeps its order, so that the first is the one that was silent longest.
    this.#sessions.delete(name);
    this.#sessions.set(name, { providerId, usedAt: now });
    for (const [oldest, { usedAt }] of this.#sessions) {
      if (this.#sessions.size <= MAX_SESSIONS && now - usedAt <= SESSION_IDLE_MS) break;
      this.#sessions.delete(oldest);
    }
  }
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const WORD_BYTES = 4;
const MESSAGES = '"messages"';

/** A hash like FNV-1a of the account, the model and the beginning of the prompt: for spreading, not for security. */
export function conversationHash(userId: number, model: string, body: Uint8Array): number {
  let hash = FNV_OFFSET ^ userId;
  for (let i = 0; i < model.length; i++) hash = Math.imul(hash ^ model.charCodeAt(i), FNV_PRIME);
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  // What stands before the messages may change from one request of a conversation to the next.
  const from = Math.max(0, bytes.indexOf(MESSAGES));
  const to = Math.min(bytes.length, from + PROMPT_HEAD_BYTES) - WORD_BYTES;
  // Four bytes at a time, and the high bits brought down again: a plain product would never let them matter.
  for (let i = from; i <= to; i += WORD_BYTES) {
    hash = Math.imul(hash ^ bytes.readInt32LE(i), FNV_PRIME);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

/**
 * Rendezvous hashing with weights: the least of these is the place of `hash`. Each provider is least for its share of
 * all hashes, and one that comes or goes moves only its own.
 */
export function rendezvous(hash: number, providerId: number, weight: number): number {
  return -Math.log(toUnit(mix(hash ^ Math.imul(providerId, 0x9e3779b1)))) / weight;
}

/** The finalizer of MurmurHash3: every bit of the input moves half of the output's. */
function mix(value: number): number {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Between 0 and 1, neither included. */
const toUnit = (value: number) => (value + 0.5) / 2 ** 32;
