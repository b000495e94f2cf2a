import { randomFillSync } from "node:crypto";

/** Drawing a few bytes costs the system as much as drawing many. */
const POOL = Buffer.alloc(8_192);
let used = POOL.length;

/** So many random bytes as hex without 0x; none is given out twice. Throws a RangeError above 8,192. */
export function randomHex(bytes: number): string {
  if (bytes > POOL.length) throw new RangeError(`${bytes} bytes; at most ${POOL.length}.`);
  if (used + bytes > POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  const text = POOL.toString("hex", used, used + bytes);
  used += bytes;
  return text;
}
