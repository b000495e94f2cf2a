import type { ReplySink } from "./serve-ports.ts";

/**
 * Copies what passes to a sink, as far as it may be kept, so that it can be sent again. It goes on when the reader is
 * gone.
 */
export class Recorder implements ReplySink {
  readonly closed = false;
  /** Undefined: that of its kind. */
  contentType: string | undefined;
  isStream = false;
  wasCut = false;
  readonly #sink: ReplySink;
  readonly #mayKeep: (bytes: number) => boolean;
  #chunks: Uint8Array[] | undefined = [];

  /** `mayKeep` is asked once for each piece that passes; after the first refusal nothing is kept. */
  constructor(sink: ReplySink, mayKeep: (bytes: number) => boolean) {
    this.#sink = sink;
    this.#mayKeep = mayKeep;
  }

  get onClose() {
    return this.#sink.onClose;
  }
  set onClose(listener: (() => void) | undefined) {
    this.#sink.onClose = listener;
    if (this.#sink.closed) listener?.();
  }
  get onDrain() {
    return this.#sink.onDrain;
  }
  set onDrain(listener: (() => void) | undefined) {
    this.#sink.onDrain = listener;
  }

  /** What passed; undefined when it was more than may be kept. */
  get chunks(): readonly Uint8Array[] | undefined {
    return this.#chunks;
  }

  startStream(generationId: string, contentType?: string): void {
    this.isStream = true;
    this.contentType = contentType;
    if (!this.#sink.closed) this.#sink.startStream(generationId, contentType);
  }

  write(chunk: Uint8Array): boolean {
    this.#keep(chunk);
    return this.#sink.closed || this.#sink.write(chunk);
  }

  end(): void {
    if (!this.#sink.closed) this.#sink.end();
  }

  cut(): void {
    this.wasCut = true;
    if (!this.#sink.closed) this.#sink.cut();
  }

  sendJson(generationId: string, body: string, contentType?: string): void {
    this.contentType = contentType;
    this.#keep(Buffer.from(body));
    if (!this.#sink.closed) this.#sink.sendJson(generationId, body, contentType);
  }

  #keep(chunk: Uint8Array): void {
    if (this.#chunks && this.#mayKeep(chunk.length)) this.#chunks.push(chunk);
    else this.#chunks = undefined;
  }
}
