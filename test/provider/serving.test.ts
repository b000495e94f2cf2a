import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { recoverAddress } from "@aimo/node/fast-crypto";
import { toBytes, toHex } from "@aimo/protocol/bytes";
import { buildGroup, groupDigest } from "@aimo/protocol/groups";
import { textResponseHash, usageDigest } from "@aimo/protocol/receipts";
import { receiptFromJson, type UsageFrame, type UsageStatement } from "@aimo/protocol/session";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { costOf } from "@aimo/protocol/units";
import { expect } from "chai";
import {
  chunkOf,
  type FaultUpstream,
  startFaultUpstream,
  usageChunk,
  writeFrames,
} from "./support/fault-upstream.ts";
import {
  attemptOn,
  chatBody,
  chatPath,
  DEPLOYMENT,
  RELAY_ID,
  startWorld,
  type World,
} from "./support/provider.ts";
import { type RelayClient, readFrames, textOf } from "./support/relay-client.ts";

const PRICES = [150_000n, 75_000n, 600_000n] as const;
const separator = domainSeparator({
  chainId: DEPLOYMENT.chainId,
  verifyingContract: DEPLOYMENT.contracts.settlement,
});
const USAGE = { prompt_tokens: 20, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 5 } };

describe("provider serving", () => {
  let upstream: FaultUpstream;
  let world: World;
  let relay: RelayClient;

  beforeEach(async () => {
    upstream = await startFaultUpstream();
    world = await startWorld({ upstream: upstream.url });
    relay = await world.connect();
    await relay.listen();
  });
  afterEach(async () => {
    relay.close();
    await world.provider.close(0);
    await upstream.close();
  });

  const codeOf = (text: string): string => JSON.parse(text).error.code;
  /** The usage frame of a finished stream, its MAC checked. */
  const usageOf = (text: string, seq: bigint, path: string): UsageStatement => {
    const data = /event: aimo\.usage\ndata: (.*)\n\ndata: \[DONE\]\n\n$/.exec(text)?.[1] ?? "";
    return relay.checkUsage(JSON.parse(data) as UsageFrame, seq, path);
  };

  it("passes a stream's frames on with only id and model set, then states the upstream's usage under a MAC", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [
        chunkOf({ role: "assistant", content: "" }),
        chunkOf({ content: "Hé" }),
        chunkOf({ content: "llo" }, { finish: "stop" }),
        usageChunk(USAGE),
        "[DONE]",
      ]);
      response.end();
    });
    const query = attemptOn();
    const { text, seq, status } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
    expect(status).to.equal(200);
    const rewritten = (frame: string) =>
      `data: ${frame.replace("chatcmpl-upstream", "gen-1").replace("served-name", "acme/text")}\n\n`;
    const content = [{ role: "assistant", content: "" }, { content: "Hé" }].map((delta) =>
      rewritten(chunkOf(delta)),
    );
    expect(
      text.startsWith(content.join("") + rewritten(chunkOf({ content: "llo" }, { finish: "stop" }))),
    ).to.equal(true);
    expect(text.match(/data: /g)).to.have.length(5);
    const statement = usageOf(text, seq, chatPath(query));
    expect(statement.units).to.deep.equal([15, 5, 2]);
    expect(statement.cost).to.equal(costOf([15, 5, 2], PRICES).toString());
    expect(statement.responseHash).to.equal(textResponseHash([{ text: "Héllo" }]));
    expect(statement.attempt).to.equal(query.attempt);
  });

  it("sends the upstream the client's bytes with model, usage and limit replaced", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "a" }, { finish: "stop" }), usageChunk(USAGE), "[DONE]"]);
      response.end();
    });
    const body = '{ "model":"acme/text", "seed": 12345678901234567890, "stream":true,"messages":[] }';
    await relay.send("POST", chatPath(attemptOn("11", { max: 9 })), body);
    expect(upstream.bodies[0]).to.equal(
      '{"max_tokens":9,"stream_options":{"include_usage":true},"model":"served-name",' +
        '"seed": 12345678901234567890,"stream":true,"messages":[]}',
    );
  });

  it("passes a JSON answer on with only id and model set, and states usage in headers", async () => {
    const answer =
      '{"id":"x","model":"served-name","choices":[{"index":0,"message":{"content":"Hi","role":"assistant"}}],' +
      '"usage":{"prompt_tokens":9,"completion_tokens":1}, "big": 1.00}';
    upstream.play((_, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end(answer),
    );
    const query = attemptOn();
    const { text, headers, seq, status } = await relay.send("POST", chatPath(query), chatBody());
    expect(status).to.equal(200);
    expect(text).to.equal(
      '{"id":"gen-1","model":"acme/text","choices":[{"index":0,"message":{"content":"Hi","role":"assistant"}}],' +
        '"usage":{"prompt_tokens":9,"completion_tokens":1},"big": 1.00}',
    );
    const json = Buffer.from(String(headers["aimo-usage"]), "base64url").toString();
    const statement = relay.checkUsage(
      { statement: JSON.parse(json) as UsageStatement, mac: headers["aimo-usage-mac"] as `0x${string}` },
      seq,
      chatPath(query),
    );
    expect(statement.units).to.deep.equal([9, 0, 1]);
  });

  it("signs receipts in a group that verifies and names what was stated", async () => {
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "one" }, { finish: "stop" }), usageChunk(USAGE), "[DONE]"]);
      response.end();
    });
    const queries = [attemptOn(), attemptOn(), attemptOn()];
    const stated = await Promise.all(
      queries.map(async (query) => {
        const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
        return usageOf(text, seq, chatPath(query)).receiptHash;
      }),
    );
    await relay.untilGroups(1);
    while (relay.groups.reduce((sum, { group }) => sum + group.count, 0) < 3)
      await once(relay.events, "group");
    const digests = relay.groups.flatMap(({ group, signature, receipts }) => {
      const leaves = receipts.map((json) => usageDigest(separator, receiptFromJson(json)));
      expect(buildGroup(leaves).root).to.equal(group.root);
      expect(recoverAddress(groupDigest(separator, group), signature)).to.equal(world.key.address);
      expect(receipts.every(({ issuedAt }) => issuedAt <= group.closedAt)).to.equal(true);
      return leaves.map(toHex);
    });
    expect([...digests].sort()).to.deep.equal([...stated].sort());
    const hashes = relay.groups.flatMap(({ receipts }) => receipts.map(({ requestHash }) => requestHash));
    expect([...hashes].sort()).to.deep.equal(queries.map(({ request }) => request).sort());
  });

  describe("when the relay cuts a stream", () => {
    const words = ["alpha ", "beta ", "gamma ", "delta "];
    let held: ServerResponse | undefined;

    beforeEach(() => {
      upstream.play((_, response) => {
        held = response;
        writeFrames(
          response,
          words.map((content) => chunkOf({ content })),
        );
      });
    });

    it("stops the upstream at once and signs for the delivered frames only", async () => {
      const query = attemptOn();
      const gone = once(upstream.events, "gone");
      const { response, request } = await relay.open(chatPath(query), chatBody({ stream: true }));
      request.on("error", () => {});
      await readFrames(response, 4);
      request.destroy();
      await gone;
      const statement = await relay.abort(query.attempt, 2);
      expect(statement?.responseHash).to.equal(textResponseHash([{ text: "alpha beta " }]));
      expect(statement?.units[2]).to.be.within(1, 3);
      expect(statement?.units[0]).to.be.greaterThan(0);
      const [{ receipts } = { receipts: [] }] = await relay.untilGroups(1);
      expect(receipts).to.have.length(1);
      expect(receipts[0]?.responseHash).to.equal(statement?.responseHash);
    });

    it("ends a stream that is still open with the statement when the abort comes first", async () => {
      const query = attemptOn();
      const { response, seq } = await relay.open(chatPath(query), chatBody({ stream: true }));
      await readFrames(response, 4);
      const rest = textOf(response);
      const statement = await relay.abort(query.attempt, 3);
      expect(usageOf(await rest, seq, chatPath(query))).to.deep.equal(statement);
      expect(statement?.responseHash).to.equal(textResponseHash([{ text: "alpha beta gamma " }]));
    });

    it("never signs for more frames than it sent", async () => {
      const query = attemptOn();
      const { response } = await relay.open(chatPath(query), chatBody({ stream: true }));
      await readFrames(response, 4);
      const statement = await relay.abort(query.attempt, 4_000);
      expect(statement?.responseHash).to.equal(textResponseHash([{ text: words.join("") }]));
    });

    it("signs nothing when no frame arrived", async () => {
      const query = attemptOn();
      const { response, request } = await relay.open(chatPath(query), chatBody({ stream: true }));
      request.on("error", () => {});
      await readFrames(response, 1);
      expect(await relay.abort(query.attempt, 0)).to.equal(undefined);
      expect(world.provider.receipts.totals()).to.deep.equal([]);
    });

    it("stops the upstream before the first token too", async () => {
      upstream.play(() => {});
      const query = attemptOn();
      const asked = once(upstream.events, "request");
      const gone = once(upstream.events, "gone");
      const path = chatPath(query);
      const opening = relay.open(path, chatBody({ stream: true })).catch((error: Error) => error);
      await asked;
      expect(await relay.abort(query.attempt, 0)).to.equal(undefined);
      await gone;
      expect(await opening).to.be.instanceOf(Error);
    });

    it("replaces a receipt by a lower one when the relay learns late that its client got less", async () => {
      const query = attemptOn();
      upstream.play((_, response) => {
        writeFrames(response, [
          ...words.map((content) => chunkOf({ content })),
          chunkOf({}, { finish: "stop" }),
        ]);
        writeFrames(response, [usageChunk({ prompt_tokens: 10, completion_tokens: 8 }), "[DONE]"]);
        response.end();
      });
      const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
      const full = usageOf(text, seq, chatPath(query));
      const lower = await relay.abort(query.attempt, 1);
      expect(BigInt(lower?.cost ?? 0) < BigInt(full.cost)).to.equal(true);
      expect(lower?.responseHash).to.equal(textResponseHash([{ text: "alpha " }]));
    });

    afterEach(() => {
      held?.end();
      held = undefined;
    });
  });

  describe("when the upstream fails", () => {
    const noReceipt = async () => {
      await world.provider.receipts.flush();
      expect(world.provider.receipts.totals()).to.deep.equal([]);
    };

    it("answers with a named error and signs nothing for a status of 500", async () => {
      upstream.play((_, response) => response.writeHead(500).end("oops"));
      const { status, text } = await relay.send("POST", chatPath(attemptOn()), chatBody());
      expect([status, codeOf(text)]).to.deep.equal([502, "provider_unavailable"]);
      await noReceipt();
    });

    it("passes on what the upstream says of a client's mistake", async () => {
      const refusal = JSON.stringify({ error: { message: "temperature is above 2", param: "temperature" } });
      upstream.play((_, response) => response.writeHead(400).end(refusal));
      const { status, text } = await relay.send("POST", chatPath(attemptOn()), chatBody());
      expect([status, JSON.parse(text).error.param]).to.deep.equal([400, "temperature"]);
      expect(text).to.contain("temperature is above 2");
    });

    it("breaks the stream off and signs nothing when the upstream breaks off", async () => {
      upstream.play((_, response) => {
        writeFrames(response, [chunkOf({ content: "half" })]);
        response.flushHeaders();
        setImmediate(() => response.destroy());
      });
      const { response } = await relay.open(chatPath(attemptOn()), chatBody({ stream: true }));
      const failure = await textOf(response).catch((error: Error) => error);
      expect(failure).to.be.instanceOf(Error);
      await noReceipt();
    });

    it("breaks the stream off when it ends without finish reason and [DONE]", async () => {
      upstream.play((_, response) => {
        writeFrames(response, [chunkOf({ content: "half" })]);
        response.end();
      });
      const reading = relay
        .open(chatPath(attemptOn()), chatBody({ stream: true }))
        .then(({ response }) => textOf(response));
      expect(await reading.catch((error: Error) => error)).to.be.instanceOf(Error);
      await noReceipt();
    });

    it("counts the text itself when the upstream states no usage", async () => {
      upstream.play((_, response) => {
        writeFrames(response, [chunkOf({ content: "hello world" }, { finish: "stop" }), "[DONE]"]);
        response.end();
      });
      const query = attemptOn();
      const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
      expect(usageOf(text, seq, chatPath(query)).units[2]).to.equal(2);
    });

    it("holds completion tokens to what the delivered bytes bear out", async () => {
      upstream.play((_, response) => {
        writeFrames(response, [chunkOf({ content: "ok" }, { finish: "stop" })]);
        writeFrames(response, [usageChunk({ prompt_tokens: 10, completion_tokens: 5_000 }), "[DONE]"]);
        response.end();
      });
      const query = attemptOn();
      const { text, seq } = await relay.send("POST", chatPath(query), chatBody({ stream: true }));
      expect(usageOf(text, seq, chatPath(query)).units[2]).to.equal(10);
    });

    it("refuses a stream of junk before the first frame with an error", async () => {
      upstream.play((_, response) => {
        writeFrames(response, ["not json"]);
        response.end();
      });
      const { status, text } = await relay.send("POST", chatPath(attemptOn()), chatBody({ stream: true }));
      expect([status, codeOf(text)]).to.deep.equal([502, "provider_unavailable"]);
      await noReceipt();
    });
  });

  it("states images by count and embeddings by prompt tokens", async () => {
    upstream.play((_, response, path) => {
      const image = { data: [{ b64_json: "AAEC" }, { url: "data:image/png;base64,AAEC" }] };
      const embeddings = {
        model: "served-name",
        data: [{ embedding: [0.5, -1] }],
        usage: { prompt_tokens: 4 },
      };
      const answer = JSON.stringify(path.endsWith("embeddings") ? embeddings : image);
      response.writeHead(200, { "content-type": "application/json" }).end(answer);
    });
    const units = async (route: string, slug: string, body: object) => {
      const query = attemptOn(slug);
      const path = chatPath(query).replace("/chat?", `/${route}?`);
      const { headers, text } = await relay.send("POST", path, JSON.stringify({ model: slug, ...body }));
      expect(text).to.not.contain("served-name");
      return JSON.parse(Buffer.from(String(headers["aimo-usage"]), "base64url").toString()).units;
    };
    expect(await units("images", "acme/image", { prompt: "a cat", n: 2 })).to.deep.equal([0, 0, 2]);
    expect(await units("embeddings", "acme/embed", { input: "four tokens" })).to.deep.equal([4, 0, 0]);
  });

  describe("admission", () => {
    const refused = async (path: string, body: string) => {
      const { status, text } = await relay.send("POST", path, body);
      return [status, codeOf(text)];
    };

    it("names an unknown model, a wrong route, a price not in force, and bad parameters", async () => {
      expect(await refused(chatPath(attemptOn("acme/none")), chatBody())).to.deep.equal([
        404,
        "model_not_found",
      ]);
      expect(await refused(chatPath(attemptOn("acme/embed")), chatBody())).to.deep.equal([
        404,
        "model_not_found",
      ]);
      for (const price of [2, 9])
        expect(await refused(chatPath(attemptOn("11", { price })), chatBody())).to.deep.equal([
          503,
          "model_unavailable",
        ]);
      expect(await refused(chatPath(attemptOn()), "{")).to.deep.equal([400, "invalid_request"]);
      expect(await refused(chatPath(attemptOn()), chatBody({ n: 0 }))).to.deep.equal([
        400,
        "invalid_request",
      ]);
      expect(await refused(chatPath(attemptOn("11", { attempt: "0x" })), chatBody())).to.deep.equal([
        400,
        "invalid_request",
      ]);
    });

    it("refuses a body above the limit", async () => {
      const body = chatBody({ padding: "x".repeat(70_000) });
      expect(await refused(chatPath(attemptOn()), body)).to.deep.equal([413, "payload_too_large"]);
    });
  });
});

describe("provider limits", () => {
  let upstream: FaultUpstream;
  beforeEach(async () => {
    upstream = await startFaultUpstream();
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "one" }, { finish: "stop" }), usageChunk(USAGE), "[DONE]"]);
      response.end();
    });
  });
  afterEach(() => upstream.close());

  it("refuses above the credit limit with a named error, and serves again once the relay acknowledges", async () => {
    // Room for one worst case (200 completion tokens and a short prompt), but not beside a receipt.
    const body = chatBody({ stream: true, max_tokens: 200 });
    const worst = costOf([body.length, 0, 200], PRICES);
    const world = await startWorld({ upstream: upstream.url, creditLimit: worst });
    const relay = await world.connect();
    await relay.listen();
    const ask = () => relay.send("POST", chatPath(attemptOn()), body);
    expect((await ask()).status).to.equal(200);
    const [group] = await relay.untilGroups(1);
    const refused = await ask();
    expect([refused.status, JSON.parse(refused.text).error.code]).to.deep.equal([
      429,
      "credit_limit_reached",
    ]);
    expect(refused.headers["retry-after"]).to.equal("1");
    const cost = BigInt(group?.receipts[0]?.cost ?? 0);
    expect((await relay.ack(cost)).status).to.equal(204);
    expect((await ask()).status).to.equal(200);
    const [totals] = world.provider.receipts.totals();
    expect([totals?.relayId, totals?.acknowledged]).to.deep.equal([RELAY_ID, cost]);
    relay.close();
    await world.provider.close(0);
  });

  it("refuses with Retry-After when all slots are busy, and frees the slot of a request that was cut", async () => {
    const world = await startWorld({ upstream: upstream.url, maxConcurrency: 1 });
    const relay = await world.connect();
    upstream.play((_, response) => writeFrames(response, [chunkOf({ content: "slow" })]));
    const query = attemptOn();
    const { response } = await relay.open(chatPath(query), chatBody({ stream: true }));
    await readFrames(response, 1);
    const refused = await relay.send("POST", chatPath(attemptOn()), chatBody({ stream: true }));
    expect([refused.status, JSON.parse(refused.text).error.code]).to.deep.equal([429, "rate_limit_exceeded"]);
    expect(refused.headers["retry-after"]).to.equal("1");
    expect(world.provider.serving.loadOf(11).freeSlots).to.equal(0);
    await relay.abort(query.attempt, 1);
    expect(world.provider.serving.loadOf(11).freeSlots).to.equal(1);
    await world.provider.close(0);
  });

  it("finishes what runs and refuses what is new while it closes", async () => {
    const world = await startWorld({ upstream: upstream.url });
    const relay = await world.connect();
    await relay.listen();
    let finish = () => {};
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: "first " })]);
      finish = () => {
        writeFrames(response, [
          chunkOf({ content: "last" }, { finish: "stop" }),
          usageChunk(USAGE),
          "[DONE]",
        ]);
        response.end();
      };
    });
    const query = attemptOn();
    const { response, seq } = await relay.open(chatPath(query), chatBody({ stream: true }));
    await readFrames(response, 1);
    const closing = world.provider.close(5_000);
    const refused = await relay.send("POST", chatPath(attemptOn()), chatBody());
    expect([refused.status, JSON.parse(refused.text).error.code]).to.deep.equal([503, "shutting_down"]);
    finish();
    const data = /aimo\.usage\ndata: (.*)\n\n/.exec(await textOf(response))?.[1] ?? "";
    expect(relay.checkUsage(JSON.parse(data) as UsageFrame, seq, chatPath(query)).units[2]).to.equal(2);
    const [group] = await relay.untilGroups(1);
    expect(toBytes(group?.group.root ?? "0x")).to.have.length(32);
    await closing;
  });
});
