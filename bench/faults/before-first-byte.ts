import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { type Fault, failsOver, pin, play, type Test } from "./fault.ts";
import { reply, serveWell, usageHeaders } from "./raw-provider.ts";
import { answerWell, json } from "./scripted-upstream.ts";

/** Faults that show before the client has got anything: somebody else can serve. */

const TIMES_THROTTLED = 8;
const RETRY_AFTER_S = 2;
const RETRY_AFTER = { "retry-after": `${RETRY_AFTER_S}` };
/** Longer than it takes until chance picks a provider that may be picked again. */
const ASKED_AGAIN_MS = 10_000;
const BETWEEN_MS = 20;
const busy = { error: { message: "Slow down.", type: "rate_limit_error", code: "rate_limit_exceeded" } };
const down = { error: { message: "Something went wrong.", type: "server_error" } };

export const BEFORE_FIRST_BYTE: readonly Fault[] = [
  {
    name: "429 with Retry-After",
    async run(test) {
      play(test, {
        upstream: (response) => json(response, 429, busy, RETRY_AFTER),
        raw: ({ response }) => json(response, 429, busy, RETRY_AFTER),
      });
      await failsOver(test, "overloaded");
      await isLeftAlone(test);
    },
  },
  {
    name: "429 to every request",
    async run({ network, tally }) {
      const { throttled, sound, client } = network;
      throttled.play = ({ response }) => json(response, 429, busy);
      const provider = { only: [`${throttled.id}`, `${sound.id}`], order: [`${throttled.id}`] };
      const failed = [[throttled.id, "overloaded"]] as const;
      for (let turn = 0; turn < TIMES_THROTTLED; turn++)
        await tally.add(await client.ask({ provider, stream: turn % 2 === 1 }), {
          failed,
          servedBy: sound.id,
        });
      const alone = await client.ask({ provider: { only: [`${throttled.id}`] } });
      assert.equal(alone.status, 503);
      assert.equal(alone.error?.code, "overloaded");
      assert.ok(Number(alone.retryAfter) >= 1, "Retry-After is told");
      await tally.add(alone, { failed });
    },
  },
  {
    name: "500 once",
    async run(test) {
      const { network, tally } = test;
      const { client, faulty, sound, raw } = network;
      for (const at of [faulty, raw]) {
        let asked = 0;
        const once = (): boolean => asked++ === 0;
        play(test, {
          upstream: (response, streamed) =>
            once() ? json(response, 500, down) : answerWell(response, streamed),
          raw: (ask) => (once() ? json(ask.response, 500, down) : serveWell(ask)),
        });
        const provider = pin(at, sound);
        const failed = [[at.id, "provider_unavailable"]] as const;
        await tally.add(await client.ask({ provider }), { failed, servedBy: sound.id });
        await tally.add(await client.ask({ provider }), { servedBy: at.id });
      }
    },
  },
  {
    name: "503",
    async run(test) {
      play(test, {
        upstream: (response) => json(response, 503, down),
        raw: ({ response }) => json(response, 503, down),
      });
      // A node tells its relay only that its inference server failed; a provider's own 503 says that it is full.
      await failsOver(test, { upstream: "provider_unavailable", raw: "overloaded" });
    },
  },
  {
    name: "TCP reset",
    async run(test) {
      play(test, {
        upstream: (response) => response.socket?.resetAndDestroy(),
        raw: ({ response }) => response.socket?.resetAndDestroy(),
      });
      await failsOver(test, "provider_unavailable");
      const { network, tally } = test;
      const { raw, sound, client } = network;
      raw.play = ({ response }) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": 1_000 });
        response.write('{"choices":[', () => response.socket?.resetAndDestroy());
      };
      const failed = [[raw.id, "provider_unavailable"]] as const;
      const answer = await client.ask({ provider: pin(raw, sound) });
      await tally.add(answer, { failed, servedBy: sound.id });
    },
  },
  {
    name: "no response",
    async run(test) {
      const { faulty, raw } = test.network;
      const before = [faulty.upstream.abandoned, raw.abandoned];
      play(test, { upstream: () => {}, raw: () => {} });
      await failsOver(test, "timeout");
      await test.eventually(() => {
        const let_go = [faulty.upstream.abandoned, raw.abandoned].map((now, i) => now - (before[i] ?? 0));
        return let_go.every((count) => count === 2);
      }, "whoever was given up is told so");
    },
  },
  {
    name: "slow first token",
    async run(test) {
      const { network, tally } = test;
      const { client, faulty, raw, sound, limits } = network;
      const late = (ms: number) =>
        play(test, {
          upstream: (response, streamed) => void setTimeout(() => answerWell(response, streamed), ms),
          raw: (ask) => void setTimeout(() => serveWell(ask), ms),
        });
      late(limits.firstByteMs / 3);
      for (const at of [faulty, raw])
        await tally.add(await client.ask({ provider: pin(at, sound), stream: true }), { servedBy: at.id });
      // The head comes at once and the first token too late: nothing has reached the client yet.
      raw.play = (ask) => {
        ask.response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      };
      const answer = await client.ask({ provider: pin(raw, sound), stream: true });
      await tally.add(answer, { failed: [[raw.id, "timeout"]], servedBy: sound.id });
    },
  },
  {
    name: "context length exceeded (400)",
    run: (test) => isRefused(test, "This model's maximum context length is 8192 tokens."),
  },
  {
    name: "content filter (400)",
    run: (test) => isRefused(test, "The request was refused by the content filter."),
  },
  {
    name: "a fallback that rejects the request",
    async run(test) {
      const { network, tally } = test;
      const { client, faulty, sound, third } = network;
      const message = "Prefilling the assistant's answer is not supported.";
      faulty.upstream.play = (response) => json(response, 500, down);
      sound.upstream.play = (response) => json(response, 400, { error: { message, param: "messages" } });
      const messages = [
        { role: "user", content: "What is a ledger?" },
        { role: "assistant", content: "A ledger is" },
      ];
      const failed = [
        [faulty.id, "provider_unavailable"],
        [sound.id, "invalid_request"],
      ] as const;
      // The first in the order would have taken it, so the next one may too.
      for (const stream of [false, true]) {
        const answer = await client.ask({ messages, stream, provider: pin(faulty, sound, third) });
        await tally.add(answer, { failed, servedBy: third.id });
      }
      const answer = await client.ask({ messages, provider: pin(faulty, sound) });
      assert.equal(answer.status, 400);
      assert.equal(answer.error?.message, message);
      await tally.add(answer, { failed });
      await tally.expectBooked();
    },
  },
  {
    name: "only the attempt that served is billed",
    async run(test) {
      const { network, tally } = test;
      const { client, raw, sound } = network;
      const before = raw.groups;
      // Says what it served, signs for it, and breaks off before all of it is there.
      raw.play = (ask) => {
        const head = { "content-type": "application/json", "content-length": 10_000 };
        ask.response.writeHead(200, { ...head, ...usageHeaders(ask.call) });
        ask.response.write('{"choices":[', () => ask.response.destroy());
      };
      const failed = [[raw.id, "provider_unavailable"]] as const;
      const cut = await client.ask({ provider: pin(raw, sound) });
      await tally.add(cut, { failed, servedBy: sound.id });
      await test.eventually(() => raw.groups > before, "the receipt of the cut answer is sent");
      const afterCut = raw.groups;
      // Answers when nobody waits any more, and signs for that too.
      raw.play = (ask) => void ask.response.once("close", () => reply(ask));
      const late = await client.ask({ provider: pin(raw, sound) });
      await tally.add(late, { failed: [[raw.id, "timeout"]], servedBy: sound.id });
      await test.eventually(() => raw.groups > afterCut, "the late receipt is sent");
    },
  },
];

/**
 * A provider that said when it will be ready is not asked before, as long as the caller does not name it and somebody else
 * serves; then it is asked again.
 */
async function isLeftAlone(test: Test): Promise<void> {
  const { client, faulty, raw, sound } = test.network;
  for (const at of [faulty, raw]) {
    /** When it was asked. The relay's pause begins after the first, which is refused. */
    const asked: number[] = [];
    const isRefused = () => asked.push(Date.now()) === 1;
    play(test, {
      upstream: (response, streamed) =>
        isRefused() ? json(response, 429, busy, RETRY_AFTER) : answerWell(response, streamed),
      raw: (ask) => (isRefused() ? json(ask.response, 429, busy, RETRY_AFTER) : serveWell(ask)),
    });
    const failed = [[at.id, "overloaded"]] as const;
    const refused = await client.ask({ provider: pin(at, sound) });
    await test.tally.add(refused, { failed, servedBy: sound.id });
    const deadline = Date.now() + ASKED_AGAIN_MS;
    while (asked.length < 2) {
      assert.ok(Date.now() < deadline, "it is asked again when its pause is over");
      const answer = await client.ask({ provider: { only: [`${at.id}`, `${sound.id}`] } });
      await test.tally.add(answer, { servedBy: asked.length < 2 ? sound.id : at.id });
      await wait(BETWEEN_MS);
    }
    const pauseMs = (asked[1] ?? 0) - (asked[0] ?? 0);
    assert.ok(pauseMs >= RETRY_AFTER_S * 1_000, `It was asked again after ${pauseMs} ms.`);
  }
}

/** A request that no provider would take is refused in the words of the inference server, once and for free. */
async function isRefused(test: Parameters<Fault["run"]>[0], message: string): Promise<void> {
  const { network, tally } = test;
  const { client, faulty, raw, sound } = network;
  const body = { error: { message, type: "invalid_request_error", param: "messages" } };
  play(test, {
    upstream: (response) => json(response, 400, body),
    raw: ({ response }) => json(response, 400, body),
  });
  const others = sound.upstream.asked;
  for (const at of [faulty, raw])
    for (const stream of [false, true]) {
      const answer = await client.ask({ provider: pin(at, sound), stream });
      assert.equal(answer.status, 400);
      assert.equal(answer.error?.message, message);
      await tally.add(answer, { failed: [[at.id, "invalid_request"]] });
    }
  assert.equal(sound.upstream.asked, others, "nobody else is asked");
}
