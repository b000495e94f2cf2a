import { AimoClient, AimoError, type RequestRecord } from "@aimo/sdk";
import { expect } from "chai";
import {
  chunkOf,
  frame,
  LAST_CHUNK,
  META,
  type Script,
  startServer,
  type TestServer,
} from "./relay-double.ts";

const STREAM = { model: "demo-text", messages: [{ role: "user", content: "Hello!" }], stream: true } as const;

describe("sdk/stream", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const servers: TestServer[] = [];
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

  async function clientOf(script: Script, more: object = {}) {
    const server = await startServer(script);
    servers.push(server);
    return new AimoClient({ apiKey: "k", baseURL: server.url, ...more });
  }

  async function textOf(
    stream: AsyncIterable<{ choices: readonly { delta: { content?: string | null } }[] }>,
  ) {
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  }

  async function failureOf(promise: Promise<unknown>): Promise<AimoError> {
    const error: unknown = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(AimoError);
    return error as AimoError;
  }

  it("gives chunks as they come, and what the request cost at the end", async () => {
    const client = await clientOf((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "x-generation-id": "gen-1" });
      response.write(`: AIMO PROCESSING\n${frame(chunkOf("Hel")).slice(0, 30)}`);
      response.write(frame(chunkOf("Hel")).slice(30));
      response.end(`${frame(chunkOf("lo")).replaceAll("\n", "\r\n")}${frame(LAST_CHUNK)}data: [DONE]\n\n`);
    });
    const stream = await client.chat.completions.create(STREAM);
    expect(stream.aimo()).to.equal(undefined);
    expect(stream.generationId).to.equal("gen-1");
    expect(await textOf(stream)).to.equal("Hello");
    expect(stream.aimo()).to.deep.equal(META);
  });

  it("throws the error that a relay sends in the middle, with its code and status", async () => {
    const broken = { ...chunkOf(""), error: { code: "provider_unavailable", message: "Gone." }, aimo: META };
    const client = await clientOf((_, response) => {
      response.writeHead(200, { "x-request-id": "req_s" });
      response.end(frame(chunkOf("Hel")) + frame(broken));
    });
    const stream = await client.chat.completions.create(STREAM);
    const error = await failureOf(textOf(stream));
    expect([error.code, error.status, error.message, error.requestId]).to.deep.equal([
      "provider_unavailable",
      502,
      "Gone.",
      "req_s",
    ]);
    expect(stream.aimo()).to.deep.equal(META);
  });

  it("throws when a stream breaks off, ends without [DONE], or holds no JSON", async () => {
    const cases: [Script, string][] = [
      [
        (_, response) => void response.write(frame(chunkOf("a")), () => response.destroy()),
        "broke off the stream",
      ],
      [(_, response) => void response.end(frame(chunkOf("a"))), "broke off the stream before its end"],
      [(_, response) => void response.end("data: nonsense\n\n"), "not JSON"],
    ];
    for (const [script, message] of cases) {
      const stream = await (await clientOf(script)).chat.completions.create(STREAM);
      const error = await failureOf(textOf(stream));
      expect(error.code).to.equal("relay_unavailable");
      expect(error.message).to.contain(message);
    }
  });

  it("retries a stream that never began, and no other", async () => {
    let requests = 0;
    const client = await clientOf((_, response, n) => {
      requests++;
      if (n === 0) return void response.writeHead(503, { "retry-after": "0" }).end();
      response.write(frame(chunkOf("a")), () => response.destroy());
    });
    await failureOf(client.chat.completions.create(STREAM).then(textOf));
    expect(requests).to.equal(2);
  });

  it("hangs up when the caller leaves the loop", async () => {
    let hungUp: () => void = () => {};
    const closed = new Promise<void>((resolve) => {
      hungUp = resolve;
    });
    const client = await clientOf((_, response) => {
      response.on("close", hungUp);
      response.write(frame(chunkOf("a")));
    });
    for await (const chunk of await client.chat.completions.create(STREAM)) {
      expect(chunk.choices[0]?.delta.content).to.equal("a");
      break;
    }
    await closed;
  });

  it("cancels by abort() and by the caller's signal", async () => {
    const client = await clientOf((_, response) => void response.write(frame(chunkOf("a"))));
    const byMethod = await client.chat.completions.create(STREAM);
    const controller = new AbortController();
    const bySignal = await client.chat.completions.create(STREAM, { signal: controller.signal });
    for (const [stream, abort] of [
      [byMethod, () => byMethod.abort()],
      [bySignal, () => controller.abort()],
    ] as const) {
      const reading = (async () => {
        for await (const _ of stream) abort();
      })();
      expect((await failureOf(reading)).code).to.equal("cancelled");
    }
  });

  it("gives up on a stream that falls silent", async () => {
    const client = await clientOf((_, response) => void response.write(frame(chunkOf("a"))), {
      timeoutMs: 30,
    });
    const stream = await client.chat.completions.create(STREAM);
    expect((await failureOf(textOf(stream))).code).to.equal("timeout");
  });

  it("can be read once", async () => {
    const client = await clientOf((_, response) => void response.end("data: [DONE]\n\n"));
    const stream = await client.chat.completions.create(STREAM);
    expect(await textOf(stream)).to.equal("");
    expect((await failureOf(textOf(stream))).code).to.equal("invalid_request");
  });

  it("keeps a record also of a stream that was cut, as far as it is known", async () => {
    const records: RequestRecord[] = [];
    const keep = (record: RequestRecord) => void records.push(record);
    const client = await clientOf(
      (_, response, n) => {
        response.writeHead(200, { "x-generation-id": `gen-${n}` });
        if (n === 0)
          return void response.end(
            `${frame({ ...LAST_CHUNK, aimo: { ...META, generation_id: "gen-0" } })}data: [DONE]\n\n`,
          );
        response.write(frame(chunkOf("a")), () => response.destroy());
      },
      { records: keep },
    );
    await textOf(await client.chat.completions.create(STREAM));
    await failureOf(client.chat.completions.create(STREAM).then(textOf));
    expect(records.map(({ id, nonce, costPusd }) => ({ id, nonce, costPusd }))).to.deep.equal([
      { id: "gen-0", nonce: META.nonce, costPusd: "1234" },
      { id: "gen-1", nonce: null, costPusd: null },
    ]);
  });
});
