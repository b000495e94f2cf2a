import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { Units } from "@aimo/protocol/units";
import type { Answer } from "./client.ts";
import { type Fault, pin, play, type Test } from "./fault.ts";
import { say, serveWell, state } from "./raw-provider.ts";
import { finish, json, stream } from "./scripted-upstream.ts";

/** Faults in the middle of a stream, where nobody else can take over, and one that comes and goes. */

const WHOLE = 60;
const CUT_AFTER = 40;
const FEW = 5;
/**
 * As a node counts what its inference server did not. The prompt: five tokens of "What is a ledger?", two of its role with a
 * line's end, six of the chat's format. The answer: a token for each word, and one for the space after the last.
 */
const COUNTED: Units = [13, 0, FEW + 1];
const JUNK = 'data: {"choices":[{"index":0,"delta":{"content":"wo\n\n';

export const IN_STREAM: readonly Fault[] = [
  {
    name: `stream cut at ${CUT_AFTER} of ${WHOLE} frames`,
    async run(test) {
      // Once by a broken connection, once by an end that looks clean.
      for (const end of ["destroy", "end"] as const) {
        play(test, {
          upstream: (response) => {
            stream(response, CUT_AFTER);
            test.whenSeen(CUT_AFTER, () => response[end]());
          },
          raw: ({ call, response }) => {
            say({ call, response }, CUT_AFTER);
            test.whenSeen(CUT_AFTER, () => response[end]());
          },
        });
        await isCut(test, { frames: CUT_AFTER, code: "provider_unavailable" });
      }
    },
  },
  {
    name: "stall in the stream",
    async run(test) {
      const { faulty, raw } = test.network;
      const before = [faulty.upstream.abandoned, raw.abandoned];
      // Silent until it is let go.
      play(test, { upstream: (response) => stream(response, FEW), raw: (ask) => say(ask, FEW) });
      await isCut(test, { frames: FEW, code: "timeout" });
      await test.eventually(
        () => faulty.upstream.abandoned > (before[0] ?? 0) && raw.abandoned > (before[1] ?? 0),
        "who stalls is let go",
      );
    },
  },
  {
    name: "malformed chunk",
    async run(test) {
      const { network, tally } = test;
      const { client, faulty, raw, sound } = network;
      const play_ = (frames: number) =>
        play(test, {
          upstream: (response) => {
            stream(response, frames);
            test.whenSeen(frames, () => response.end(`${JUNK}data: [DONE]\n\n`));
          },
          raw: (ask) => {
            say(ask, frames);
            test.whenSeen(frames, () => {
              ask.response.write(JUNK);
              state(ask, frames);
              ask.response.end("data: [DONE]\n\n");
            });
          },
        });
      play_(0);
      for (const at of [faulty, raw]) {
        const answer = await client.ask({ stream: true, provider: pin(at, sound) });
        await tally.add(answer, { failed: [[at.id, "provider_unavailable"]], servedBy: sound.id });
      }
      play_(FEW);
      await isCut(test, { frames: FEW, code: "provider_unavailable" });
    },
  },
  {
    name: "no [DONE], no usage",
    async run(test) {
      const { network, tally } = test;
      const { client, faulty, raw, sound } = network;
      // A node counts what its inference server did not.
      faulty.upstream.play = (response) => {
        stream(response, FEW);
        finish(response, false);
        response.end();
      };
      const counted = await client.ask({ stream: true, provider: pin(faulty, sound) });
      assert.deepEqual([counted.frames, counted.done], [FEW, true]);
      await tally.add(counted, { servedBy: faulty.id, words: FEW, units: COUNTED });
      // A provider that states the usage has said all that matters.
      raw.play = (ask) => {
        say(ask, FEW);
        state(ask, FEW);
        ask.response.end();
      };
      const stated = await client.ask({ stream: true, provider: pin(raw, sound) });
      assert.deepEqual([stated.frames, stated.done], [FEW, true]);
      await tally.add(stated, { servedBy: raw.id, words: FEW });
      // One that does not state it gets nothing.
      raw.play = (ask) => {
        say(ask, FEW);
        ask.response.end("data: [DONE]\n\n");
      };
      const silent = await client.ask({ stream: true, provider: pin(raw, sound) });
      await expectCut(test, silent, { at: raw.id, frames: FEW, code: "provider_unavailable" });
    },
  },
  {
    name: "a provider that comes and goes",
    async run({ network, tally }) {
      const { client, flapping, sound, limits } = network;
      const period = limits.flapMs / 6;
      const began = Date.now();
      const isDown = () => Math.floor((Date.now() - began) / period) % 2 === 0;
      let answered = 0;
      flapping.play = (ask) => {
        if (isDown()) return json(ask.response, 502, {});
        answered++;
        serveWell(ask);
      };
      const provider = pin(flapping, sound);
      const served = new Map([flapping, sound].map(({ id }) => [id, 0]));
      while (Date.now() - began < limits.flapMs) {
        const answers = await Promise.all(
          [false, true, false].map((stream) => client.ask({ provider, stream })),
        );
        for (const answer of answers) {
          assert.equal(answer.status, 200, JSON.stringify(answer.error));
          const servedBy = answer.aimo?.provider.id ?? 0;
          const failed = servedBy === sound.id ? ([[flapping.id, "provider_unavailable"]] as const) : [];
          await tally.add(answer, { failed, servedBy });
          served.set(servedBy, (served.get(servedBy) ?? 0) + 1);
        }
        await wait(period / 10);
      }
      assert.equal(served.get(flapping.id), answered, "it is paid for as many answers as it gave");
      assert.ok([...served.values()].every((count) => count > 0) && served.size === 2, "both served");
    },
  },
];

type Cut = { readonly frames: number; readonly code: string };

/** Whoever breaks off, what came is there, the stream does not look whole, and it is free. */
async function isCut(test: Test, cut: Cut): Promise<void> {
  const { client, faulty, raw, sound } = test.network;
  // The node hides why its inference server failed.
  for (const at of [faulty, raw]) {
    const answer = await client.ask({ stream: true, provider: pin(at, sound) });
    await expectCut(test, answer, { ...cut, at: at.id });
  }
}

async function expectCut(
  { tally }: Test,
  answer: Answer,
  { at, frames, code }: Cut & { readonly at: number },
): Promise<void> {
  assert.equal(answer.status, 200);
  assert.deepEqual([answer.frames, answer.done], [frames, false], "what came, and no [DONE]");
  assert.equal(answer.error?.code, code);
  await tally.add(answer, { failed: [[at, code]] });
}
