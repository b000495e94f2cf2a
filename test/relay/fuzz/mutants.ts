import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { WAIT_MS } from "./runs.ts";

/** HTTP that is no more quite what it was. */

export type Change = {
  readonly at: number;
  readonly length: number;
  readonly kind: string;
  readonly bytes: string;
};
export const change = fc.record<Change>({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 0, max: 40 }),
  kind: fc.constantFrom("put", "cut", "repeat", "replace", "end"),
  bytes: fc.oneof(
    fc.constantFrom("\0", "\r", "\n", "\r\n", "\r\n\r\n", " ", ":", ";", "\t", "\x7f", "\xff", "0\r\n\r\n"),
    fc.constantFrom("transfer-encoding: chunked\r\n", "content-length: 5\r\n", "content-length: -1\r\n"),
    fc.constantFrom(
      "content-length: 99999999999999999999\r\n",
      "fffffffffffffffff\r\n",
      "HTTP/0.9",
      "HTTP/2.0",
    ),
    fc.constantFrom("x".repeat(20_000), "x: y\r\n".repeat(80), ";a=b".repeat(6_000), "/".repeat(3_000)),
    fc.string({ unit: "binary", maxLength: 12 }),
  ),
});

/** A text with changes to it, as bytes. */
export function mutated(text: string, changes: readonly Change[]): Buffer {
  const latin = changes.reduce((now, { at, length, kind, bytes }) => {
    const from = Math.floor(at * now.length);
    const [before, after] = [now.slice(0, from), now.slice(from)];
    if (kind === "put") return before + bytes + after;
    if (kind === "cut") return before + after.slice(length);
    if (kind === "repeat") return before + after.slice(0, length) + after;
    return kind === "end" ? before : before + bytes + after.slice(bytes.length);
  }, text);
  return Buffer.from(latin, "latin1");
}

/** Sends bytes to a server, and gives what it answers until it ends the connection. Throws when it does not. */
export async function exchange(url: string, bytes: readonly (Buffer | string)[]): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const pieces: Buffer[] = [];
  // A connection that is reset has been answered too.
  socket.on("data", (piece: Buffer) => pieces.push(piece)).on("error", () => {});
  for (const one of bytes) socket.write(one);
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once("close", resolve);
  const isOver = await Promise.race([promise.then(() => true), once(AbortSignal.timeout(WAIT_MS), "abort")]);
  socket.destroy();
  if (isOver === true) return Buffer.concat(pieces).toString();
  throw new Error(`It hangs: ${JSON.stringify(bytes.map(String))}\n${Buffer.concat(pieces)}`);
}
