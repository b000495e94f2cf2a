import { expect } from "chai";
import type { Ask } from "../support/stand-in-provider.ts";
import {
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  until,
} from "../support/test-relay.ts";

const ENDPOINT = "/v1/chat/completions";
/** Lines of one account in flight, by default. */
const PLACES = 8;

describe("a batch whose lines have to wait", () => {
  let relay: TestRelay;
  beforeEach(async () => {
    relay = await startTestRelay();
  });
  afterEach(() => relay.close());

  const headersOf = (key: string) => ({ authorization: `Bearer ${key}` });
  const start = async (names: readonly string[], key = relay.key): Promise<string> => {
    const lines = names.map((name) => ({
      ...{ custom_id: name, method: "POST", url: ENDPOINT },
      body: { model: "stand-in", messages: [{ role: "user", content: name }], max_tokens: 8 },
    }));
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new Blob([lines.map((line) => JSON.stringify(line)).join("\n")]), "in.jsonl");
    const headers = headersOf(key);
    const file = await jsonOf(await fetch(`${relay.url}/v1/files`, { method: "POST", headers, body: form }));
    const about = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: "24h" };
    const { id } = await jsonOf(await relay.post("/v1/batches", about, headers));
    return id;
  };
  const read = async (id: string): Promise<Json> =>
    jsonOf(await fetch(`${relay.url}/v1/batches/${id}`, { headers: headersOf(relay.key) }));
  const ended = async (id: string): Promise<Json> => {
    for (;;) {
      const batch = await read(id);
      if (batch.status === "completed" || batch.status === "cancelled") return batch;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const keyWith = async (tokensPerMinute: number): Promise<string> => {
    const { record } = relay.keys.authenticate(relay.key);
    const { key } = await relay.keys.create(
      { userId: record.userId, owner: record.owner },
      { ...record, name: "slow", tokensPerMinute },
    );
    return key;
  };
  const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
  const nameIn = (ask: Ask): string => JSON.parse(String(ask.body)).messages[0].content;

  it("leaves its places to the account's other batches meanwhile", async () => {
    // Room for one of its lines a minute.
    const slow = await start(names("slow", 2 * PLACES), await keyWith(50));
    await until(() => providerOf(relay).asks.length > 0);
    const quick = await ended(await start(names("quick", 2 * PLACES)));
    expect(quick.request_counts).to.include({ completed: 2 * PLACES, failed: 0 });
    const waiting = await read(slow);
    expect(waiting.status).to.equal("in_progress");
    expect(waiting.request_counts.completed).to.be.within(1, PLACES);
    await relay.post(`/v1/batches/${slow}/cancel`, {});
    expect((await ended(slow)).request_counts).to.include({ failed: 0 });
  });

  it("sends a line again that was refused, after the lines behind it", async () => {
    const served: string[] = [];
    let refusals = 0;
    providerOf(relay).onAsk = (ask) => {
      const name = nameIn(ask);
      if (name === "one" && ++refusals <= 2) return void ask.response.writeHead(429).end("{}");
      served.push(name);
      ask.reply("Here.");
    };
    const batch = await ended(await start(["one", "two", "three"]));
    expect(batch.request_counts).to.deep.equal({ total: 3, completed: 3, failed: 0 });
    expect([served.slice(0, 2).sort(), served[2], served.length]).to.deep.equal([["three", "two"], "one", 3]);
  });
});
