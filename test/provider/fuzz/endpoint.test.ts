import { startDemoServer } from "@aimo/provider/demo/server";
import { expect } from "chai";
import fc from "fast-check";
import { hostileJson } from "../../relay/fuzz/hostile-json.ts";
import { change, exchange, mutated } from "../../relay/fuzz/mutants.ts";
import { RUNS, SEED } from "../../relay/fuzz/runs.ts";
import { attemptOn, chatBody, MODELS, startWorld, type World } from "../support/provider.ts";
import { inferPath, type RelayClient } from "../support/relay-client.ts";

const LAST = "GET /health HTTP/1.1\r\nhost: provider\r\nconnection: close\r\n\r\n";
const AT_ONCE = 16;
const SESSION_ID = "11111111-2222-4333-8444-555555555555";

const OFFER = JSON.stringify({
  ...{ version: 1, chainId: 31_337, relayId: 7, providerId: 3 },
  ...{ nonce: `0x${"ab".repeat(32)}`, ephemeral: `0x02${"cd".repeat(32)}` },
});
const post = (path: string, body: string, headers = "") =>
  `POST ${path} HTTP/1.1\r\nhost: provider\r\ncontent-type: application/json\r\n${headers}` +
  `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const IN_SESSION = `aimo-session: ${SESSION_ID}\r\naimo-seq: 1\r\naimo-mac: 0x${"00".repeat(32)}\r\n`;
const REQUESTS = [
  post("/aimo/v1/session", OFFER),
  post(`/aimo/v1/session/${SESSION_ID}/confirm`, JSON.stringify({ signature: `0x${"11".repeat(65)}` })),
  post(`/aimo/v1/session/${SESSION_ID}/ack`, '{"cumulative":"1","signature":"0x"}', IN_SESSION),
  post(inferPath("chat", attemptOn()), chatBody(), IN_SESSION),
  `GET /aimo/v1/session/${SESSION_ID}/stream HTTP/1.1\r\nhost: provider\r\n${IN_SESSION}` +
    "connection: upgrade\r\nupgrade: aimo-frames\r\n\r\n",
  `GET /aimo/v1/session/${SESSION_ID}/events HTTP/1.1\r\nhost: provider\r\n${IN_SESSION}\r\n`,
];

describe(`a provider's endpoint (seed ${SEED})`, () => {
  let world: World;
  let relay: RelayClient;
  let close: () => Promise<void>;
  const thrown: unknown[] = [];
  const onThrown = (reason: unknown) => thrown.push(reason);
  before(async () => {
    process.on("unhandledRejection", onThrown);
    const demo = await startDemoServer();
    const models = MODELS.map((model) => ({ ...model, upstreamModel: "demo-text" }));
    world = await startWorld({ upstream: demo.url, creditLimit: 10n ** 24n, models });
    relay = await world.connect();
    close = () => demo.close();
  });
  after(async () => {
    await world.provider.close(0);
    await close();
    process.off("unhandledRejection", onThrown);
  });
  const expectServing = async () => {
    expect(thrown).to.deep.equal([]);
    expect((await relay.send("POST", inferPath("chat", attemptOn()), chatBody())).status).to.equal(200);
  };

  it("takes bytes near to its protocol without a fault of its own, and serves the next", async function () {
    this.timeout(0);
    const mutant = fc.record({ which: fc.nat(), changes: fc.array(change, { maxLength: 4 }) });
    const law = fc.asyncProperty(
      fc.array(mutant, { minLength: AT_ONCE, maxLength: AT_ONCE }),
      async (mutants) => {
        const replies = await Promise.all(
          mutants.map(({ which, changes }) =>
            exchange(world.provider.url, [mutated(REQUESTS[which % REQUESTS.length] ?? "", changes), LAST]),
          ),
        );
        for (const reply of replies) expect(reply).not.to.match(/HTTP\/1\.1 (5\d\d|[23]\d\d (?!OK))/);
        await expectServing();
      },
    );
    await fc.assert(law, { numRuns: RUNS, seed: SEED, endOnFailure: true });
  });

  it("answers a relay's own hostile bodies in form", async function () {
    this.timeout(0);
    const bodies = hostileJson(
      fc.constantFrom<object>(...[{}, { stream: true }].map((rest) => JSON.parse(chatBody(rest)))),
    );
    const law = fc.asyncProperty(bodies, async (body) => {
      const { status, text } = await relay.send("POST", inferPath("chat", attemptOn()), body);
      expect(status, text).to.be.within(200, 499);
      if (status !== 200) expect(JSON.parse(text).error).to.include.keys("code", "message");
      await expectServing();
    });
    await fc.assert(law, { numRuns: RUNS * 4, seed: SEED, endOnFailure: true });
  });
});
