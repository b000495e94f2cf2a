import { AimoError } from "./errors.ts";

/** One server-sent event: its name (empty when not given) and its data lines, joined. */
export type ServerEvent = { readonly event: string; readonly data: string };

/** Largest event held in memory: a chunk of text is below 1 KB, a partial image a few MB. */
const MAX_EVENT_CHARACTERS = 8 * 1024 * 1024;

/**
 * Server-sent events out of bytes, however they are cut: CR, LF or CRLF, a byte order mark, comments, characters split
 * between chunks. An event that the end of the stream cuts off is not given out, as the standard says.
 */
export async function* readEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const parser = createEventParser();
  const decoder = new TextDecoder();
  for await (const chunk of bytes) yield* parser.push(decoder.decode(chunk, { stream: true }));
  yield* parser.end();
}

export type EventParser = {
  /** Takes in text; gives the events that it completes. Throws `relay_unavailable` on an event beyond the limit. */
  push(text: string): ServerEvent[];
  /** Gives the event that a CR at the very end completes. */
  end(): ServerEvent[];
};

export function createEventParser(): EventParser {
  let rest = "";
  let event = "";
  let data: string[] = [];
  let size = 0;
  let isFirst = true;

  function takeLine(line: string): ServerEvent | undefined {
    if (line === "") {
      const complete = data.length > 0 ? { event, data: data.join("\n") } : undefined;
      [event, data, size] = ["", [], 0];
      return complete;
    }
    const colon = line.indexOf(":");
    // A line that starts with a colon is a comment: relays send them to keep idle streams open.
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") event = value;
    if (field === "data") {
      data.push(value);
      size += value.length;
    }
    return undefined;
  }

  return {
    push(text) {
      const found: ServerEvent[] = [];
      rest += isFirst && text.startsWith("\uFEFF") ? text.slice(1) : text;
      if (text !== "") isFirst = false;
      if (rest.length + size > MAX_EVENT_CHARACTERS)
        throw new AimoError("relay_unavailable", {
          message: `The relay sent an event of more than ${MAX_EVENT_CHARACTERS} characters.`,
        });
      // A CR at the end may be the first half of a CRLF: it waits for what follows.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const complete = takeLine(line);
        if (complete) found.push(complete);
      }
      return found;
    },
    end() {
      const complete = rest.endsWith("\r") ? takeLine(rest.slice(0, -1)) : undefined;
      rest = "";
      return complete ? [complete] : [];
    },
  };
}
