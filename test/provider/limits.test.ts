import type { UsageFrame } from "@aimo/protocol/session";
import { TEMPLATE_TOKENS } from "@aimo/protocol/unit-bounds";
import { costOf } from "@aimo/protocol/units";
import { expect } from "chai";
import type { Hex } from "viem";
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
  PROVIDER_ID,
  RELAY_ID,
  signVoucher,
  startWorld,
} from "./support/provider.ts";
import { readFrames, textOf } from "./support/relay-client.ts";

const PRICES = [150_000n, 75_000n, 600_000n] as const;
const USAGE = { prompt_tokens: 20, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 5 } };

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

  it("refuses above the credit limit with a named error, and serves again once the relay has paid", async () => {
    // Room for one worst case (200 completion tokens and a short prompt), but not beside a receipt.
    const body = chatBody({ stream: true, max_tokens: 200 });
    const worst = costOf([body.length + TEMPLATE_TOKENS, 0, 200], PRICES);
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
    // A voucher is a promise: it counts until the chain has paid it.
    const still = JSON.parse((await ask()).text).error;
    expect([still.code, still.metadata.open]).to.deep.equal(["credit_limit_reached", `${cost}`]);
    world.funds.paid = cost;
    await world.provider.covers.refresh([RELAY_ID]);
    expect((await ask()).status).to.equal(200);
    const [totals] = world.provider.receipts.totals();
    expect([totals?.relayId, totals?.acknowledged]).to.deep.equal([RELAY_ID, cost]);
    relay.close();
    await world.provider.close(0);
  });

  it("serves as far above its limit as the relay's reserve for it goes, and no further", async () => {
    const body = chatBody({ stream: true, max_tokens: 200 });
    const worst = costOf([body.length + TEMPLATE_TOKENS, 0, 200], PRICES);
    const world = await startWorld({ upstream: upstream.url, creditLimit: 0n });
    const relay = await world.connect();
    const ask = async () => (await relay.send("POST", chatPath(attemptOn()), body)).status;
    expect(await ask()).to.equal(429);
    world.funds.reserve = worst;
    await world.provider.covers.refresh([RELAY_ID]);
    expect([await ask(), await ask()]).to.deep.equal([200, 429]);
    await world.provider.close(0);
  });

  it("takes only vouchers by the relay's key over these parties and this amount, and never less", async () => {
    const world = await startWorld({ upstream: upstream.url });
    const relay = await world.connect();
    const status = async (cumulative: bigint, signature: Hex) =>
      (await relay.ack(cumulative, signature)).status;
    const by = (about: object, key = world.relayKey) => signVoucher(key, 1_000n, about).signature;
    expect(await status(1_000n, by({}, world.key))).to.equal(401);
    expect(await status(1_000n, by({ relayId: RELAY_ID + 1 }))).to.equal(401);
    expect(await status(1_000n, by({ providerId: PROVIDER_ID + 1 }))).to.equal(401);
    expect(await status(1_001n, by({}))).to.equal(401);
    expect(await status(1_000n, "0x12")).to.equal(400);
    expect(world.provider.receipts.vouchers().size).to.equal(0);
    expect(await status(1_000n, by({}))).to.equal(204);
    expect((await relay.ack(400n)).status).to.equal(204);
    expect(world.provider.receipts.vouchers().get(RELAY_ID)).to.include({ cumulative: 1_000n });
    expect(world.files.get(RELAY_ID)).to.include(signVoucher(world.relayKey, 1_000n));
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
    await relay.ack(BigInt(group?.receipts[0]?.cost ?? 0));
    await closing;
  });
});
