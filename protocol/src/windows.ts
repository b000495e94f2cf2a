/** The protocol's windows in seconds. They are constructor immutables; a node reads them from the chain. */
export type Windows = {
  /** E: a batch is final between E and 2E after it was posted. */
  readonly epoch: number;
  readonly response: number;
  /** T_POST: a receipt can be billed until this long after it was issued. */
  readonly post: number;
  readonly channelThaw: number;
  readonly relayBucket: number;
  readonly signerThaw: number;
  readonly unbondProvider: number;
  readonly unbondRelay: number;
  readonly priceNotice: number;
  readonly feeNotice: number;
  /** A pause lasts at most this long, of wall time. */
  readonly pauseMax: number;
  /** The next pause begins at the earliest this long after the last ended, of wall time. */
  readonly pauseCooldown: number;
  /** A module added later may act this long after it was announced. */
  readonly moduleDelay: number;
};

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Profiles of protocol section 11. `local` is for networks on one machine and for tests. */
export const PROFILES = {
  main: {
    epoch: 12 * HOUR,
    response: 12 * HOUR,
    post: 24 * HOUR,
    channelThaw: 36 * HOUR,
    relayBucket: 36 * HOUR,
    signerThaw: 60 * HOUR,
    unbondProvider: 7 * DAY,
    unbondRelay: 14 * DAY,
    priceNotice: 24 * HOUR,
    feeNotice: 7 * DAY,
    pauseMax: 7 * DAY,
    pauseCooldown: 30 * DAY,
    moduleDelay: 14 * DAY,
  },
  local: {
    epoch: 5,
    response: 5,
    post: 60,
    channelThaw: 70,
    relayBucket: 70,
    signerThaw: 80,
    unbondProvider: 90,
    unbondRelay: 100,
    priceNotice: 10,
    feeNotice: 80,
    pauseMax: 20,
    pauseCooldown: 60,
    moduleDelay: 100,
  },
} as const satisfies Record<string, Windows>;

/** Names the inequalities of section 11 that do not hold; empty when all do. */
export function brokenInequalities(w: Windows): string[] {
  const judged = w.post + 2 * w.epoch + w.response;
  return [
    w.channelThaw >= w.post + w.response ? "" : "channelThaw >= post + response",
    w.relayBucket >= w.post + w.response ? "" : "relayBucket >= post + response",
    w.relayBucket >= 2 * w.epoch + w.response ? "" : "relayBucket >= 2 epoch + response",
    w.signerThaw >= judged ? "" : "signerThaw >= post + 2 epoch + response",
    w.unbondProvider > w.signerThaw ? "" : "unbondProvider > signerThaw",
    w.unbondRelay > w.signerThaw ? "" : "unbondRelay > signerThaw",
    w.feeNotice >= judged ? "" : "feeNotice >= post + 2 epoch + response",
    w.pauseCooldown >= 3 * w.pauseMax ? "" : "pauseCooldown >= 3 pauseMax",
    w.moduleDelay > w.channelThaw ? "" : "moduleDelay > channelThaw",
  ].filter((text) => text !== "");
}

/** A price or fee that was replaced may still be used this long after, for requests in flight. Seconds. */
export const PRICE_GRACE_SECONDS = 10 * MINUTE;
/** A group may be closed at most this long after the block that bills it: clocks differ. Seconds. */
export const CLOCK_TOLERANCE_SECONDS = 60;
