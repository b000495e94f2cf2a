import { expect } from "chai";
import OpenAI from "openai";
import {
  owner,
  providerOf,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
  USER_ID,
} from "../support/test-relay.ts";

/** What a program that uses the official client can tell apart, by class, status and code. */
describe("the official client's errors", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  const messages = [{ role: "user" as const, content: "Hello" }];
  const ask = { model: "stand-in", messages, max_tokens: 64 };
  const start = async (options: TestRelayOptions = {}) => {
    relay = await startTestRelay(options);
    return clientWith(relay.key);
  };
  const clientWith = (apiKey: string) =>
    new OpenAI({ baseURL: `${relay.url}/v1`, apiKey, maxRetries: 0, timeout: 10_000 });

  /** The error of a call, which must be the same whole and streamed, and name its request. */
  async function errorOf(client: OpenAI, change: object = {}): Promise<InstanceType<typeof OpenAI.APIError>> {
    const calls = [false, true].map((stream) =>
      client.chat.completions.create({ ...ask, ...change, stream }).then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
    const [whole, streamed] = await Promise.all(calls);
    if (!(whole instanceof OpenAI.APIError && streamed instanceof OpenAI.APIError))
      throw new Error("The call did not fail as it should.");
    expect([streamed.constructor, streamed.status, streamed.code]).to.deep.equal([
      ...[whole.constructor, whole.status, whole.code],
    ]);
    expect(whole.requestID).to.match(/^req-/);
    return whole;
  }

  it("has 402 and the numbers for a channel that does not cover a short answer", async () => {
    const error = await errorOf(await start({ free: 1_000n }));
    expect(error.constructor).to.equal(OpenAI.APIError);
    expect(error).to.include({ status: 402, code: "insufficient_credits", type: "insufficient_quota" });
    expect(error.error).to.have.nested.property("metadata.free", "1000");
  });

  it("has PermissionDeniedError for a model that the key may not use", async () => {
    await start();
    const settings = { name: "one", limit: undefined, limitReset: undefined, expiresAt: undefined };
    const { key } = await relay.keys.create(
      { userId: USER_ID, owner: owner.address },
      { ...settings, models: ["other"], disabled: false },
    );
    const error = await errorOf(clientWith(key));
    expect(error).to.be.instanceOf(OpenAI.PermissionDeniedError);
    expect(error).to.include({ status: 403, code: "permission_denied", param: "model" });
  });

  it("has RateLimitError for too many requests, and when to come again", async () => {
    const client = await start({ settings: { requestsPerMinute: 2 } });
    for (let i = 0; i < 2; i++) await client.chat.completions.create(ask);
    const error = await errorOf(client);
    expect(error).to.be.instanceOf(OpenAI.RateLimitError);
    expect(error).to.include({ status: 429, code: "rate_limit_exceeded", type: "rate_limit_error" });
    expect(Number(error.headers?.get("retry-after"))).to.be.within(1, 60);
    expect(error.headers?.get("x-ratelimit-remaining")).to.equal("0");
  });

  it("has InternalServerError when all providers fail, when none is there, and when all are busy", async () => {
    const client = await start();
    providerOf(relay).onAsk = ({ response }) => void response.writeHead(500).end("{}");
    const failed = await errorOf(client);
    providerOf(relay).onAsk = ({ response }) => void response.writeHead(503).end("{}");
    const busy = await errorOf(client);
    relay.offers = [];
    const gone = await errorOf(client);
    for (const error of [failed, busy, gone]) expect(error).to.be.instanceOf(OpenAI.InternalServerError);
    expect([failed, busy, gone].map(({ status, code }) => [status, code])).to.deep.equal([
      [502, "provider_unavailable"],
      [503, "overloaded"],
      [503, "model_unavailable"],
    ]);
  });
});
