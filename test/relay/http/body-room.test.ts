import { expect } from "chai";
import fc from "fast-check";
import { BodyRoom } from "../../../relay/src/http/body-room.ts";
import { CHAT, jsonOf, providerOf, startTestRelay, type TestRelay, until } from "../support/test-relay.ts";

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
});
