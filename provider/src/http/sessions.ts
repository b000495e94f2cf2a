import type { KeyObject } from "node:crypto";
import { randomUUID } from "node:crypto";
import { createReplayWindow, type ReplayWindow } from "@aimo/node/replay-window";
import {
  createHandshake,
  createSessionSecret,
  type Handshake,
  macOf,
  verifyMac,
} from "@aimo/node/session-crypto";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import type { SessionAnswer, SessionOffer } from "@aimo/protocol/session";
import type { Address, Hex } from "viem";
import type { RelayDirectory, RelayOnChain } from "../flow/ports.ts";

/** A confirmed session of a relay. */
export type Session = {
  readonly id: string;
  readonly relayId: number;
  readonly signer: Address;
  readonly macKey: KeyObject;
  readonly window: ReplayWindow;
  /** Sequence of the events lines, over reconnections of the stream. */
  nextEventSeq: number;
  /** Connections that stay open for it. A process of the relay that is gone has none. */
  connections: number;
};

export type SessionsModules = {
  readonly chainId: number;
  readonly providerId: number;
  readonly privateKey: Uint8Array;
  readonly relays: RelayDirectory;
  /** Monotonic milliseconds. */
  readonly now: () => number;
};

/** An offer that is not confirmed by then is forgotten. */
const CONFIRM_WITHIN_MS = 10_000;
/** Unconfirmed offers at once: anyone may send them, and each holds a key for 10 s. */
const MAX_PENDING = 256;
/** A relay may run several processes; when there are more, one goes that nobody is connected for, the oldest first. */
const MAX_SESSIONS_PER_RELAY = 16;

type Pending = { readonly relay: RelayOnChain; readonly handshake: Handshake; readonly expiresAt: number };

/** What a MACed request carries in its headers, with what the MAC is over. */
export type SignedRequest = {
  readonly session: string | undefined;
  readonly seq: string | undefined;
  readonly mac: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly bodyHash: Uint8Array;
};

/** Sessions with relays: only registered and bonded ones that prove the key they registered. */
export class Sessions {
  readonly #m: SessionsModules;
  readonly #pending = new Map<string, Pending>();
  readonly #open = new Map<string, Session>();
  /** Told when a session ends by this side's decision. */
  onClosed: (session: Session) => void = () => {};

  constructor(modules: SessionsModules) {
    this.#m = modules;
  }

  /**
   * Answers an offer. Throws `invalid_request` (version, chain, provider, malformed), `not_registered`, `not_bonded`,
   * `overloaded`.
   */
  async offer(offer: SessionOffer): Promise<SessionAnswer> {
    this.#checkOffer(offer);
    this.#forgetExpired();
    if (this.#pending.size >= MAX_PENDING) throw new AimoError("overloaded", { retryAfterSeconds: 1 });
    const relay = await this.#requireRelay(offer.relayId);
    const secret = createSessionSecret();
    const transcript = {
      chainId: offer.chainId,
      relayId: offer.relayId,
      providerId: offer.providerId,
      relayNonce: offer.nonce,
      providerNonce: secret.nonce,
      relayEphemeral: offer.ephemeral,
      providerEphemeral: secret.ephemeral,
    };
    const handshake = this.#handshake({
      role: "provider",
      transcript,
      privateKey: this.#m.privateKey,
      secret,
    });
    const sessionId = randomUUID();
    this.#pending.set(sessionId, { relay, handshake, expiresAt: this.#m.now() + CONFIRM_WITHIN_MS });
    return { sessionId, nonce: secret.nonce, ephemeral: secret.ephemeral, signature: handshake.signature };
  }

  /** Opens the session. Throws `authentication_failed` when the signature is not of the relay's registered key. */
  confirm(sessionId: string, signature: Hex): void {
    this.#forgetExpired();
    const pending = this.#pending.get(sessionId);
    if (!pending) throw unauthenticated("No offer waits for this confirmation; make a new one.");
    this.#pending.delete(sessionId);
    const { relay, handshake } = pending;
    if (!handshake.isPeerSignature(signature, relay.signer))
      throw unauthenticated(
        `The signature is not of relay ${relay.relayId}'s registered key ${relay.signer}.`,
      );
    const mine = [...this.#open.values()].filter(({ relayId }) => relayId === relay.relayId);
    const last = mine.find(({ connections }) => connections === 0) ?? mine[0];
    if (last && mine.length >= MAX_SESSIONS_PER_RELAY) this.#close(last);
    this.#open.set(sessionId, {
      id: sessionId,
      relayId: relay.relayId,
      signer: relay.signer,
      macKey: handshake.macKey,
      window: createReplayWindow(),
      nextEventSeq: 1,
      connections: 0,
    });
  }

  /** The session's headers are complete and it is open; the MAC is still unchecked. Throws `authentication_failed`. */
  find(id: string | undefined): Session {
    const session = id === undefined ? undefined : this.#open.get(id);
    if (!session) throw unauthenticated("The session is not known; open a new one.");
    return session;
  }

  /** Checks MAC and sequence number; gives the number. Throws `authentication_failed`. */
  authenticate(session: Session, request: SignedRequest): bigint {
    const { seq: text = "", mac = "", method, path, bodyHash } = request;
    if (!/^\d{1,19}$/.test(text)) throw unauthenticated("'aimo-seq' is no sequence number.");
    const seq = BigInt(text);
    if (!verifyMac(session.macKey, { direction: 0, seq, method, path, bodyHash }, mac))
      throw unauthenticated("'aimo-mac' does not fit the request.");
    if (!session.window.accept(seq))
      throw unauthenticated(`Sequence number ${text} was used before or is too old.`);
    return seq;
  }

  /** Looks at the chain again for every relay that has a session, and ends those that may not have one any more. */
  async recheck(): Promise<void> {
    for (const relayId of new Set([...this.#open.values()].map((session) => session.relayId))) {
      const relay = await this.#m.relays.relayOf(relayId);
      for (const session of this.#open.values())
        if (
          session.relayId === relayId &&
          !(relay?.active && relay.bonded && relay.signer === session.signer)
        )
          this.#close(session);
    }
  }

  closeAll(): void {
    for (const session of this.#open.values()) this.#close(session);
  }

  #close(session: Session): void {
    this.#open.delete(session.id);
    this.onClosed(session);
  }

  #checkOffer(offer: SessionOffer): void {
    const { version, chainId, providerId, relayId } = offer;
    const wrong = (param: string, have: number, want: number) =>
      new AimoError("invalid_request", {
        message: `'${param}' is ${have}; this provider has ${want}.`,
        param,
      });
    if (version !== PROTOCOL_VERSION) throw wrong("version", version, PROTOCOL_VERSION);
    if (chainId !== this.#m.chainId) throw wrong("chainId", chainId, this.#m.chainId);
    if (providerId !== this.#m.providerId) throw wrong("providerId", providerId, this.#m.providerId);
    if (relayId < 1) throw new AimoError("invalid_request", { message: "'relayId' is 0.", param: "relayId" });
  }

  async #requireRelay(relayId: number): Promise<RelayOnChain> {
    const relay = await this.#m.relays.relayOf(relayId);
    if (!relay?.active)
      throw new AimoError("not_registered", { message: `Relay ${relayId} is not registered.` });
    if (!relay.bonded)
      throw new AimoError("not_bonded", { message: `The bond of relay ${relayId} is below the minimum.` });
    return relay;
  }

  #handshake(parameters: Parameters<typeof createHandshake>[0]): Handshake {
    try {
      return createHandshake(parameters);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new AimoError("invalid_request", { message: cause.message, cause });
    }
  }

  #forgetExpired(): void {
    const now = this.#m.now();
    for (const [id, { expiresAt }] of this.#pending) if (expiresAt <= now) this.#pending.delete(id);
  }
}

/** MAC of something the provider says. */
export function macToRelay(
  session: Session,
  about: {
    readonly seq: bigint;
    readonly method: string;
    readonly path: string;
    readonly bodyHash: Uint8Array;
  },
): Hex {
  return macOf(session.macKey, { direction: 1, ...about });
}

function unauthenticated(message: string): AimoError {
  return new AimoError("authentication_failed", { message });
}
