import { setTimeout as wait } from "node:timers/promises";
import { requestHash, textResponseHash } from "@aimo/protocol/receipts";
import type { RelayHooks, RequestHookInput } from "@aimo/protocol/relay-hooks";
import { expect } from "chai";
import {
  CHAT,
  eventsOf,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
  USER_ID,
} from "../support/test-relay.ts";

const STREAM = { ...CHAT, stream: true };

describe("an operator's hooks", () => {
  let relay: TestRelay;
  let warnings: Record<string, unknown>[];
  const start = async (hooks: RelayHooks, options: TestRelayOptions = {}) => {
    warnings = [];
    const log = { debug: () => {}, warn: (fields: object) => void warnings.push({ ...fields }) };
    relay = await startTestRelay({ ...options, hooks, log });
  };
  afterEach(() => relay.close());
  const sentBody = () => JSON.parse(providerOf(relay).asks[0]?.body.toString() ?? "null");
  const nothingHeld = () => {
    expect(relay.ledger.generations.size).to.equal(0);
    expect(providerOf(relay).asks).to.have.length(0);
  };

  describe("before a request", () => {
    it("change what goes upstream, and not what the bill is bound to", async () => {
      await start({ onRequest: ({ body }) => ({ ...body, seed: 7 }) });
      const { aimo } = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
      expect(sentBody()).to.deep.equal({ ...CHAT, seed: 7 });
      const about = { userId: USER_ID, channelEpoch: 1, nonce: aimo.nonce };
      const sent = Buffer.from(JSON.stringify(CHAT));
      expect(aimo.request_hash).to.equal(requestHash({ ...about, body: sent }));
    });

    it("are told who asks, by which headers, and nothing that is secret", async () => {
      const seen: RequestHookInput[] = [];
      await start({ onRequest: (input) => void seen.push(input) as undefined });
      const headers = { "x-title": "An app", cookie: "a=b", "user-agent": "test/1" };
      const reply = await relay.post("/v1/chat/completions", CHAT, headers);
      expect(seen).to.have.length(1);
      const [input] = seen;
      expect(input).to.include({ route: "chat", requestId: reply.headers.get("x-request-id") });
      expect(input?.caller).to.have.all.keys("userId", "keyHash", "owner", "tier");
      expect(input?.caller).to.include({ userId: USER_ID, tier: "pro" });
      expect(input?.headers).to.include({ "x-title": "An app", "user-agent": "test/1" });
      expect(input?.headers).not.to.have.any.keys("cookie", "authorization", "x-api-key");
      expect(JSON.stringify(seen)).not.to.include(relay.key);
    });

    it("leave the client's bytes alone when they give nothing back, whatever they did to their copy", async () => {
      await start({
        onRequest: ({ body }) => {
          body["seed"] = 1;
          return undefined;
        },
      });
      const text = `{ "model":"stand-in",  "messages":[{"role":"user","content":"h\\u00e9"}],"max_tokens":64 }`;
      await jsonOf(await relay.post("/v1/chat/completions", text));
      expect(providerOf(relay).asks[0]?.body.toString()).to.equal(text);
    });

    it("see other forms of a chat as the chat that they mean", async () => {
      const seen: unknown[] = [];
      await start({ onRequest: ({ body }) => void seen.push(body["messages"]) as undefined });
      const body = { model: "stand-in", max_tokens: 8, messages: [{ role: "user", content: "Hi" }] };
      const reply = await relay.post("/v1/messages", { ...body, system: "Be kind." });
      expect(reply.status).to.equal(200);
      expect(seen).to.deep.equal([
        [
          { role: "system", content: "Be kind." },
          { role: "user", content: "Hi" },
        ],
      ]);
    });

    it("refuse with their own words, before anything is held", async () => {
      await start({
        onRequest: async () => {
          throw Object.assign(new Error("No poems on Sundays."), { status: 422 });
        },
      });
      const reply = await relay.post("/v1/chat/completions", CHAT);
      expect(reply.status).to.equal(400);
      const { error } = await jsonOf(reply);
      expect(error).to.include({ code: "invalid_request", message: "No poems on Sundays." });
      nothingHeld();
      expect(warnings).to.deep.equal([]);
    });

    it("forbid with status 403", async () => {
      await start({
        onRequest: () => {
          throw Object.assign(new Error("Not for you."), { status: 403 });
        },
      });
      const reply = await relay.post("/v1/chat/completions", CHAT);
      expect(reply.status).to.equal(403);
      expect((await jsonOf(reply)).error).to.include({ code: "permission_denied", message: "Not for you." });
      nothingHeld();
    });

    const broken: readonly [string, RelayHooks["onRequest"], string][] = [
      [
        "that throws",
        () => {
          throw new TypeError("secret prompt");
        },
        "TypeError",
      ],
      ["that never ends", () => new Promise(() => {}), "300 ms"],
      ["that gives back no object", () => "a text" as never, "no JSON object"],
      ["whose body cannot be written", ({ body }) => ({ ...body, x: 1n }), "cannot be written"],
      ["whose body is too large", ({ body }) => ({ ...body, x: "é".repeat(40_000) }), "65536 bytes"],
      ["whose body is no chat", ({ body }) => ({ ...body, messages: [] }), "messages is not valid"],
      ["that would stream unasked", ({ body }) => ({ ...body, stream: true }), "`stream`"],
    ];
    for (const [what, onRequest, reason] of broken)
      it(`one ${what} ends the request before anything is held, and is logged without what it says`, async () => {
        await start(onRequest ? { onRequest } : {});
        const reply = await relay.post("/v1/chat/completions", CHAT);
        expect(reply.status).to.equal(500);
        expect((await jsonOf(reply)).error).to.include({ code: "internal_error" });
        nothingHeld();
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.include({ hook: "onRequest" });
        expect(String(warnings[0]?.["reason"])).to.include(reason);
        expect(JSON.stringify(warnings)).not.to.include("secret prompt");
      });
  });

  describe("behind a reply", () => {
    const shout: RelayHooks["onResponse"] = ({ body }) => {
      const [{ message }] = body["choices"] as [{ message: { content: string } }];
      message.content = message.content.toUpperCase();
      return { ...body, usage: { cost: 0 }, aimo: "nothing" };
    };

    it("change the text, and neither the bill nor what it says", async () => {
      await start({ onResponse: shout });
      const body = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
      expect(body.choices[0].message.content).to.equal("HELLO THERE.");
      expect(body.usage).to.include({ prompt_tokens: 10, completion_tokens: 3 });
      expect(body.aimo.receipt_hash).to.match(/^0x/);
      const [commit] = relay.ledger.commits;
      const outcome = commit?.outcome.kind === "usage" ? commit.outcome : undefined;
      expect(outcome?.statement.responseHash).to.equal(textResponseHash([{ text: "Hello there." }]));
      expect(body.aimo.cost_pusd).to.equal(String(outcome?.charge));
    });

    it("may wait for something, in another API's form too", async () => {
      await start({
        onResponse: async (input) => {
          await wait(5);
          return shout(input);
        },
      });
      const { content } = await jsonOf(await relay.post("/v1/messages", CHAT));
      expect(content[0].text).to.equal("HELLO THERE.");
    });

    const broken: readonly [string, RelayHooks["onResponse"]][] = [
      [
        "throws",
        () => {
          throw Object.assign(new Error("Hello there."), { status: 400 });
        },
      ],
      ["fails late", () => Promise.reject(new Error("Hello there."))],
      ["never ends", () => new Promise(() => {})],
      ["gives back a list", () => [] as never],
    ];
    for (const [what, onResponse] of broken)
      it(`sends what was paid for when one ${what}`, async () => {
        await start(onResponse ? { onResponse } : {});
        const body = await jsonOf(await relay.post("/v1/chat/completions", CHAT));
        expect(body.choices[0].message.content).to.equal("Hello there.");
        expect(body.aimo.receipt_hash).to.match(/^0x/);
        expect(warnings.map(({ hook }) => hook)).to.deep.equal(["onResponse"]);
        expect(JSON.stringify(warnings)).not.to.include("Hello");
      });

    it("are not asked again for a repeated request, which is billed once", async () => {
      let calls = 0;
      await start({
        onRequest: () => void calls++ as undefined,
        onResponse: async (input) => {
          calls++;
          await wait(1);
          return shout(input);
        },
      });
      const headers = { "idempotency-key": "k1" };
      const bodies = [];
      for (let i = 0; i < 2; i++)
        bodies.push(await (await relay.post("/v1/chat/completions", CHAT, headers)).text());
      expect(bodies[1]).to.equal(bodies[0]).and.to.include("HELLO THERE.");
      expect(calls).to.equal(2);
      expect(relay.ledger.commits).to.have.length(1);
    });

    it("that wait have a reply's place kept from the turn in which it is billed", async () => {
      let release = () => {};
      const waiting = new Promise<undefined>((resolve) => {
        release = () => resolve(undefined);
      });
      await start({ onResponse: () => waiting });
      const { ledger, idempotency } = relay;
      const notes: string[] = [];
      const commit = ledger.commit.bind(ledger);
      ledger.commit = (id, outcome) => {
        commit(id, outcome);
        notes.push("billed");
        setImmediate(() => notes.push("next turn"));
      };
      const settle = idempotency.settle.bind(idempotency);
      idempotency.settle = (caller, key, reply, then) => {
        notes.push(`${reply?.status} ${then ?? "done"}`);
        settle(caller, key, reply, then);
        if (then) setImmediate(release);
      };
      const reply = await relay.post("/v1/chat/completions", CHAT, { "idempotency-key": "k2" });
      expect(reply.status).to.equal(200);
      expect(notes).to.deep.equal(["billed", "409 running", "next turn", "200 done"]);
    });
  });

  describe("in a stream", () => {
    const say = (...pieces: string[]) => {
      providerOf(relay).onAsk = (ask) => {
        for (const piece of pieces) ask.say(piece);
        ask.finish();
      };
    };
    const textOf = (events: ReturnType<typeof eventsOf>) =>
      events.map((event) => event.choices?.[0]?.delta.content ?? "").join("");

    it("change its content, chunk by chunk, and never its bill", async () => {
      const states = new Set<object>();
      await start({
        onFrame: ({ json, state }) => {
          states.add(state);
          state["count"] = Number(state["count"] ?? 0) + 1;
          const [choice] = json["choices"] as [{ delta: { content: string } }];
          choice.delta.content = `${state["count"]}${choice.delta.content}`;
          return json;
        },
      });
      say("a", "b", "c");
      const body = { ...STREAM, stream_options: { include_usage: true } };
      const events = eventsOf(await (await relay.post("/v1/chat/completions", body)).text());
      expect(textOf(events)).to.equal("1a2b3c");
      expect(states.size).to.equal(1);
      expect(events.at(-2).usage.completion_tokens).to.equal(3);
      expect(events.at(-2).aimo.receipt_hash).to.match(/^0x/);
      expect(events.at(-1)).to.equal("[DONE]");
    });

    it("let each chunk pass that they fail at, and say so once", async () => {
      await start({ onFrame: (() => Promise.reject(new Error("late"))) as never });
      say("a", "b");
      const events = eventsOf(await (await relay.post("/v1/chat/completions", STREAM)).text());
      expect(textOf(events)).to.equal("ab");
      expect(warnings.map(({ hook }) => hook)).to.deep.equal(["onFrame"]);
      expect(relay.ledger.commits[0]?.outcome.kind).to.equal("usage");
    });

    it("leave frames as they are that they have nothing to say to, byte for byte", async () => {
      await start({ onFrame: () => undefined });
      const frame = `data: { "choices":[ {"index":0, "delta":{"content":"h\\u00e9"} }] }\n\n`;
      providerOf(relay).onAsk = (ask) => {
        ask.response.writeHead(200, { "content-type": "text/event-stream" }).write(frame);
        ask.frames++;
        ask.pieces.push("h\u00e9");
        ask.finish();
      };
      const text = await (await relay.post("/v1/chat/completions", STREAM)).text();
      expect(text.startsWith(frame)).to.equal(true);
      expect(relay.ledger.commits[0]?.outcome.kind).to.equal("usage");
    });
  });
});
