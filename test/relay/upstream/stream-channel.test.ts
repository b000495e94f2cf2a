import { FRAME, MAX_DATA_BYTES, MAX_STREAM_BODY, MAX_STREAMS, STREAM_WINDOW } from "@aimo/node/stream-frames";
import { expect } from "chai";
import { openPair, type RawPair, rawRequest, Told } from "../support/raw-channel.ts";
import { until } from "../support/test-relay.ts";

const CHUNK = Buffer.alloc(MAX_DATA_BYTES, "x");
const WHOLE_WINDOW = STREAM_WINDOW / CHUNK.length;

describe("a relay's channel to a provider", () => {
  let pair: RawPair;
  const ask = (told = new Told()) => ({ told, stream: pair.channel.send(rawRequest(), told) });
  const untilAsked = (count: number) => until(() => pair.provider.asked.length === count);
  afterEach(() => pair.close());

  it("carries many requests at once, and their answers in any order", async () => {
    pair = await openPair();
    const all = Array.from({ length: 50 }, () => ask());
    await untilAsked(50);
    const { provider } = pair;
    const ids = provider.asked.map(({ stream }) => stream);
    expect(new Set(ids).size).to.equal(50);
    for (const id of ids) provider.head(id);
    for (const part of ["a", "b"]) for (const id of ids.toReversed()) provider.data(id, `${part}${id};`);
    for (const id of ids) provider.end(id);
    await until(() => all.every(({ told }) => told.ended));
    for (const { told, stream } of all) expect(told.text).to.equal(`a${stream.id};b${stream.id};`);
  });

  it("grants a paused stream nothing, while others flow", async () => {
    pair = await openPair();
    const { provider } = pair;
    const [slow, fast] = [ask(), ask()];
    slow.told.onChunk = () => slow.stream.pause();
    await untilAsked(2);
    for (const { stream } of [slow, fast]) provider.head(stream.id);
    for (let i = 0; i < WHOLE_WINDOW; i++) provider.data(slow.stream.id, CHUNK);
    // Ten windows: as often as the relay grants more.
    let sent = 0;
    for (let i = 0; i < 10 * WHOLE_WINDOW; i++) {
      await until(() => sent + CHUNK.length <= STREAM_WINDOW + (provider.granted.get(fast.stream.id) ?? 0));
      provider.data(fast.stream.id, CHUNK);
      sent += CHUNK.length;
    }
    provider.end(fast.stream.id);
    await until(() => fast.told.ended);
    expect(fast.told.bytes).to.equal(10 * STREAM_WINDOW);
    expect(slow.told.bytes, "one chunk, then pause").to.equal(CHUNK.length);
    expect(provider.granted.has(slow.stream.id)).to.equal(false);
    slow.told.onChunk = () => {};
    slow.stream.resume();
    expect(slow.told.bytes).to.equal(STREAM_WINDOW);
    await until(() => provider.granted.get(slow.stream.id) === STREAM_WINDOW);
  });

  it("gives what came in a pause, and then the end", async () => {
    pair = await openPair();
    const { provider } = pair;
    const { told, stream } = ask();
    stream.pause();
    const other = ask();
    await untilAsked(2);
    provider.head(stream.id);
    provider.data(stream.id, "one ");
    provider.data(stream.id, "two");
    provider.end(stream.id);
    provider.head(other.stream.id);
    provider.end(other.stream.id);
    await until(() => other.told.ended);
    expect(told).to.include({ text: "", ended: false });
    told.onChunk = () => stream.pause();
    stream.resume();
    expect(told).to.include({ text: "one ", ended: false });
    told.onChunk = () => {};
    stream.resume();
    expect(told).to.include({ text: "one two", ended: true });
  });

  it("ends at the first byte above the window, and every request with it", async () => {
    pair = await openPair();
    const [greedy, other] = [ask(), ask()];
    greedy.stream.pause();
    await untilAsked(2);
    pair.provider.head(greedy.stream.id);
    for (let i = 0; i < WHOLE_WINDOW; i++) pair.provider.data(greedy.stream.id, CHUNK);
    pair.provider.data(greedy.stream.id, "x");
    await pair.channel.closed;
    expect(greedy.told.error?.code).to.equal("provider_unavailable");
    expect(other.told.error?.code).to.equal("provider_unavailable");
    expect(pair.channel.takes(0)).to.equal(false);
  });

  it("tells only the one whose answer was broken off", async () => {
    pair = await openPair();
    const [first, second] = [ask(), ask()];
    await untilAsked(2);
    pair.provider.head(first.stream.id);
    pair.provider.data(first.stream.id, "Hel");
    pair.provider.writer.begin(FRAME.cut, first.stream.id, 0);
    pair.provider.head(second.stream.id);
    pair.provider.end(second.stream.id);
    await until(() => second.told.ended);
    expect(first.told).to.include({ text: "Hel", ended: false });
    expect(first.told.error?.code).to.equal("provider_unavailable");
  });

  it("fails what waits when the provider goes", async () => {
    pair = await openPair();
    const all = [ask(), ask(), ask()];
    await untilAsked(3);
    pair.provider.socket.destroy();
    await pair.channel.closed;
    for (const { told } of all) expect(told.error?.code).to.equal("provider_unavailable");
  });

  it("gives up one that is silent, before its head and after it, and not one that is paused", async () => {
    pair = await openPair({ firstByteMs: 40, idleMs: 40 });
    const [mute, stuck, paused] = [ask(), ask(), ask()];
    await untilAsked(3);
    pair.provider.head(stuck.stream.id);
    pair.provider.head(paused.stream.id);
    await until(() => paused.told.status === 200);
    paused.stream.pause();
    await until(() => pair.provider.stopped.length === 2);
    expect(mute.told.error?.code).to.equal("timeout");
    expect(stuck.told.error?.code).to.equal("timeout");
    expect(paused.told.error).to.equal(undefined);
    expect(pair.provider.stopped).to.have.members([mute.stream.id, stuck.stream.id]);
    // What comes late is nobody's any more, and no fault.
    pair.provider.head(mute.stream.id);
    pair.provider.data(stuck.stream.id, "late");
    const next = ask();
    await untilAsked(4);
    pair.provider.head(next.stream.id);
    pair.provider.end(next.stream.id);
    await until(() => next.told.ended);
  });

  it("stops a stream that is not wanted, and hears no more of it", async () => {
    pair = await openPair();
    const { told, stream } = ask();
    await untilAsked(1);
    stream.abort();
    await until(() => pair.provider.stopped.includes(stream.id));
    pair.provider.head(stream.id);
    pair.provider.data(stream.id, "late");
    pair.provider.end(stream.id);
    const next = ask();
    await untilAsked(2);
    pair.provider.head(next.stream.id);
    pair.provider.end(next.stream.id);
    await until(() => next.told.ended);
    expect(told).to.include({ status: 0, text: "", ended: false, error: undefined });
  });

  for (const [name, junk] of [
    [
      "a frame that is too long",
      (to: RawPair) => to.provider.writer.frame(FRAME.data, 1, Buffer.alloc(1 << 20)),
    ],
    ["data before the head", (to: RawPair) => to.provider.data(1, "x")],
    ["an end before the head", (to: RawPair) => to.provider.end(1)],
    ["a second head", (to: RawPair) => [1, 2].forEach(() => to.provider.head(1))],
    ["a head cut short", (to: RawPair) => to.provider.writer.frame(FRAME.head, 1, Buffer.alloc(3))],
    ["a type of nobody's", (to: RawPair) => to.provider.writer.begin(99, 1, 0)],
    ["a request", (to: RawPair) => to.provider.writer.begin(FRAME.request, 77, 0)],
    ["plain text", (to: RawPair) => to.provider.socket.write("HTTP/1.1 200 OK\r\n\r\n")],
  ] as const)
    it(`ends at ${name}, and nothing hangs`, async () => {
      pair = await openPair();
      const all = [ask(), ask()];
      await untilAsked(2);
      junk(pair);
      await pair.channel.closed;
      for (const { told } of all) expect(told.error?.code).to.equal("provider_unavailable");
    });

  it("takes no large bodies, and only so many streams", async () => {
    pair = await openPair();
    expect(pair.channel.takes(MAX_STREAM_BODY)).to.equal(true);
    expect(pair.channel.takes(MAX_STREAM_BODY + 1)).to.equal(false);
    for (let i = 0; i < MAX_STREAMS; i++) ask();
    expect(pair.channel.takes(0)).to.equal(false);
  });

  it("lets answers come when it is left, and closes after the last", async () => {
    pair = await openPair();
    const { told, stream } = ask();
    await untilAsked(1);
    pair.channel.leave();
    expect(pair.channel.takes(0)).to.equal(false);
    pair.provider.head(stream.id);
    pair.provider.data(stream.id, "Bye.");
    pair.provider.end(stream.id);
    pair.provider.socket.on("end", () => pair.provider.socket.end());
    await pair.channel.closed;
    expect(told).to.include({ text: "Bye.", ended: true, error: undefined });
  });
});
