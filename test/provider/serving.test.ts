import { once } from "node:events";
import { recoverAddress } from "@aimo/node/fast-crypto";
import { toHex } from "@aimo/protocol/bytes";
import { buildGroup, groupDigest } from "@aimo/protocol/groups";
import { textResponseHash, usageDigest } from "@aimo/protocol/receipts";
import { receiptFromJson, type UsageStatement } from "@aimo/protocol/session";
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
import { attemptOn, chatBody, chatPath, DEPLOYMENT, startWorld, type World } from "./support/provider.ts";
import type { RelayClient } from "./support/relay-client.ts";

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
    const statement = relay.usageOf(text, seq, chatPath(query));
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
        return relay.usageOf(text, seq, chatPath(query)).receiptHash;
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
