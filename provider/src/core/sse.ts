/** Reading server-sent events from chunks of text that are cut anywhere. Comments are dropped. */

export type SseEvent = { readonly event: string | undefined; readonly data: string };

/** An event that has not ended by then is junk. An image in a frame, base64, fits. */
export const MAX_EVENT_CHARS = 16 * 1024 * 1024;

export class SseReader {
  #rest = "";
  #event: string | undefined;
  #data: string[] = [];
  #chars = 0;

  /** Events that `text` completes. Throws a RangeError on an event above MAX_EVENT_CHARS. */
  push(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    const all = this.#rest + text;
    let from = 0;
    for (let end = all.indexOf("\n"); end !== -1; end = all.indexOf("\n", from)) {
      const cut = end > from && all.charCodeAt(end - 1) === 0x0d ? end - 1 : end;
      this.#line(all.slice(from, cut), events);
      from = end + 1;
    }
    this.#rest = all.slice(from);
    if (this.#chars + this.#rest.length > MAX_EVENT_CHARS)
      throw new RangeError(`An event of the stream is longer than ${MAX_EVENT_CHARS} characters.`);
    return events;
  }

  /** What is left when the stream ends: many servers leave out the last empty line. */
  end(): SseEvent[] {
    const events: SseEvent[] = [];
    if (this.#rest !== "") this.#line(this.#rest.replace(/\r$/, ""), events);
    this.#rest = "";
    this.#line("", events);
    return events;
  }

  #line(line: string, events: SseEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) events.push({ event: this.#event, data: this.#data.join("\n") });
      this.#data = [];
      this.#event = undefined;
      this.#chars = 0;
      return;
    }
    this.#chars += line.length;
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const start = line.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1;
    const value = colon === -1 ? "" : line.slice(start);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
  }
}
