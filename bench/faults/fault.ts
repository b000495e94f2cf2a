import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { FaultNetwork } from "./network.ts";
import { type RawScript, serveWell } from "./raw-provider.ts";
import { answerWell, type UpstreamScript } from "./scripted-upstream.ts";
import type { Tally } from "./tally.ts";

export type Test = {
  readonly network: FaultNetwork;
  readonly tally: Tally;
  /** Does the work when the client has read so many frames of its stream. */
  whenSeen(frames: number, work: () => void): void;
  /** Waits for what no event tells of. */
  eventually(condition: () => boolean, what: string): Promise<void>;
};

export type Fault = {
  readonly name: string;
  /** Throws when the relay does not do what it should. */
  run(test: Test): Promise<void>;
};

const EVENTUALLY_MS = 10_000;
const POLL_MS = 20;

export function testOf(network: FaultNetwork, tally: Tally): Test {
  return {
    ...{ network, tally },
    whenSeen(frames, work) {
      const timer = setInterval(() => {
        if (network.client.seen < frames) return;
        clearInterval(timer);
        work();
      }, POLL_MS).unref();
    },
    async eventually(condition, what) {
      const deadline = Date.now() + EVENTUALLY_MS;
      while (!condition()) {
        assert.ok(Date.now() < deadline, what);
        await wait(POLL_MS);
      }
    },
  };
}

/** Everyone does as they should again. */
export function resetScripts({ raw, throttled, flapping, faulty, sound, third }: FaultNetwork): void {
  for (const provider of [raw, throttled, flapping]) provider.play = serveWell;
  for (const { upstream } of [faulty, sound, third]) upstream.play = answerWell;
}

/** The same fault twice: behind a real provider node, and at the provider itself. */
export function play({ network }: Test, scripts: { upstream: UpstreamScript; raw: RawScript }): void {
  network.faulty.upstream.play = scripts.upstream;
  network.raw.play = scripts.raw;
}

/** Routing preferences: these providers in this order and no others. */
export function pin(...providers: readonly { readonly id: number }[]): object {
  const ids = providers.map(({ id }) => `${id}`);
  return { only: ids, order: ids };
}

/** Whole answers and streams both come from the sound provider after one failed attempt. */
export async function failsOver(
  { network, tally }: Test,
  code: string | { readonly upstream: string; readonly raw: string },
): Promise<void> {
  const { client, faulty, raw, sound } = network;
  const codes = typeof code === "string" ? { upstream: code, raw: code } : code;
  for (const [at, error] of [
    [faulty, codes.upstream],
    [raw, codes.raw],
  ] as const)
    for (const stream of [false, true]) {
      const answer = await client.ask({ stream, provider: pin(at, sound) });
      assert.equal(answer.status, 200, JSON.stringify(answer.error));
      assert.equal(answer.done, stream, "a stream ends with [DONE]");
      await tally.add(answer, { failed: [[at.id, error]], servedBy: sound.id });
    }
}
