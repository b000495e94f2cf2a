/** Sequence numbers further behind the highest one than this are refused: requests overtake each other, but not so far. */
export const REPLAY_WINDOW = 4_096;

/** Tells fresh sequence numbers of a session from repeated and from stale ones, in constant memory. */
export interface ReplayWindow {
  /** True, once, for each number in the window; false when it was seen, is too old, or is negative. Check the MAC first. */
  accept(seq: bigint): boolean;
  /** Highest number accepted; -1n before the first. */
  readonly highest: bigint;
}

/** A sliding window as IPsec has it: a ring of the last `size` numbers, each slot keeping the number it last held. */
export function createReplayWindow(size = REPLAY_WINDOW): ReplayWindow {
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`The window's size is ${size}, not a count.`);
  const span = BigInt(size);
  const slots = new BigInt64Array(size).fill(-1n);
  let highest = -1n;
  return {
    get highest() {
      return highest;
    },
    accept(seq) {
      if (seq < 0n || seq > MAX_SEQ || seq <= highest - span) return false;
      const slot = Number(seq % span);
      if (slots[slot] === seq) return false;
      slots[slot] = seq;
      if (seq > highest) highest = seq;
      return true;
    },
  };
}

/** Slots are signed 64 bits; no session lives to see this number. */
const MAX_SEQ = 2n ** 63n - 1n;
