import { expect } from "chai";
import fc from "fast-check";
import { CHAT, startTestRelay, type TestRelay, until } from "../support/test-relay.ts";
import { expectInForm } from "./laws.ts";
import { change, exchange, mutated } from "./mutants.ts";
import { RUNS, SEED } from "./runs.ts";

/** What follows each mutant: whatever it was, the connection ends. */
const LAST = "GET /health HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
const AT_ONCE = 16;

const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
const requests = (key: string): string[] => {
  const body = JSON.stringify(CHAT);
  const head = (line: string, rest = "") =>
    `${line} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${key}\r\n${rest}\r\n`;
  const post = (rest: string) =>
    head("POST /v1/chat/completions", `content-type: application/json\r\n${rest}`);
  const length = `content-length: ${body.length}\r\n`;
  const form = '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--b--\r\n';
  return [
    post(length) + body,
    post("transfer-encoding: chunked\r\n") + chunked(body),
    post(`${length}transfer-encoding: chunked\r\n`) + chunked(body),
    post(`${length}expect: 100-continue\r\n`) + body,
    post(length) + JSON.stringify({ ...CHAT, stream: true }).slice(0, body.length),
    head("GET /v1/models?limit=1"),
    head("GET /v1/models") + head("HEAD /health") + head("OPTIONS /v1/keys"),
    head(
      "POST /v1/files",
      `content-type: multipart/form-data; boundary=b\r\ncontent-length: ${form.length}\r\n`,
    ) + form,
    head("GET /v1/models", "upgrade: websocket\r\nconnection: upgrade\r\n"),
  ];
};

describe(`bytes near to HTTP (seed ${SEED})`, () => {
  let relay: TestRelay;
  const thrown: unknown[] = [];
  const onThrown = (reason: unknown) => thrown.push(reason);
  before(async () => {
    process.on("unhandledRejection", onThrown);
    const settings = { headersTimeoutMs: 150, requestTimeoutMs: 200, requestsPerMinute: 10 ** 9 };
    relay = await startTestRelay({
      settings,
      admission: { tierLimits: { requestsPerMinute: 10 ** 9 } },
    });
    relay.ledger.open(9, 10n ** 24n);
  });
  after(async () => {
    await relay.close();
    process.off("unhandledRejection", onThrown);
  });

  it("are answered in form, or closed; nothing is left of them, and the next is served", async function () {
    this.timeout(0);
    const mutant = fc.record({ which: fc.nat(), changes: fc.array(change, { maxLength: 4 }) });
    const law = fc.asyncProperty(
      fc.array(mutant, { minLength: AT_ONCE, maxLength: AT_ONCE }),
      async (mutants) => {
        const known = requests(relay.key);
        const replies = await Promise.all(
          mutants.map(({ which, changes }) =>
            exchange(relay.url, [mutated(known[which % known.length] ?? "", changes), LAST]),
          ),
        );
        for (const reply of replies) expectInForm(reply);
        await until(() => relay.ledger.holds.size === 0 && relay.admission.inFlight === 0);
        expect(thrown).to.deep.equal([]);
        expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(200);
      },
    );
    await fc.assert(law, { numRuns: RUNS, seed: SEED, endOnFailure: true });
  });
});
