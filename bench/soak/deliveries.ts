import assert from "node:assert/strict";
import { chargeBound, costOf, type Units } from "@aimo/protocol/units";
import type { Ack, Audit } from "../crash/audit.ts";
import { PROMPT_TOKENS } from "../relay/mock.ts";
import { FEE_BPS, PRICES } from "../relay/world.ts";

/** What clients have and what the inference server wrote, against what was billed. Pure. */

/** An answer that its client has whole, and what is to be paid for it by its client's own count. */
type WholeSeen = Ack & { readonly units: Units };

/** A stream that ended early: who ended it, and what its client has of it. */
type CutSeen = {
  /** Number of the request, by which the inference server knows it. */
  readonly no: number;
  readonly id: string;
  /** Frames with content that came whole. */
  readonly frames: number;
  /** What the relay said of the end; undefined when the client left. */
  readonly error: string | undefined;
};

export type Seen = {
  readonly whole: WholeSeen[];
  readonly cut: CutSeen[];
  /** Requests that their clients left before they had as much as an id. */
  readonly unnamed: number[];
};

/** Frames that the inference server wrote, by the number of the request. */
export type Written = ReadonlyMap<number, number>;

/** The tokenizer's count of the soak's chat: what a node says of a stream that was cut before its server's own count. */
export const COUNTED_PROMPT_TOKENS = 22;

export type Deliveries = {
  /** What all that is billed costs, by what was delivered, and what its users owe for it, pUSD. */
  readonly cost: bigint;
  readonly charge: bigint;
  readonly billed: { readonly whole: number; readonly cut: number; readonly unnamed: number };
  /** What no bill has although its client has something of it. */
  readonly unbilled: readonly (WholeSeen | CutSeen)[];
};

/**
 * Adds up what was delivered and is billed. A whole answer counts with its client's own units; a cut one with the
 * receipt's, which have to lie between what its client has and what the inference server wrote. Throws where they do not,
 * and where something is billed that nobody was sent.
 */
export function addDeliveries(seen: Seen, lines: Audit["lines"], written: Written): Deliveries {
  const open = new Map(lines.map(({ id, receipt }) => [id, receipt.units]));
  const take = (id: string): Units | undefined => {
    const units = open.get(id);
    open.delete(id);
    return units;
  };
  const paid: Units[] = [];
  const unbilled: (WholeSeen | CutSeen)[] = [];
  const billed = { whole: 0, cut: 0, unnamed: 0 };
  for (const answer of seen.whole) {
    const units = take(answer.id);
    if (!units) {
      unbilled.push(answer);
      continue;
    }
    assert.deepEqual(units, answer.units, `${answer.id} is billed as it was delivered`);
    paid.push(answer.units);
    billed.whole++;
  }
  for (const stream of seen.cut) {
    const units = take(stream.id);
    if (!units) {
      if (stream.frames > 0) unbilled.push(stream);
      continue;
    }
    expectWithin(units, { least: stream.frames, most: written.get(stream.no) ?? 0 });
    paid.push(units);
    billed.cut++;
  }
  billed.unnamed = open.size;
  paid.push(...unnamedOf(seen, [...open.values()], written));
  const costs = paid.map((units) => costOf(units, PRICES));
  return {
    cost: costs.reduce((sum, cost) => sum + cost, 0n),
    charge: costs.reduce((sum, cost) => sum + chargeBound(cost, FEE_BPS), 0n),
    ...{ billed, unbilled },
  };
}

/** Bills that belong to none whose id is known: each has to find a request of its own that could have cost as much. */
function unnamedOf(seen: Seen, bills: readonly Units[], written: Written): readonly Units[] {
  const most = seen.unnamed.map((no) => written.get(no) ?? 0).sort((a, b) => b - a);
  const sorted = bills.toSorted((a, b) => b[2] - a[2]);
  for (const [place, units] of sorted.entries()) expectWithin(units, { least: 1, most: most[place] ?? 0 });
  return sorted;
}

/** The prompt is the server's count when it came in time, or else the node's. */
function expectWithin([prompt, cached, completion]: Units, { least, most }: { least: number; most: number }) {
  assert.ok(
    completion >= least && completion <= most,
    `${least} of ${most} frames came, ${completion} are billed`,
  );
  assert.equal(cached, 0, "nothing was cached");
  assert.ok(prompt === PROMPT_TOKENS || prompt === COUNTED_PROMPT_TOKENS, `${prompt} tokens of the prompt`);
}
