import { connect } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { BodyRoom } from "../../../relay/src/http/body-room.ts";
import {
  CHAT,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  USER_ID,
  until,
} from "../support/test-relay.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

describe("room for large bodies", () => {
  let relay: TestRelay | undefined;
  afterEach(() => relay?.close());

  const large = (kib: number) => ({ ...CHAT, messages: [{ role: "user", content: "x".repeat(kib * KIB) }] });

  it("is never exceeded by more than one body alone, and is empty when all have left", () => {
    const bodies = fc.array(
      fc.record({
        user: fc.integer({ min: 1, max: 5 }),
        bytes: fc.integer({ min: 65 * KIB, max: MIB }),
        leaves: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(bodies, (all) => {
        const room = new BodyRoom(MIB);
        const inside: { user: number; bytes: number }[] = [];
        const sum = (user?: number) =>
          inside.filter((one) => !user || one.user === user).reduce((total, { bytes }) => total + bytes, 0);
        for (const { user, bytes, leaves } of all) {
          const wasAlone = { own: sum(user) === 0, all: sum() === 0 };
          const refusal = room.take(user, bytes);
          if (!refusal) inside.push({ user, bytes });
          const fitsOwn = wasAlone.own || sum(user) + (refusal ? bytes : 0) <= MIB / 4;
          const fitsAll = wasAlone.all || sum() + (refusal ? bytes : 0) <= MIB;
          expect(refusal === undefined).to.equal(fitsOwn && fitsAll);
          const first = leaves ? inside.shift() : undefined;
          if (first) room.leave(first.user, first.bytes);
        }
        for (const { user, bytes } of inside) room.leave(user, bytes);
        for (const user of [1, 2]) expect(room.take(user, MIB / 2)).to.equal(undefined);
      }),
    );
  });

  it("is taken until the answer has ended, and refused with the numbers", async () => {
    relay = await startTestRelay({ settings: { maxBodyBytes: MIB, maxBodiesBytes: MIB } });
    const held = Promise.withResolvers<void>();
    const stand = providerOf(relay);
    const { onAsk } = stand;
    stand.onAsk = (ask) => void held.promise.then(() => onAsk(ask));
    const first = relay.post("/v1/chat/completions", large(200));
    const { admission } = relay;
    await until(() => admission.inFlight === 1);
    const second = await relay.post("/v1/chat/completions", large(200));
    expect(second.status).to.equal(429);
    expect(Number(second.headers.get("retry-after"))).to.equal(1);
    expect((await jsonOf(second)).error.message).to.match(/0\.25 MiB at a time; 20\d{4} bytes more/);
    const small = relay.post("/v1/chat/completions", large(1));
    await until(() => admission.inFlight === 2);
    held.resolve();
    expect([(await first).status, (await small).status]).to.deep.equal([200, 200]);
    await (await first).text();
    expect((await relay.post("/v1/chat/completions", large(200))).status).to.equal(200);
  });

  it("is given back where a client leaves whose request stands behind another one", async () => {
    relay = await startTestRelay({ settings: { maxBodyBytes: MIB, maxBodiesBytes: MIB } });
    const stand = providerOf(relay);
    const held = Promise.withResolvers<void>();
    const { onAsk } = stand;
    stand.onAsk = (ask) => void held.promise.then(() => onAsk(ask));
    const { admission, key, url } = relay;
    const head = (length: number) =>
      `POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${key}\r\n` +
      `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
    const body = JSON.stringify(CHAT);
    for (let i = 0; i < 3; i++) {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.write(`${head(body.length)}${body}${head(200 * KIB)}x`);
      await until(() => admission.inFlight === 1);
      socket.destroy();
      await until(() => admission.inFlight === 0);
    }
    const next = relay.post("/v1/chat/completions", large(200));
    await until(() => admission.inFlight === 1);
    held.resolve();
    expect((await next).status).to.equal(200);
  });

  it("serves nobody who has left behind another request of theirs", async () => {
    relay = await startTestRelay();
    const stand = providerOf(relay);
    const asked: unknown[] = [];
    stand.onAsk = (ask) => void asked.push(ask);
    const { admission, key, url } = relay;
    const body = JSON.stringify({ ...CHAT, stream: true });
    const one =
      `POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${key}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write(one + one);
    await until(() => asked.length === 2);
    socket.destroy();
    await until(() => admission.inFlight === 0);
    expect(relay.ledger.balanceOf(USER_ID)?.held).to.equal(0n);
  });
});
