import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import fc from "fast-check";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { createSiweMessage } from "viem/siwe";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";
import { until } from "../support/test-relay.ts";
import { GOOD_BODIES } from "./good-bodies.ts";
import { hostileRequest, operationsOf, type Sent } from "./hostile-request.ts";
import { faultOf, type Reply } from "./laws.ts";
import { RUNS, SEED, WAIT_MS } from "./runs.ts";

/** Refusals that hostile wishes for a provider lead to; nothing else of 5xx has a reason here. */
const ALLOWED = new Set(["model_unavailable"]);
/** They need what a body alone cannot have: a file, a wallet's signature. */
const NEVER_SERVED = new Set(["/v1/batches", "/v1/auth/siwe"]);

for (const workers of [1, 2])
  describe(`requests near to what the routes take (${workers} serving, seed ${SEED})`, () => {
    let relay: RelayWithProvider;
    let operations: ReturnType<typeof operationsOf>;
    let session: string;
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const thrown: unknown[] = [];
    const onThrown = (reason: unknown) => thrown.push(reason);

    before(async () => {
      process.on("unhandledRejection", onThrown);
      const settings = {
        workers,
        http: { port: 0, requestsPerMinute: 10_000_000, authCallsPerMinute: 100_000 },
        tiers: { proRequestsPerMinute: 10 ** 9, proTokensPerMinute: 10 ** 13 },
      };
      relay = await startRelayWithProvider(settings, { creditLimit: 10n ** 24n });
      relay.ledger.open(1, 10n ** 24n);
      operations = operationsOf(await (await fetch(`${relay.url}/openapi.json`)).json());
      session = await signIn(relay.url);
      await until(() => relay.ledger.holds.size === 0);
    });
    after(async () => {
      agent.destroy();
      await relay.close();
      process.off("unhandledRejection", onThrown);
    });

    it("knows the routes from the relay's own description", () => {
      expect(operations.length).to.be.greaterThan(30);
      expect(operations.filter(({ contentType }) => contentType !== undefined).length).to.be.greaterThan(10);
    });

    it("are near to what is served", async () => {
      for (const [path, [body]] of Object.entries(GOOD_BODIES)) {
        if (NEVER_SERVED.has(path)) continue;
        await relay.announce();
        const headers = { "content-type": "application/json", authorization: `Bearer ${relay.key}` };
        const reply = await send({ method: "POST", path, headers, body: JSON.stringify(body) });
        expect(reply.status, `${path} ${reply.body}`).to.equal(200);
      }
    });

    it("are answered in form, without a fault of the relay's, and leave nothing behind", async function () {
      this.timeout(0);
      for (const operation of operations) {
        await relay.announce();
        const sent = hostileRequest(operation, { key: relay.key, session });
        const law = fc.asyncProperty(sent, async (one) => {
          const reply = await send(one);
          expect(faultOf(one.path, reply, ALLOWED)).to.equal(undefined);
          expect(thrown).to.deep.equal([]);
        });
        await fc.assert(law, { numRuns: RUNS, seed: SEED, endOnFailure: false });
        await expectIdle(operation.path);
      }
    });

    it("are answered when they come eight at a time", async function () {
      this.timeout(0);
      const any = fc.oneof(...operations.map((one) => hostileRequest(one, { key: relay.key, session })));
      const law = fc.asyncProperty(fc.array(any, { minLength: 8, maxLength: 8 }), async (many) => {
        const replies = await Promise.all(many.map(send));
        for (const [at, reply] of replies.entries())
          expect(faultOf(many[at]?.path ?? "", reply, ALLOWED)).to.equal(undefined);
      });
      await fc.assert(law, { numRuns: RUNS, seed: SEED });
      await expectIdle("all of them");
    });

    /** The relay holds nothing, runs nothing, and serves. */
    async function expectIdle(after: string): Promise<void> {
      await until(() => relay.ledger.holds.size === 0);
      const metrics = await (await fetch(`${relay.url}/metrics`)).text();
      expect(/^aimo_serve_in_flight (\d+)$/m.exec(metrics)?.[1], after).to.equal("0");
      const chat = {
        model: "acme/text",
        messages: [{ role: "user" as const, content: "Hello" }],
        max_tokens: 8,
      };
      expect((await relay.client.chat.completions.create(chat)).choices.length, after).to.equal(1);
    }

    function send({ method, path, headers, body }: Sent): Promise<Reply> {
      const { promise, resolve, reject } = Promise.withResolvers<Reply>();
      const { port } = new URL(relay.url);
      const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
      const signal = AbortSignal.timeout(WAIT_MS);
      const call = request(
        {
          host: "127.0.0.1",
          port,
          method,
          path: asWritten(path),
          headers: { ...headers, ...length },
          agent,
          signal,
        },
        (response) => {
          text(response).then(
            (whole) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole }),
            reject,
          );
        },
      );
      call.on("error", reject);
      call.end(body);
      return promise;
    }
  });

/** Bytes that Node's client would not send have a test of their own. */
const asWritten = (path: string) => path.replace(/[^\x21-\x7e]/g, encodeURIComponent);

async function signIn(url: string): Promise<string> {
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json" };
    const sent = Object.keys(body).length > 0 ? { headers, body: JSON.stringify(body) } : {};
    return (await (await fetch(`${url}/v1/auth/${path}`, { method: "POST", ...sent })).json()) as Record<
      string,
      string
    >;
  };
  const account = privateKeyToAccount(generatePrivateKey());
  const { nonce = "" } = await post("nonce", {});
  const message = createSiweMessage({
    ...{ address: account.address, chainId: 31_337, domain: new URL(url).host, uri: url, version: "1" },
    ...{ issuedAt: new Date(), nonce },
  });
  const { token } = await post("siwe", { message, signature: await account.signMessage({ message }) });
  if (token === undefined) throw new Error("The relay did not sign in.");
  return token;
}
