import { sha256 } from "@aimo/node/session-crypto";
import { MAX_DATA_BYTES, STREAM_WINDOW } from "@aimo/node/stream-frames";
import type { AimoError } from "@aimo/protocol/errors";
import type { Hex } from "viem";
import type { Reply } from "../flow/ports.ts";
import { refusalOf, STREAM_TYPE } from "./reply.ts";
import { macToRelay, type Session } from "./sessions.ts";

/** What a reply needs of the connection that it shares. */
export interface ReplyLink {
  /** The connection takes more now; otherwise it tells each reply when it does. */
  readonly isWritable: boolean;
  head(stream: number, about: { status: number; contentType: string } & HeadTexts): void;
  data(stream: number, bytes: Uint8Array): void;
  /** The last frame of a stream; `reply.onGone` follows when the network has it. */
  end(reply: StreamReply): void;
  cut(reply: StreamReply): void;
}
type HeadTexts = { readonly usage?: string; readonly usageMac?: string; readonly retryAfter?: string };

/** The request that a reply answers, as its MAC covers it. */
export type Asked = { readonly session: Session; readonly seq: bigint; readonly path: string };

/**
 * The answer on one stream: sends as much as the relay has granted, and keeps the rest. The flow is told to wait when
 * something is kept.
 */
export class StreamReply implements Reply {
  readonly stream: number;
  readonly #link: ReplyLink;
  #asked: Asked | undefined;
  #credit = STREAM_WINDOW;
  /** What may not be sent yet, in order. */
  #kept: Uint8Array[] = [];
  #hasHead = false;
  /** `ending` while the last bytes are kept, `sent` when the last frame was handed on. */
  #state: "open" | "ending" | "sent" | "gone" = "open";
  #onDrain: () => void = () => {};
  #onClose: (whole: boolean) => void = () => {};

  constructor(stream: number, link: ReplyLink) {
    this.stream = stream;
    this.#link = link;
  }

  /** The request's MAC is right: from here on there is something to sign for. */
  begin(asked: Asked): void {
    this.#asked = asked;
  }

  json(status: number, body: Uint8Array, headers: Readonly<Record<string, string>>): void {
    const { "aimo-usage": usage = "", "aimo-usage-mac": usageMac = "" } = headers;
    this.#answer({ status, usage, usageMac }, body);
  }

  error(error: AimoError): void {
    if (this.#hasHead) {
      this.cut();
      return;
    }
    const { status, body, retryAfter = "" } = refusalOf(error);
    this.#answer({ status, retryAfter }, body);
  }

  write(text: string): boolean {
    if (this.#state !== "open") return true;
    if (!this.#hasHead) {
      this.#hasHead = true;
      this.#link.head(this.stream, { status: 200, contentType: STREAM_TYPE });
    }
    this.#send(Buffer.from(text));
    return this.#kept.length === 0;
  }

  /** Audio is answered over HTTP alone: `StreamChannel` refuses to be asked for it. */
  writeBytes(): boolean {
    this.cut();
    return true;
  }

  endBytes(): void {
    this.cut();
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#endWhenSent();
  }

  cut(): void {
    if (this.#state !== "open" && this.#state !== "ending") return;
    this.#state = "sent";
    this.#kept = [];
    this.#link.cut(this);
  }

  macOf(text: string): Hex {
    if (!this.#asked) throw new RangeError("Nobody proved to have asked for this reply.");
    const { session, seq, path } = this.#asked;
    return macToRelay(session, { seq, method: "POST", path, bodyHash: sha256(text) });
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  onClose(listener: (whole: boolean) => void): void {
    this.#onClose = listener;
  }

  /** The relay granted so many bytes more. Throws a RangeError when that is above the window. */
  grant(credit: number): void {
    this.#credit += credit;
    if (this.#credit > STREAM_WINDOW) throw new RangeError("More was granted than the window has.");
    this.flush();
  }

  /** Sends of what was kept as much as may go now. */
  flush(): void {
    if (this.#kept.length === 0) return;
    const kept = this.#kept;
    this.#kept = [];
    for (const bytes of kept) this.#send(bytes);
    if (this.#kept.length > 0) return;
    this.#endWhenSent();
    if (this.#state === "open") this.#onDrain();
  }

  /** Once: the network has all of it (`whole`), or the relay has hung up. */
  onGone(whole: boolean): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#kept = [];
    this.#onClose(whole);
  }

  #answer(head: { readonly status: number } & HeadTexts, body: Uint8Array): void {
    if (this.#state !== "open" || this.#hasHead) return;
    this.#hasHead = true;
    this.#link.head(this.stream, { contentType: "application/json", ...head });
    this.#send(body);
    this.end();
  }

  #send(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#kept.length === 0 && this.#credit > 0 && this.#link.isWritable) {
      const size = Math.min(bytes.length - at, this.#credit, MAX_DATA_BYTES);
      this.#link.data(this.stream, bytes.subarray(at, at + size));
      this.#credit -= size;
      at += size;
    }
    if (at < bytes.length) this.#kept.push(bytes.subarray(at));
  }

  #endWhenSent(): void {
    if (this.#state !== "ending" || this.#kept.length > 0) return;
    this.#state = "sent";
    this.#link.end(this);
  }
}
