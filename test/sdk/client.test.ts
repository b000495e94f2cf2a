import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AimoClient, AimoError, type RequestRecord, readRecords } from "@aimo/sdk";
import { expect } from "chai";
import { keccak256 } from "viem";
import { COMPLETION, META, type Script, sendJson, startServer, type TestServer } from "./relay-double.ts";

const CHAT = { model: "demo-text", messages: [{ role: "user", content: "Hello!" }] } as const;

async function failureOf(promise: Promise<unknown>): Promise<AimoError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(AimoError);
  return error as AimoError;
}

describe("sdk/client", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const servers: TestServer[] = [];
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

  async function serve(script: Script) {
    const server = await startServer(script);
    servers.push(server);
    return server;
  }
  const clientOf = (server: TestServer, more: object = {}) =>
    new AimoClient({ apiKey: "aimo-sk-test", baseURL: server.url, ...more });

  it("sends a chat as OpenAI's clients do, and gives the answer typed", async () => {
    const server = await serve((_, response) => sendJson(response, 200, COMPLETION));
    const response = await clientOf(server).chat.completions.create(CHAT);
    expect(response.choices[0].message.content).to.equal("Hi!");
    expect(response.aimo.cost_pusd).to.equal("1234");
    const [seen] = server.seen;
    expect([seen?.method, seen?.url]).to.deep.equal(["POST", "/v1/chat/completions"]);
    expect(seen?.headers.authorization).to.equal("Bearer aimo-sk-test");
    expect(seen?.headers["content-type"]).to.equal("application/json");
    expect(JSON.parse(String(seen?.body))).to.deep.equal(CHAT);
  });

  it("generates images, embeds texts and lists models at OpenAI's paths", async () => {
    const server = await serve((_, response) =>
      sendJson(response, 200, { data: [{ url: "http://x", embedding: [1] }] }),
    );
    const client = clientOf(server);
    const image = await client.images.generate({
      model: "demo-image",
      prompt: "a city",
      size: "1024x1024",
      n: 1,
    });
    const embedding = await client.embeddings.create({ model: "demo-embed", input: "text" });
    await client.models.list();
    expect(image.data[0].url).to.equal("http://x");
    expect(embedding.data[0].embedding).to.deep.equal([1]);
    expect(server.seen.map(({ method, url }) => `${method} ${url}`)).to.deep.equal([
      "POST /v1/images/generations",
      "POST /v1/embeddings",
      "GET /v1/models",
    ]);
  });

  it("asks for the account's state, bill and keys", async () => {
    const server = await serve((_, response) => sendJson(response, 200, {}));
    const client = clientOf(server);
    await client.credits();
    await client.generation("gen-a b");
    await client.proof("gen-1");
    await client.settlements.list();
    await client.settlements.list({ after: 6n, limit: 2 });
    await client.settlements.retrieve(7n);
    await client.keys.create({ name: "ci" });
    await client.keys.update("h", { disabled: true });
    await client.keys.delete("h");
    await client.wellKnown();
    expect(server.seen.map(({ method, url }) => `${method} ${url}`)).to.deep.equal([
      "GET /v1/credits",
      "GET /v1/generation?id=gen-a%20b",
      "GET /v1/generation/gen-1/proof",
      "GET /v1/settlements",
      "GET /v1/settlements?after=6&limit=2",
      "GET /v1/settlements/7",
      "POST /v1/keys",
      "PATCH /v1/keys/h",
      "DELETE /v1/keys/h",
      "GET /.well-known/aimo",
    ]);
  });

  it("retries with the same Idempotency-Key and a fresh one for the next request", async () => {
    const server = await serve((_, response, n) => {
      if (n === 0) return sendJson(response, 503, { error: { code: "overloaded" } }, { "retry-after": "0" });
      if (n === 1) return sendJson(response, 429, {}, { "retry-after": "0" });
      if (n === 3) return sendJson(response, 409, {}, { "retry-after": "0" });
      return sendJson(response, 200, COMPLETION);
    });
    const client = clientOf(server);
    await client.chat.completions.create(CHAT);
    await client.chat.completions.create(CHAT);
    const keys = server.seen.map(({ headers }) => headers["idempotency-key"]);
    expect(keys).to.have.length(5);
    expect(new Set(keys.slice(0, 3)).size).to.equal(1);
    expect(new Set(keys).size).to.equal(2);
    expect(keys[0]).to.match(/^aimo-[0-9a-f-]{36}$/);
  });

  it("retries after a connection that broke before an answer", async () => {
    const server = await serve((_, response, n) => {
      if (n === 0) return void response.destroy();
      return sendJson(response, 200, COMPLETION);
    });
    await clientOf(server).chat.completions.create(CHAT);
    expect(server.seen).to.have.length(2);
    expect(server.seen[0]?.headers["idempotency-key"]).to.equal(server.seen[1]?.headers["idempotency-key"]);
  });

  it("does not retry a refusal, a limit of retries, or a wait that is too long", async () => {
    const server = await serve((seen, response) => {
      if (seen.url.endsWith("/models")) return sendJson(response, 401, {});
      if (seen.url.endsWith("/credits")) return sendJson(response, 429, {}, { "retry-after": "3600" });
      return sendJson(response, 500, {}, { "retry-after": "0" });
    });
    const client = clientOf(server, { maxRetries: 1 });
    await failureOf(client.models.list());
    await failureOf(client.credits());
    expect(server.seen).to.have.length(2);
    await failureOf(client.settlements.list());
    expect(server.seen).to.have.length(4);
  });

  it("tells a relay's error by code, status, request id, field and hint", async () => {
    const body = {
      error: {
        code: "insufficient_credits",
        message: "The channel has 0.10 USD free, this request needs 0.25.",
        param: "max_tokens",
        metadata: { hint: "Lower max_tokens.", request_id: "req_9", needed: "250000000000" },
      },
    };
    const server = await serve((_, response) => sendJson(response, 402, body));
    const error = await failureOf(clientOf(server).chat.completions.create(CHAT));
    expect([error.status, error.code, error.requestId, error.param, error.hint]).to.deep.equal([
      402,
      "insufficient_credits",
      "req_9",
      "max_tokens",
      "Lower max_tokens.",
    ]);
    expect(error.message).to.equal(body.error.message);
    expect(error.metadata["needed"]).to.equal("250000000000");
  });

  it("makes sense of errors that are no JSON, and keeps the request id of the header", async () => {
    const server = await serve((_, response) => {
      response.writeHead(401, { "x-request-id": "req_h" });
      response.end("<html>nope</html>");
    });
    const error = await failureOf(clientOf(server).models.list());
    expect([error.status, error.code, error.requestId]).to.deep.equal([
      401,
      "authentication_failed",
      "req_h",
    ]);
    expect(error.message).to.contain("nope");
  });

  it("names a relay that cannot be reached, with status 0", async () => {
    const server = await serve(() => {});
    await server.close();
    const error = await failureOf(clientOf(server, { maxRetries: 0 }).models.list());
    expect([error.status, error.code]).to.deep.equal([0, "relay_unavailable"]);
    expect(error.message).to.contain(server.url);
  });

  it("names answers that are no JSON or break off", async () => {
    const server = await serve((seen, response) => {
      if (seen.url.endsWith("/models")) return void response.end("not json");
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => response.destroy());
    });
    const client = clientOf(server, { maxRetries: 0 });
    expect((await failureOf(client.models.list())).code).to.equal("relay_unavailable");
    expect((await failureOf(client.credits())).message).to.equal("The relay broke off its answer.");
  });

  it("cancels with the caller's signal, before and while a request runs", async () => {
    const controller = new AbortController();
    const server = await serve(() => controller.abort());
    const client = clientOf(server);
    const error = await failureOf(client.chat.completions.create(CHAT, { signal: controller.signal }));
    expect([error.code, error.status]).to.deep.equal(["cancelled", 0]);
    expect((await failureOf(client.models.list({ signal: AbortSignal.abort() }))).code).to.equal("cancelled");
    expect(server.seen).to.have.length(1);
  });

  it("cancels while it waits for a retry", async () => {
    const controller = new AbortController();
    const server = await serve((_, response) => {
      sendJson(response, 503, {}, { "retry-after": "50" });
      response.on("close", () => controller.abort());
    });
    const error = await failureOf(clientOf(server).models.list({ signal: controller.signal }));
    expect(error.code).to.equal("cancelled");
  });

  it("gives up on a silent relay after timeoutMs", async () => {
    const server = await serve(() => {});
    const error = await failureOf(clientOf(server, { timeoutMs: 20, maxRetries: 0 }).models.list());
    expect([error.code, error.status, error.message]).to.deep.equal([
      "timeout",
      0,
      "The relay did not answer within 20 ms.",
    ]);
  });

  it("refuses options that cannot work", () => {
    for (const wrong of [
      { baseURL: "localhost" },
      { baseURL: "ftp://x" },
      { timeoutMs: 0 },
      { maxRetries: 0.5 },
    ])
      expect(() => new AimoClient(wrong))
        .to.throw(AimoError)
        .with.property("code", "config_invalid");
  });

  it("keeps a record of each request before it gives the answer", async () => {
    const server = await serve((_, response) => sendJson(response, 200, COMPLETION));
    const records: RequestRecord[] = [];
    await clientOf(server, {
      records: (record: RequestRecord) => void records.push(record),
    }).chat.completions.create(CHAT);
    const [record] = records;
    expect(record).to.deep.include({ id: "gen-1", relay: 1, nonce: META.nonce, costPusd: "1234" });
    expect(record?.bodyHash).to.equal(keccak256(new Uint8Array(server.seen[0]?.body ?? [])));
  });

  it("keeps records in a private file that reads back, in whole lines under load", async () => {
    const folder = await mkdtemp(join(tmpdir(), "aimo-sdk-"));
    try {
      const file = join(folder, "records.jsonl");
      const server = await serve((_, response, n) =>
        sendJson(response, 200, { ...COMPLETION, aimo: { ...META, generation_id: `gen-${n}` } }),
      );
      const client = clientOf(server, { records: file });
      await Promise.all(Array.from({ length: 20 }, () => client.chat.completions.create(CHAT)));
      const records = await readRecords(file);
      expect(new Set(records.map(({ id }) => id)).size).to.equal(20);
      expect((await stat(file)).mode & 0o077).to.equal(0);
      expect(await readFile(file, "utf8")).to.not.contain("Hello!");
      const unwritable = clientOf(server, { records: join(folder, "none", "records.jsonl") });
      const error = await failureOf(unwritable.chat.completions.create(CHAT));
      expect([error.code, server.seen.length]).to.deep.equal(["config_invalid", 20]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
