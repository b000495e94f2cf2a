import type { Log } from "@aimo/node/log";
import { STREAM_PROTOCOL } from "@aimo/node/stream-frames";
import { SESSION_PATH } from "@aimo/protocol/session";
import type { Origin } from "./origin.ts";
import type { SessionKeys } from "./session-keys.ts";
import { StreamChannel } from "./stream-channel.ts";

const FIRST_BACKOFF_MS = 100;
/** A provider that knows no channels is asked again this often at last: it may be updated behind a proxy. */
const MAX_BACKOFF_MS = 60_000;
const NO_BODY = new Uint8Array(0);

/** The connection of a session that carries its requests: opened with the session, and again whenever it breaks. */
export class KeptChannel {
  readonly #origin: Origin;
  readonly #log: Log;
  /** Those that still have answers to come, too. */
  readonly #open = new Set<StreamChannel>();
  #keys: SessionKeys | undefined;
  #current: StreamChannel | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #timer: NodeJS.Timeout | undefined;

  constructor(origin: Origin, log: Log) {
    this.#origin = origin;
    this.#log = log;
  }

  /** The channel of that session; undefined when requests must go over HTTP. */
  of(keys: SessionKeys): StreamChannel | undefined {
    return this.#keys === keys ? this.#current : undefined;
  }

  /** Resolves after the first try, whether it went well or not. */
  begin(keys: SessionKeys): Promise<void> {
    this.#keys = keys;
    this.#backoffMs = FIRST_BACKOFF_MS;
    return this.#try(keys);
  }

  /** The session is over: answers may still come, nothing new is sent. */
  end(): void {
    clearTimeout(this.#timer);
    this.#current?.leave();
    this.#current = undefined;
    this.#keys = undefined;
  }

  /** Ends every connection; what awaits an answer fails. */
  close(): void {
    this.end();
    for (const channel of this.#open) channel.destroy();
  }

  async #try(keys: SessionKeys): Promise<void> {
    try {
      const path = `${SESSION_PATH}/${keys.id}/stream`;
      const { headers } = keys.sign("GET", path, NO_BODY);
      const socket = await this.#origin.upgrade(path, headers, STREAM_PROTOCOL);
      if (this.#keys !== keys) {
        socket.destroy();
        return;
      }
      const channel = new StreamChannel(socket, this.#origin.limits);
      this.#current = channel;
      this.#open.add(channel);
      this.#backoffMs = FIRST_BACKOFF_MS;
      void channel.closed.then(() => this.#onClosed(channel, keys));
    } catch (error) {
      this.#log.debug({ err: error }, "no channel to the provider");
      this.#tryLater(keys);
    }
  }

  #onClosed(channel: StreamChannel, keys: SessionKeys): void {
    this.#open.delete(channel);
    if (this.#current !== channel) return;
    this.#current = undefined;
    this.#tryLater(keys);
  }

  #tryLater(keys: SessionKeys): void {
    if (this.#keys !== keys) return;
    this.#timer = setTimeout(() => void this.#try(keys), this.#backoffMs);
    this.#timer.unref();
    this.#backoffMs = Math.min(2 * this.#backoffMs, MAX_BACKOFF_MS);
  }
}
