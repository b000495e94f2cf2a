import type { Log } from "@aimo/node/log";
import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import type { Offer } from "../core/types.ts";
import type { Billing, Upstream, UpstreamCall, UpstreamHandler, UpstreamRequest } from "../flow/ports.ts";
import { InFlight } from "./in-flight.ts";
import { InferCall } from "./infer-call.ts";
import { Origin, type OriginLimits } from "./origin.ts";
import { ProviderSession, type SessionIdentity } from "./provider-session.ts";

export type ProvidersOptions = {
  readonly identity: SessionIdentity;
  readonly limits: OriginLimits;
  /** Undefined: another process of this relay hears the providers' groups. */
  readonly billing: Billing | undefined;
  /** What is being served, shared with whoever else sends requests for this relay. */
  readonly inFlight?: InFlight;
  readonly now: () => number;
  readonly log: Log;
};

/** Providers with a session at once. Each costs an open stream; a network has far fewer. */
const MAX_SESSIONS = 1_024;
/** A provider that announces nothing may still owe its last groups. */
const UNUSED_MS = 60_000;
const SWEEP_MS = 10_000;

type Entry = {
  readonly endpoint: string;
  readonly signer: string;
  readonly session: ProviderSession;
  usedAt: number;
};

/** The relay's sessions with all providers, and the port through which the flow calls them. */
export class Providers implements Upstream {
  readonly #options: ProvidersOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #inFlight: InFlight;
  readonly #closing = new Set<Promise<void>>();
  readonly #sweep: NodeJS.Timeout;
  readonly #retiring = new Map<NodeJS.Timeout, ProviderSession>();

  constructor(options: ProvidersOptions) {
    this.#options = options;
    this.#inFlight = options.inFlight ?? new InFlight();
    this.#sweep = setInterval(() => this.#closeUnused(), SWEEP_MS);
    this.#sweep.unref();
  }

  call(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    const { requestHash } = request;
    this.#inFlight.begin(requestHash);
    const end = () => this.#inFlight.end(requestHash);
    return new InferCall(this.#sessionOf(request.offer), request, {
      onHead: (status, contentType, retryAfter) => handler.onHead(status, contentType, retryAfter),
      onBytes: (chunk) => handler.onBytes(chunk),
      onUsage: (statement) => handler.onUsage(statement),
      onEnd: () => {
        end();
        handler.onEnd();
      },
      onError: (error) => {
        end();
        handler.onError(error);
      },
    });
  }

  /** Opens the session ahead of the first request, and keeps it while the offer is renewed. */
  prepare(offer: Offer): void {
    this.#sessionOf(offer);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    for (const [timer, session] of this.#retiring) {
      clearTimeout(timer);
      this.#close(session);
    }
    for (const { session } of this.#entries.values()) this.#close(session);
    this.#entries.clear();
    await Promise.all(this.#closing);
  }

  #sessionOf(offer: Offer): ProviderSession {
    const { providerId, endpoint, signer } = offer;
    const known = this.#entries.get(providerId);
    if (known && known.endpoint === endpoint && known.signer === signer) {
      known.usedAt = this.#options.now();
      return known.session;
    }
    if (known) this.#retire(known.session);
    this.#makeRoom();
    const { identity, limits, billing, log, now } = this.#options;
    const provider = { id: providerId, signer };
    const session = new ProviderSession({
      ...{ provider, identity, billing, log, inFlight: this.#inFlight },
      origin: new Origin(endpoint, limits),
    });
    this.#entries.set(providerId, { endpoint, signer, session, usedAt: now() });
    return session;
  }

  /** The provider moved: its last groups may still come to the old address. */
  #retire(session: ProviderSession): void {
    const timer = setTimeout(() => {
      this.#retiring.delete(timer);
      this.#close(session);
    }, GROUP_DEADLINE_MS);
    this.#retiring.set(timer, session);
  }

  #makeRoom(): void {
    if (this.#entries.size < MAX_SESSIONS) return;
    const [oldest] = [...this.#entries].sort(([, a], [, b]) => a.usedAt - b.usedAt);
    if (oldest) this.#drop(oldest[0], oldest[1]);
  }

  #closeUnused(): void {
    const now = this.#options.now();
    for (const [id, entry] of this.#entries) if (now - entry.usedAt > UNUSED_MS) this.#drop(id, entry);
  }

  #drop(id: number, { session }: Entry): void {
    this.#entries.delete(id);
    this.#close(session);
  }

  #close(session: ProviderSession): void {
    const closing = session.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
