import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "@aimo/node/log";
import { createHandshake, createSessionSecret } from "@aimo/node/session-crypto";
import { utf8 } from "@aimo/protocol/bytes";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import {
  type GroupEvent,
  receiptFromJson,
  SESSION_PATH,
  type SessionAck,
  type SessionAnswer,
  type UsageStatement,
  type VoucherEvent,
} from "@aimo/protocol/session";
import type { Address, Hex } from "viem";
import type { SignedDebt } from "../core/types.ts";
import type { Billing } from "../flow/ports.ts";
import { readAhead, readEvents } from "./events.ts";
import type { InFlight } from "./in-flight.ts";
import { KeptChannel } from "./kept-channel.ts";
import type { Origin } from "./origin.ts";
import { SessionKeys } from "./session-keys.ts";

export type SessionIdentity = {
  readonly chainId: number;
  readonly relayId: number;
  /** The relay's node key. */
  readonly privateKey: Hex;
};

export type ProviderSessionOptions = {
  readonly provider: { readonly id: number; readonly signer: Address };
  readonly origin: Origin;
  readonly identity: SessionIdentity;
  /** Undefined: another process of this relay hears the provider's groups. */
  readonly billing: Billing | undefined;
  readonly inFlight: InFlight;
  readonly log: Log;
};

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** Groups kept for requests that are still being read: each is up to 150 KB, and slow readers are few. */
const MAX_EARLY_GROUPS = 256;
/** Groups read while other processes say what they have sent: those of two rounds of that at 10 groups/s, and some more. */
const MAX_AHEAD = 24;
/** The provider pings every 5 s: after this long it is gone. */
const EVENTS_SILENCE_MS = 20_000;

/**
 * The relay's long-lived session with one provider: opens it, keeps its events stream, answers each verified group with
 * the relay's voucher, and opens it again, with back-off, whenever it is lost.
 */
export class ProviderSession {
  readonly origin: Origin;
  /** Carries the inference requests where the provider knows how. */
  readonly channel: KeptChannel;
  readonly #options: ProviderSessionOptions;
  readonly #stopping = new AbortController();
  #keys: SessionKeys | undefined;
  #opening = Promise.withResolvers<SessionKeys>();
  /** The try that `#opening` stands for has failed. */
  #hasFailed = false;
  #lost = new AbortController();
  /** Groups that wait for a request of theirs to end here. */
  #early = 0;
  readonly #running: Promise<void>;

  constructor(options: ProviderSessionOptions) {
    this.#options = options;
    this.origin = options.origin;
    this.channel = new KeptChannel(options.origin, options.log);
    this.#expectNext();
    this.#running = this.#run();
  }

  /** The open session, or undefined while there is none. */
  get keys(): SessionKeys | undefined {
    return this.#keys;
  }

  /** Resolves when the session is open; rejects when the try in progress fails. */
  opened(): Promise<SessionKeys> {
    return this.#keys ? Promise.resolve(this.#keys) : this.#opening.promise;
  }

  /** The provider does not know this session any more: opens another. */
  forget(keys: SessionKeys): void {
    if (this.#keys !== keys) return;
    this.#lose();
    this.#lost.abort();
  }

  /**
   * Tells the provider how many frames of an attempt arrived; gives its statement for those, or undefined when nothing
   * is owed. Throws when it cannot be asked.
   */
  async abort(attempt: Hex, frames: number): Promise<UsageStatement | undefined> {
    const keys = await this.opened();
    const path = `${SESSION_PATH}/${keys.id}/abort`;
    const body = utf8(JSON.stringify({ attempt, frames }));
    const { headers, signed } = keys.sign("POST", path, body);
    const { status, text } = await this.origin.send({ method: "POST", path, headers, body });
    return status === 200 ? keys.readUsageFrame(signed, text) : undefined;
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    this.#lost.abort();
    this.channel.close();
    await this.origin.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, provider } = this.#options;
    let backoffMs = FIRST_BACKOFF_MS;
    while (!this.#stopping.signal.aborted) {
      try {
        const keys = await this.#handshake();
        await this.channel.begin(keys);
        this.#keys = keys;
        this.#lost = new AbortController();
        this.#opening.resolve(keys);
        log.debug({ provider: provider.id }, "session opened");
        backoffMs = FIRST_BACKOFF_MS;
        await this.#last(keys);
      } catch (error) {
        if (this.#stopping.signal.aborted) break;
        log.debug({ provider: provider.id, err: error }, "session lost");
        // Until the next try, calls fail at once and go elsewhere.
        if (!this.#keys) this.#opening.reject(asAimoError(error));
      }
      this.#lose();
      // Half of it by chance, so that many relays do not come back at once.
      const pauseMs = backoffMs * (0.5 + Math.random() / 2);
      await wait(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS);
      if (this.#hasFailed) this.#expectNext();
    }
    this.#keys = undefined;
    this.channel.close();
    this.#opening.reject(new AimoError("shutting_down"));
  }

  /** The session is gone; who asks from now on waits for the next one. */
  #lose(): void {
    this.channel.end();
    if (!this.#keys) return;
    this.#keys = undefined;
    this.#expectNext();
  }

  #expectNext(): void {
    this.#opening = Promise.withResolvers();
    this.#hasFailed = false;
    // Nobody may be waiting, and then a failure is no news.
    this.#opening.promise.catch(() => {
      this.#hasFailed = true;
    });
  }

  async #handshake(): Promise<SessionKeys> {
    const { provider, identity } = this.#options;
    const { chainId, relayId, privateKey } = identity;
    const secret = createSessionSecret();
    const { nonce, ephemeral } = secret;
    const offer = { version: PROTOCOL_VERSION, chainId, relayId, providerId: provider.id, nonce, ephemeral };
    const answer = (await this.#post(SESSION_PATH, offer)) as SessionAnswer;
    const handshake = createHandshake({
      role: "relay",
      transcript: {
        ...{ chainId, relayId, providerId: provider.id },
        ...{ relayNonce: nonce, relayEphemeral: ephemeral },
        ...{ providerNonce: answer.nonce, providerEphemeral: answer.ephemeral },
      },
      privateKey,
      secret,
    });
    if (
      !handshake.isPeerSignature(answer.signature, provider.signer) ||
      !/^[\w-]{1,64}$/.test(answer.sessionId)
    )
      throw unavailable(`Provider ${provider.id} did not prove that it holds the key ${provider.signer}.`);
    await this.#post(`${SESSION_PATH}/${answer.sessionId}/confirm`, { signature: handshake.signature });
    return new SessionKeys(answer.sessionId, handshake.macKey);
  }

  async #post(path: string, message: object): Promise<unknown> {
    const { status, text } = await this.origin.send({
      method: "POST",
      path,
      body: utf8(JSON.stringify(message)),
    });
    if (status === 204) return undefined;
    if (status === 200) return JSON.parse(text);
    throw unavailable(`The provider answered the handshake with status ${status}: ${text.slice(0, 300)}`);
  }

  /** Resolves, or throws, when the session is over. */
  async #last(keys: SessionKeys): Promise<void> {
    const { billing } = this.#options;
    const signal = AbortSignal.any([this.#stopping.signal, this.#lost.signal]);
    if (billing) return this.#listen(keys, billing, signal);
    if (!signal.aborted) await once(signal, "abort");
  }

  /** Reads groups until the stream ends or the session is given up. */
  async #listen(keys: SessionKeys, billing: Billing, signal: AbortSignal): Promise<void> {
    const path = `${SESSION_PATH}/${keys.id}/events`;
    const { headers } = keys.sign("GET", path, new Uint8Array(0));
    const over = new AbortController();
    const options = { silenceMs: EVENTS_SILENCE_MS, signal: AbortSignal.any([signal, over.signal]) };
    const bytes = await this.origin.open({ path, headers }, options);
    const ready = () => this.#options.inFlight.heard?.();
    try {
      const events = readEvents(bytes, { keys, path });
      for await (const event of readAhead(events, { ready, most: MAX_AHEAD })) {
        if (event.type === "group") await this.#take(event, keys, billing);
        else if (event.type === "voucher") await this.#compare(event, keys, billing);
      }
    } finally {
      over.abort();
    }
  }

  /** One group after the other: the next is billed when this one is on disk and answered. */
  async #take(event: GroupEvent, keys: SessionKeys, billing: Billing): Promise<void> {
    const ended = this.#options.inFlight.whenEnded(event.receipts.map(({ requestHash }) => requestHash));
    await this.#bill(event, keys, billing);
    if (!ended || this.#early >= MAX_EARLY_GROUPS) return;
    this.#early++;
    // Billing a group twice is harmless: what was billed is not expected any more.
    ended
      .then(() => this.#bill(event, this.#keys ?? keys, billing))
      .catch((error: unknown) => this.#options.log.debug({ err: error }, "early group was not acknowledged"))
      .finally(() => this.#early--);
  }

  /** The provider shows the newest voucher that it has, before its groups; it gets a newer one if there is one. */
  async #compare(
    { cumulative, signature }: VoucherEvent,
    keys: SessionKeys,
    billing: Billing,
  ): Promise<void> {
    const { provider } = this.#options;
    if (!/^\d{1,25}$/.test(cumulative)) throw unavailable("The provider's voucher has no cumulative.");
    const newest = await billing.onVoucher({ cumulative: BigInt(cumulative), signature }, provider);
    if (newest.signature !== signature) await this.#acknowledge(newest, keys);
  }

  async #bill(
    { group, signature, receipts }: GroupEvent,
    keys: SessionKeys,
    billing: Billing,
  ): Promise<void> {
    const { provider, log } = this.#options;
    const answer = await billing.onGroup(group, signature, receipts.map(receiptFromJson), provider);
    if ("refused" in answer) {
      log.warn({ provider: provider.id, root: group.root, reason: answer.refused }, "group refused");
      return;
    }
    await this.#acknowledge(answer, keys);
  }

  async #acknowledge({ cumulative, signature }: SignedDebt, keys: SessionKeys): Promise<void> {
    const path = `${SESSION_PATH}/${keys.id}/ack`;
    const ack: SessionAck = { cumulative: cumulative.toString(), signature };
    const body = utf8(JSON.stringify(ack));
    const { headers } = keys.sign("POST", path, body);
    const { status } = await this.#options.origin.send({ method: "POST", path, headers, body });
    if (status !== 204) throw unavailable(`The provider answered a voucher with status ${status}.`);
  }
}

const unavailable = (message: string) => new AimoError("provider_unavailable", { message });

function asAimoError(cause: unknown): AimoError {
  if (cause instanceof AimoError) return cause;
  return new AimoError("provider_unavailable", {
    message: "The session with the provider could not be opened.",
    cause,
  });
}
