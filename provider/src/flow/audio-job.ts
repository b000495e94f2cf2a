import { AudioHash } from "@aimo/protocol/audio";
import { AimoError } from "@aimo/protocol/errors";
import type { UsageStatement } from "@aimo/protocol/session";
import type { JobEvents } from "./job.ts";
import type { Reply, UpstreamCall, UpstreamHandler } from "./ports.ts";
import type { Counter } from "./response.ts";
import { upstreamRefusal } from "./upstream-error.ts";
import { usageHeaders } from "./usage-headers.ts";

/** Hours of speech; beyond it an upstream is broken. */
const MAX_AUDIO_BYTES = 256 * 1024 * 1024;
const MAX_REFUSAL_BYTES = 64 * 1024;
const AUDIO = /^(audio\/|application\/octet-stream)/;

/**
 * Speech on its way through: bytes pass as they come, in blocks that are hashed. What is billed is the text to be spoken,
 * once a block of it was delivered. Ends in exactly one of `onBilled` and `onFree`.
 */
export class AudioJob implements UpstreamHandler {
  readonly #reply: Reply;
  readonly #events: JobEvents;
  readonly #count: Counter;
  readonly #audio = new AudioHash();
  #call: UpstreamCall | undefined;
  #status = 0;
  #contentType = "";
  #retryAfter: number | undefined;
  #refusal: Uint8Array[] = [];
  #refusalBytes = 0;
  #upstreamLeft = false;
  #state: "open" | "sent" | "cut" | "settled" = "open";
  #statement: UsageStatement | undefined;

  constructor(reply: Reply, count: Counter, events: JobEvents) {
    this.#reply = reply;
    this.#count = count;
    this.#events = events;
    reply.onClose((whole) => (whole ? this.#onSent() : this.#onHungUp()));
    reply.onDrain(() => this.#call?.resume());
  }

  begin(call: UpstreamCall): void {
    this.#call = call;
  }

  onHead(status: number, contentType: string, retryAfterSeconds: number | undefined): void {
    this.#status = status;
    this.#contentType = contentType;
    this.#retryAfter = retryAfterSeconds;
    if (status === 200 && !AUDIO.test(contentType))
      this.#fail(broken(`The inference server answered with ${contentType || "no type"}, not with audio.`));
  }

  onData(chunk: Uint8Array): void {
    if (this.#state !== "open") return;
    if (this.#status !== 200) {
      this.#refusalBytes += chunk.length;
      if (this.#refusalBytes <= MAX_REFUSAL_BYTES) this.#refusal.push(chunk);
      return;
    }
    if (this.#audio.bytes === 0) this.#events.onFirst();
    this.#audio.push(chunk);
    if (this.#audio.bytes > MAX_AUDIO_BYTES)
      this.#fail(broken(`The inference server's answer is larger than ${MAX_AUDIO_BYTES} bytes.`));
    else if (!this.#reply.writeBytes(chunk, this.#contentType)) this.#call?.pause();
  }

  onEnd(): void {
    if (this.#state !== "open") return;
    const refusal = () => Buffer.concat(this.#refusal).toString();
    if (this.#status !== 200) this.#fail(upstreamRefusal(this.#status, refusal(), this.#retryAfter));
    else if (this.#audio.bytes === 0) this.#fail(broken("The inference server sent no audio."));
    else {
      this.#leaveUpstream();
      const statement = this.#stateOf(this.#audio.hashOfAll());
      this.#statement = statement;
      this.#state = "sent";
      this.#reply.endBytes(usageHeaders(statement, this.#reply));
    }
  }

  onError(error: AimoError): void {
    if (this.#state === "open") this.#fail(error);
  }

  cancel(error: AimoError): void {
    if (this.#state === "open") this.#fail(error);
    else if (this.#state === "cut") this.giveUp();
  }

  /** The relay handed on `blocks` whole blocks and wants no more. Undefined when nothing is owed. */
  abort(blocks: number): UsageStatement | undefined {
    if (this.#state === "settled") return this.#lower(blocks);
    const delivered = Math.min(blocks, this.#audio.blocks);
    const wasOpen = this.#state === "open";
    this.#stop();
    this.#state = "settled";
    const statement = delivered > 0 ? this.#stateOf(this.#audio.hashOfBlocks(delivered)) : undefined;
    if (wasOpen) this.#reply.cut();
    this.#settle(statement, "cancelled");
    return statement;
  }

  /** The relay says, after all was signed, that it got less: the same price, the hash of what it got. */
  #lower(blocks: number): UsageStatement | undefined {
    const signed = this.#statement;
    if (!signed || blocks <= 0) return undefined;
    const responseHash = this.#audio.hashOfBlocks(Math.min(blocks, this.#audio.blocks));
    if (responseHash === signed.responseHash) return signed;
    const lower = this.#stateOf(responseHash);
    this.#statement = lower;
    this.#events.onBilled(lower);
    return lower;
  }

  giveUp(): void {
    if (this.#state !== "cut") return;
    this.#state = "settled";
    this.#settle(undefined, "cancelled");
  }

  #stateOf(responseHash: UsageStatement["responseHash"]): UsageStatement {
    const delivered = { bytes: this.#audio.bytes, count: 1 };
    return this.#events.state({ units: [this.#count.input(undefined), 0, 0], delivered, responseHash });
  }

  #onSent(): void {
    if (this.#state !== "sent") return;
    this.#state = "settled";
    this.#settle(this.#statement, "cancelled");
  }

  #onHungUp(): void {
    if (this.#state !== "open" && this.#state !== "sent") return;
    this.#stop();
    this.#statement = undefined;
    this.#state = "cut";
    if (this.#audio.blocks > 0) this.#events.onHungUp();
    else this.giveUp();
  }

  #stop(): void {
    if (this.#state !== "open") return;
    this.#call?.abort();
    this.#leaveUpstream();
  }

  #leaveUpstream(): void {
    if (this.#upstreamLeft) return;
    this.#upstreamLeft = true;
    this.#events.onUpstreamDone();
  }

  #fail(error: AimoError): void {
    if (this.#state !== "open") return;
    this.#stop();
    this.#state = "settled";
    if (this.#audio.bytes > 0) this.#reply.cut();
    else this.#reply.error(error);
    this.#settle(undefined, error);
  }

  #settle(statement: UsageStatement | undefined, reason: AimoError | "cancelled"): void {
    this.#statement = statement;
    if (statement) this.#events.onBilled(statement);
    else this.#events.onFree(reason);
  }
}

const broken = (message: string) => new AimoError("provider_unavailable", { message });
