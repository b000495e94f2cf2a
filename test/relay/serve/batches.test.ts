import { expect } from "chai";
import type OpenAI from "openai";
import { toFile } from "openai";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";
import { type Json, jsonOf, until } from "../support/test-relay.ts";

const ENDPOINT = "/v1/chat/completions";
const chat = (id: string, body: object = {}) => ({
  ...{ custom_id: id, method: "POST", url: ENDPOINT },
  body: { model: "acme/text", messages: [{ role: "user", content: id }], max_tokens: 8, ...body },
});
const jsonl = (lines: readonly object[]) => lines.map((line) => JSON.stringify(line)).join("\n");
const parse = (text: string): Json[] =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

describe("batches, with a real provider", () => {
  let network: RelayWithProvider;
  let client: OpenAI;
  before(async () => {
    network = await startRelayWithProvider({
      batches: { maxLines: 100, maxFileBytes: 256 * 1024, maxInFlight: 4, maxInFlightPerAccount: 2 },
    });
    client = network.client;
  });
  after(() => network?.close());

  const upload = async (text: string) =>
    client.files.create({ purpose: "batch", file: await toFile(Buffer.from(text), "in.jsonl") });
  const start = async (lines: readonly object[], more: Partial<OpenAI.BatchCreateParams> = {}) => {
    const { id } = await upload(jsonl(lines));
    return client.batches.create({
      ...{ input_file_id: id, endpoint: ENDPOINT, completion_window: "24h", ...more },
    });
  };
  const ended = async (id: string): Promise<OpenAI.Batch> => {
    for (;;) {
      const batch = await network.client.batches.retrieve(id);
      if (["completed", "failed", "cancelled", "expired"].includes(batch.status)) return batch;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const contentOf = async (id: string | undefined) =>
    parse(await (await network.client.files.content(id ?? "")).text());
  const served = () => network.ledger.commits.filter(({ outcome }) => outcome.kind === "usage");

  it("stores, lists, reads and deletes files", async () => {
    const text = jsonl([chat("a"), chat("b", { note: "é".repeat(60_000) })]);
    const file = await upload(text);
    expect(file).to.include({ object: "file", purpose: "batch", filename: "in.jsonl", status: "processed" });
    expect(file.bytes).to.equal(Buffer.byteLength(text));
    expect(await client.files.retrieve(file.id)).to.deep.equal(file);
    expect(await (await client.files.content(file.id)).text()).to.equal(text);
    const ids: string[] = [];
    for await (const one of client.files.list({ limit: 1 })) ids.push(one.id);
    expect(ids).to.include(file.id);
    expect(await client.files.delete(file.id)).to.include({ id: file.id, deleted: true });
    const gone = await client.files.retrieve(file.id).catch((error: unknown) => error);
    expect(gone).to.include({ status: 404, code: "not_found" });
  });

  it("runs each line as a request of the account, and keeps what failed apart", async () => {
    const before = served().length;
    const lines = [
      ...Array.from({ length: 12 }, (_, i) => chat(`ok-${i}`)),
      chat("none", { model: "no/such" }),
    ];
    const created = await start(lines, { metadata: { night: "first" } });
    expect(created).to.include({ object: "batch", endpoint: ENDPOINT, completion_window: "24h" });
    const batch = await ended(created.id);
    expect(batch).to.include({ status: "completed" });
    expect(batch.request_counts).to.deep.equal({ total: 13, completed: 12, failed: 1 });
    expect(batch.metadata).to.deep.equal({ night: "first" });
    const output = await contentOf(batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id).sort()).to.deep.equal(
      lines
        .slice(0, 12)
        .map(({ custom_id }) => custom_id)
        .sort(),
    );
    for (const { response, error } of output) {
      expect(error).to.equal(null);
      expect(response.status_code).to.equal(200);
      expect(response.body.choices[0].message.content).to.be.a("string").that.is.not.empty;
      expect(response.body.aimo.receipt_hash).to.match(/^0x/);
    }
    const [failed, ...rest] = await contentOf(batch.error_file_id);
    expect(rest).to.deep.equal([]);
    expect(failed).to.deep.include({ custom_id: "none", error: null });
    expect(failed.response.status_code).to.equal(404);
    expect(failed.response.body.error.code).to.equal("model_not_found");
    expect(served().length - before).to.equal(12);
    const listed: string[] = [];
    for await (const one of client.batches.list()) listed.push(one.id);
    expect(listed[0]).to.equal(batch.id);
  });

  it("refuses a file with bad lines before the first is sent, and names them", async () => {
    const before = network.ledger.commits.length;
    const { custom_id: _id, ...nameless } = chat("x");
    const created = await start([
      ...[chat("same"), chat("same"), nameless, { ...chat("url"), url: "/v1/embeddings" }],
      chat("stream", { stream: true }),
    ]);
    const batch = await ended(created.id);
    expect(batch.status).to.equal("failed");
    expect(batch.errors?.data?.map(({ line, param }) => [line, param])).to.deep.equal([
      ...[
        [2, "custom_id"],
        [3, "custom_id"],
        [4, "url"],
        [5, "body.stream"],
      ],
    ]);
    expect(network.ledger.commits.length).to.equal(before);
    const many = await ended((await start(Array.from({ length: 101 }, (_, i) => chat(`${i}`)))).id);
    expect(many.errors?.data?.[0]?.message).to.contain("at most 100");
  });

  it("takes embeddings and the other forms of a chat", async () => {
    for (const [endpoint, body, field] of [
      ["/v1/embeddings", { model: "acme/embed", input: "the sea" }, "data"],
      ["/v1/responses", { model: "acme/text", input: "Say a word.", max_output_tokens: 16 }, "output"],
      ["/v1/completions", { model: "acme/text", prompt: "Once", max_tokens: 8 }, "choices"],
    ] as const) {
      const created = await start([{ custom_id: "one", method: "POST", url: endpoint, body }], { endpoint });
      const batch = await ended(created.id);
      expect(batch.request_counts, endpoint).to.deep.equal({ total: 1, completed: 1, failed: 0 });
      const [line] = await contentOf(batch.output_file_id);
      expect(line.response.body[field]).to.be.an("array").that.is.not.empty;
    }
  });

  it("stops what has not begun, and hands out what had", async () => {
    const lines = Array.from({ length: 80 }, (_, i) => chat(`c-${i}`, { max_tokens: 64 }));
    const created = await start(lines);
    const inputInUse = await client.files.delete(created.input_file_id).catch((error: unknown) => error);
    expect(inputInUse).to.include({ status: 400, param: "file_id" });
    const before = served().length;
    await until(() => served().length > before);
    expect(await client.batches.cancel(created.id)).to.include({ status: "cancelling" });
    const batch = await ended(created.id);
    expect(batch.status).to.equal("cancelled");
    const done = batch.request_counts?.completed ?? 0;
    expect(done).to.be.within(1, 79);
    expect(await contentOf(batch.output_file_id)).to.have.length(done);
    const again = await client.batches.cancel(created.id).catch((error: unknown) => error);
    expect(again).to.include({ status: 400 });
  });

  it("goes on after a restart, and sends no line twice", async () => {
    const before = served().length;
    const lines = Array.from({ length: 40 }, (_, i) => chat(`r-${i}`, { max_tokens: 32 }));
    const created = await start(lines);
    await until(() => served().length >= before + 5);
    await network.restart();
    client = network.client;
    expect(served().length).to.be.below(before + 40);
    const batch = await ended(created.id);
    expect(batch.request_counts).to.deep.equal({ total: 40, completed: 40, failed: 0 });
    const output = await contentOf(batch.output_file_id);
    expect(new Set(output.map(({ custom_id }) => custom_id)).size).to.equal(40);
    expect(served().length - before).to.equal(40);
  });

  it("keeps accounts apart, and says what is wrong", async () => {
    const post = async (path: string, body: object) => {
      const response = await fetch(`${network.url}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${network.key}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      return [response.status, (await jsonOf(response)).error?.param ?? null];
    };
    const { id } = await upload(jsonl([chat("a")]));
    const good = { input_file_id: id, endpoint: ENDPOINT, completion_window: "24h" };
    expect(await post("/v1/batches", { ...good, completion_window: "1h" })).to.deep.equal([
      ...[400, "completion_window"],
    ]);
    expect(await post("/v1/batches", { ...good, endpoint: "/v1/audio/speech" })).to.deep.equal([
      ...[400, "endpoint"],
    ]);
    expect(await post("/v1/batches", { ...good, input_file_id: `file-${"0".repeat(24)}` })).to.deep.equal([
      ...[404, "input_file_id"],
    ]);
    expect(await post(`/v1/batches/batch_${"0".repeat(24)}/cancel`, {})).to.deep.equal([404, "batch_id"]);
    const big = await upload("x".repeat(300 * 1024)).catch((error: unknown) => error);
    expect(big).to.include({ status: 413 });
    const wrong = await client.files
      .create({ purpose: "assistants", file: await toFile(Buffer.from("{}"), "a") })
      .catch((error: unknown) => error);
    expect(wrong).to.include({ status: 400, param: "purpose" });
    const stranger = await fetch(`${network.url}/v1/files/${id}`);
    expect(stranger.status).to.equal(401);
  });
});
