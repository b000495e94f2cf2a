import { AimoError } from "@aimo/protocol/errors";
import type { MacedLine, SessionEvent } from "@aimo/protocol/session";
import { type SessionKeys, textOfMember } from "./session-keys.ts";

/** A group of 256 receipts in JSON is some 150 KB. */
const MAX_LINE_BYTES = 1024 * 1024;
const LF = 0x0a;

/**
 * Reads a provider's events stream. Throws `provider_unavailable` at the first line that is not the provider's own, is
 * out of order, or is too long: the session is opened anew then.
 */
export async function* readEvents(
  bytes: AsyncIterable<Uint8Array>,
  { keys, path }: { keys: SessionKeys; path: string },
): AsyncGenerator<SessionEvent> {
  let lastSeq = 0;
  for await (const line of readLines(bytes)) {
    const { seq, event, mac } = parseLine(line);
    const text = textOfMember(line, "event") ?? "";
    if (!Number.isSafeInteger(seq) || seq <= lastSeq)
      throw broken("A line of the events stream is out of order.");
    if (!keys.verify({ seq: BigInt(seq), method: "GET", path }, text, mac))
      throw broken("A line of the events stream has a wrong MAC.");
    lastSeq = seq;
    yield event;
  }
}

/**
 * Events in their order, each when what `ready` gave as it came has resolved. It reads on meanwhile, `most` at most are
 * kept, so that these waits do not add up. Whoever stops early has to end what the events come from.
 */
export async function* readAhead<T>(
  events: AsyncIterator<T>,
  { ready, most }: { readonly ready: () => Promise<void> | undefined; readonly most: number },
): AsyncGenerator<T> {
  const read = () => {
    const next = events.next().then(async (result) => {
      if (!result.done) await ready();
      return result;
    });
    // An error is thrown when it is its turn.
    next.catch(() => {});
    return next;
  };
  const ahead = Array.from({ length: most }, read);
  for (let next = ahead.shift(); next; next = ahead.shift()) {
    const result = await next;
    if (result.done) return;
    yield result.value;
    ahead.push(read());
  }
}

function parseLine(line: string): MacedLine {
  try {
    return JSON.parse(line) as MacedLine;
  } catch (cause) {
    throw broken("A line of the events stream is not JSON.", cause);
  }
}

async function* readLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    let start = 0;
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, start)) {
      parts.push(chunk.subarray(start, at));
      yield Buffer.concat(parts).toString();
      parts = [];
      size = 0;
      start = at + 1;
    }
    parts.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > MAX_LINE_BYTES)
      throw broken(`A line of the events stream is longer than ${MAX_LINE_BYTES} bytes.`);
  }
}

const broken = (message: string, cause?: unknown) =>
  new AimoError("provider_unavailable", cause === undefined ? { message } : { message, cause });
