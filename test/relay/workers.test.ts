import { once } from "node:events";
import { Agent, request as send } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect } from "chai";
import OpenAI from "openai";
import type { PartialConfig } from "../../relay/src/config.ts";
import {
  type RelayWithProvider,
  SLOW_PER_MINUTE,
  startRelayWithProvider,
} from "./support/relay-with-provider.ts";
import { type Json, until } from "./support/test-relay.ts";
import { watchWorkers } from "./support/worker-processes.ts";

const messages = [{ role: "user" as const, content: "Tell me of the sea." }];
const CHAT = { model: "acme/text", messages, max_tokens: 20 };
const LONG = JSON.stringify({ model: "acme/text", messages, max_tokens: 4_000, stream: true });

describe("a relay with workers", function () {
  this.timeout(60_000);
  let network: RelayWithProvider;
  let isOpen = false;
  let workers: ReturnType<typeof watchWorkers>;
  const start = async (settings: PartialConfig = {}) => {
    workers = watchWorkers();
    network = await startRelayWithProvider({ workers: 3, ...settings }, { log: workers.log });
    isOpen = true;
  };
  afterEach(async () => {
    if (isOpen) await network.close();
    isOpen = false;
  });

  /** By a connection of its own, so that the next worker gets it. */
  const ask = (body: object | string, headers: Record<string, string> = {}, path = "/v1/chat/completions") =>
    new Promise<{ status: number; headers: Record<string, unknown>; json: Json }>((resolve, reject) => {
      const about = { method: "POST", agent: new Agent({ keepAlive: false }) };
      const all = { authorization: `Bearer ${network.key}`, "content-type": "application/json", ...headers };
      const outgoing = send(network.url + path, { ...about, headers: all }, (response) => {
        response.toArray().then((parts) => {
          const { statusCode: status = 0, headers } = response;
          resolve({ status, headers, json: JSON.parse(parts.join("") || "null") });
        }, reject);
      });
      outgoing.on("error", reject).end(typeof body === "string" ? body : JSON.stringify(body));
    });
  const many = (count: number, body: object = CHAT, headers: Record<string, string> = {}) =>
    Promise.all(Array.from({ length: count }, () => ask(body, headers)));
  /** Every worker has heard of the provider. */
  const offered = async () => {
    let statuses: number[];
    do statuses = (await many(6, { ...CHAT, max_tokens: 1 })).map(({ status }) => status);
    while (statuses.some((status) => status !== 200));
    await until(() => network.ledger.holds.size === 0);
    network.ledger.commits.length = 0;
  };
  const slow = () => ({ authorization: `Bearer ${network.slowKey}` });
  const openStream = (body: string) => {
    const socket = connect(Number(new URL(network.url).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${network.key}\r\n` +
        `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    return socket;
  };

  it("serves the official client: chats, streams, vectors, and its errors by class", async () => {
    await start();
    await offered();
    const { client } = network;
    const reply: Json = await client.chat.completions.create(CHAT);
    expect(reply.usage.completion_tokens).to.be.within(1, 20);
    expect(BigInt(reply.aimo.provisional.pending_pusd) > 0n).to.equal(true);
    const usage = { stream: true, stream_options: { include_usage: true } } as const;
    const stream = await client.chat.completions.create({ ...CHAT, ...usage });
    let last: Json;
    for await (const chunk of stream) last = chunk;
    expect(last.aimo.receipt_hash).to.match(/^0x/);
    const vectors = await client.embeddings.create({ model: "acme/embed", input: ["sea"] });
    expect(vectors.data).to.have.length(1);
    expect(network.ledger.commits.map(({ outcome }) => outcome.kind)).to.deep.equal(Array(3).fill("usage"));
    const error = await client.chat.completions.create({ ...CHAT, model: "no/one" }).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(OpenAI.NotFoundError);
    const wrong = new OpenAI({ baseURL: `${network.url}/v1`, apiKey: "aimo-sk-wrong", maxRetries: 0 });
    const refused = await wrong.chat.completions.create(CHAT).catch((e: unknown) => e);
    expect(refused).to.be.instanceOf(OpenAI.AuthenticationError);
    await until(() => network.signed.length > 0 && network.ledger.holds.size === 0);
  });

  it("answers everything else as one process does", async () => {
    await start();
    await offered();
    for await (const model of network.client.models.list()) expect(model.object).to.equal("model");
    const health = await fetch(`${network.url}/health`);
    expect((await health.json()) as Json).to.include({ status: "ok" });
    const metrics = await (await fetch(`${network.url}/metrics`)).text();
    expect(metrics).to.match(/aimo_serve_requests_total\{outcome="billed"\} [1-9]/);
    const unknown = await fetch(`${network.url}/v1/nothing`, { method: "POST", body: "{}" });
    expect([unknown.status, ((await unknown.json()) as Json).error.code]).to.deep.equal([404, "not_found"]);
    const wrong = await fetch(`${network.url}/v1/chat/completions`, { method: "PUT", body: "x" });
    expect(wrong.status).to.equal(405);
    for (const name of ["x-ratelimit-limit", "x-ratelimit-remaining", "x-request-id"])
      expect(wrong.headers.get(name), name).to.be.a("string");
    const asked = await fetch(`${network.url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: { origin: "https://page.test", "access-control-request-method": "POST" },
    });
    expect(asked.headers.get("access-control-allow-methods")).to.contain("POST");
  });

  it("takes no more per minute than one process would, wherever the requests arrive", async () => {
    await start();
    await offered();
    const began = Date.now();
    const replies = await many(SLOW_PER_MINUTE + 20, CHAT, slow());
    const refused = replies.filter(({ status }) => status === 429);
    // Of those that were taken some find the provider's slots taken; they were counted as well.
    const comeBack = ((Date.now() - began) / 60_000) * SLOW_PER_MINUTE;
    expect(replies.length - refused.length).to.be.within(SLOW_PER_MINUTE, SLOW_PER_MINUTE + comeBack);
    for (const { headers } of refused) expect(Number(headers["retry-after"])).to.be.at.least(1);
  });

  it("bills a repeated Idempotency-Key once, and keeps answers for all workers", async () => {
    await start();
    await offered();
    const [first] = await many(1, CHAT, { "idempotency-key": "once" });
    const again = await many(6, CHAT, { "idempotency-key": "once" });
    for (const { json, headers } of again) {
      expect(headers["idempotent-replayed"]).to.equal("true");
      expect(json.id).to.equal(first?.json.id);
    }
    const kept = await many(1, CHAT, { "x-aimo-cache": "true" });
    const hits = await many(6, CHAT, { "x-aimo-cache": "true" });
    expect(kept[0]?.headers["x-aimo-cache-status"]).to.equal("MISS");
    for (const { headers } of hits) expect(headers["x-aimo-cache-status"]).to.equal("HIT");
    expect(network.ledger.commits).to.have.length(2);
  });

  it("passes on what names a preset, however it is written, and counts it once", async () => {
    await start();
    await offered();
    const model = CHAT.model;
    const ways = [{ preset: "mine" }, { "pre\\u0073et": "mine" }, { model: `${model}@preset/mine` }];
    const named = ways.map((way) => JSON.stringify({ ...CHAT, ...way }).replaceAll("\\\\u", "\\u"));
    named.push(named[2]?.replace("@preset", "@\\u0070reset") ?? "");
    for (const body of named) {
      const [before, asked, after] = [
        await ask(CHAT, slow()),
        await ask(body, slow()),
        await ask(CHAT, slow()),
      ];
      const left = ({ headers }: typeof before) => Number(headers["x-ratelimit-remaining"]);
      expect([asked.status, asked.json.error?.code], body).to.deep.equal([404, "not_found"]);
      expect(asked.json.error.message, body).to.contain("no preset mine");
      // One may have come back meanwhile.
      expect(left(before) - left(after), body).to.be.within(1, 2);
    }
  });

  it("stops the provider when the client leaves, and bills what was delivered", async () => {
    await start();
    await offered();
    const client = openStream(LONG);
    let text = "";
    while (!text.includes('"content"')) text += String((await once(client, "data"))[0]);
    client.destroy();
    await until(() => network.ledger.commits.length === 1 && network.ledger.holds.size === 0);
    const outcome = network.ledger.commits[0]?.outcome;
    if (outcome?.kind !== "usage") throw new Error(`The request ended as ${JSON.stringify(outcome)}.`);
    expect(outcome.cancelled).to.equal(true);
    expect(outcome.statement.units[2]).to.be.within(1, 3_999);
  });

  it("leaves nothing held when workers die, and starts others", async () => {
    await start();
    await offered();
    const old = new Map(workers.pids);
    expect(old.size).to.equal(3);
    const clients = Array.from({ length: 6 }, () => openStream(LONG));
    for (const client of clients) await once(client, "data");
    const closed = clients.map((client) => (client.closed ? undefined : once(client.resume(), "close")));
    for (const pid of old.values()) process.kill(pid, "SIGKILL");
    await Promise.all(closed);
    await until(() => network.ledger.holds.size === 0 && network.ledger.commits.length === 6);
    for (const { outcome } of network.ledger.commits)
      expect(outcome.kind === "free" ? outcome.reason : outcome.kind).to.be.oneOf([
        "internal_error",
        "usage",
      ]);
    await until(() => [...workers.pids].every(([worker, pid]) => pid !== old.get(worker)), 30_000);
    await network.announce();
    await offered();
    const health = (await (await fetch(`${network.url}/health`)).json()) as Json;
    expect(health.in_flight).to.equal(0);
  });

  it("lets an address have as many connections as one process would", async () => {
    await start({ http: { port: 0, maxConnectionsPerAddress: 4, uncountedAddresses: ["::1"] } });
    const sockets = Array.from({ length: 10 }, () => connect(Number(new URL(network.url).port), "127.0.0.1"));
    for (const socket of sockets) socket.on("error", () => {}).resume();
    // All are counted before one of them can end: those that are refused are told so by their first request.
    await until(() => sockets.filter(({ closed }) => closed).length === 2);
    const statuses = await Promise.all(
      sockets.map(async (socket) => {
        if (socket.closed) return "closed";
        socket.write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
        const [first] = await Promise.race([once(socket, "data"), once(socket, "close")]).catch(() => []);
        return first instanceof Buffer ? first.toString().slice(9, 12) : "closed";
      }),
    );
    const count = (what: string) => statuses.filter((status) => status === what).length;
    expect([count("200"), count("429"), count("closed")]).to.deep.equal([4, 4, 2]);
    for (const socket of sockets) socket.destroy();
  });

  it("says when its port is taken, and leaves no worker behind", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const error = await start({ http: { port } }).catch((caught: unknown) => caught);
    taken.close();
    expect(error).to.include({ code: "port_in_use" });
    expect(workers.pids.size).to.equal(3);
    for (const pid of workers.pids.values()) expect(() => process.kill(pid, 0)).to.throw("ESRCH");
  });

  it("finishes what runs when it stops", async () => {
    await start({ drainMs: 10_000 });
    await offered();
    const client = openStream(JSON.stringify({ ...CHAT, max_tokens: 200, stream: true }));
    let text = "";
    client.on("data", (chunk) => {
      text += chunk;
    });
    await once(client, "data");
    await network.restart();
    expect(text).to.contain("data: [DONE]");
  });
});
