import { openData } from "@aimo/node/data-dir";
import { ZERO_32 } from "@aimo/protocol/bytes";
import { expect } from "chai";
import { FAILURES_TO_EJECT } from "../../../relay/src/core/breaker.ts";
import { Journal } from "../../../relay/src/store/journal.ts";
import { LevelLedger } from "../../../relay/src/store/ledger.ts";
import { UnpostedReceipts } from "../../../relay/src/store/unposted.ts";
import {
  CHAT,
  eventsOf,
  type Json,
  jsonOf,
  providerOf,
  startTestRelay,
  type TestRelay,
  USD,
  USER_ID,
  until,
} from "../support/test-relay.ts";

describe("the money of a request", () => {
  let relay: TestRelay;
  afterEach(() => relay.close());

  const LIES = {
    "more tokens than bytes were delivered": { completion: 2 + 8 + 1 },
    "another response": { responseHash: ZERO_32 },
    "a cost above units x price": { cost: 10n * 100_000n + 400_000n + 1n },
  };
  for (const [title, lie] of Object.entries(LIES)) {
    it(`is not charged when the provider states ${title}`, async () => {
      relay = await startTestRelay();
      providerOf(relay).onAsk = (ask) => {
        ask.say("Hi");
        ask.finish(lie);
      };
      const response = await relay.post("/v1/chat/completions", { ...CHAT, stream: true });
      const last = eventsOf(await response.text()).at(-2);
      expect(last.aimo).to.include({ cost_pusd: "0" });
      expect(last.aimo.note).to.match(/rejected/);
      expect(last.aimo).to.not.have.property("receipt_hash");
      expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "free", reason: "rejected" });
    });
  }

  it("shows a rejected statement as its provider's failure, and none that passes", async () => {
    relay = await startTestRelay();
    const endpoint = async () =>
      (await jsonOf(await fetch(`${relay.url}/v1/models/stand-in/endpoints`))).data.endpoints[0];
    const ask = async (completion: number) => {
      providerOf(relay).onAsk = (asked) => asked.reply("Hi", { completion });
      return (await jsonOf(await relay.post("/v1/chat/completions", CHAT))).aimo;
    };
    expect((await ask(10)).attempts[0]).to.include({ status: "ok" });
    for (let i = 0; i < FAILURES_TO_EJECT; i++) expect((await ask(11)).attempts).to.have.length(1);
    expect((await ask(11)).attempts[0]).to.include({ status: "failed", error: "provider_unavailable" });
    const { status, requests, uptime_last_5m: uptime } = await endpoint();
    expect(requests.last_5m).to.deep.equal({ ok: 1, failed: FAILURES_TO_EJECT + 1 });
    expect([status, uptime]).to.deep.equal([-2, 1 / (FAILURES_TO_EJECT + 2)]);
  });

  it("is charged at a provider's lower cost", async () => {
    relay = await startTestRelay();
    providerOf(relay).onAsk = (ask) => {
      ask.say("Hi");
      ask.finish({ cost: 1_000n });
    };
    const response = await relay.post("/v1/chat/completions", { ...CHAT, stream: true });
    expect(eventsOf(await response.text()).at(-2).aimo.cost_pusd).to.equal("1050");
  });

  it("never passes the channel, whatever comes at once: 1,000 requests on 5 USD", async () => {
    relay = await startTestRelay({ free: 5n * USD });
    const offer = providerOf(relay).offer();
    const prices = [1_000_000n, 500_000n, 200_000_000n] as const;
    relay.offers = [{ ...offer, price: { ...offer.price, prices } }];
    const waiting: (() => void)[] = [];
    providerOf(relay).onAsk = (ask) => void waiting.push(() => ask.response.writeHead(500).end());
    const body = { ...CHAT, max_tokens: 1_000 };
    const replies = Array.from({ length: 1_000 }, () => relay.post("/v1/chat/completions", body));
    const refusals = Promise.all(replies.map(async (reply) => (await reply).status));
    // Those that are admitted wait at the provider until all the others were refused.
    await until(() => waiting.length > 0 && waiting.length >= relay.ledger.holds.size);
    const first = (await Promise.race(replies)) as Response;
    expect(first.status).to.equal(402);
    const { error } = await jsonOf(first);
    expect(error.code).to.equal("insufficient_credits");
    expect(Number(error.metadata.needed)).to.be.above(Number(error.metadata.free));
    const end = setInterval(() => {
      for (const go of waiting.splice(0)) go();
    }, 5);
    const statuses = await refusals;
    clearInterval(end);
    expect(new Set(statuses)).to.deep.equal(new Set([402, 502]));
    expect(relay.ledger.mostHeld <= 5n * USD, `${relay.ledger.mostHeld} held`).to.equal(true);
    expect(relay.ledger.holds.size).to.equal(0);
    expect(relay.ledger.commits.every(({ outcome }) => outcome.kind === "free")).to.equal(true);
  }).timeout(30_000);

  it("never passes the channel in the real ledger either, which agrees with the replies", async () => {
    const identity = { chainId: 1, genesisHash: ZERO_32, settlement: `0x${"00".repeat(20)}` as const };
    const db = await openData({ location: "memory", identity });
    const journal = new Journal(db);
    const protocolNow = () => Math.floor(Date.now() / 1000);
    const unposted = await UnpostedReceipts.open(journal);
    const books = await LevelLedger.open({ journal, unposted, now: Date.now, protocolNow });
    const later = protocolNow() + 3_600;
    books.setChannel({
      ...{ userId: USER_ID, owner: identity.settlement, epoch: 1, mode: 0, available: 5n * USD, spent: 0n },
      ...{ settleBy: later, expiry: later, thawAmount: 0n, thawEnd: 0 },
      ...{ openedAt: 1, revokedAt: 0, sessionKey: identity.settlement },
    });
    relay = await startTestRelay({ realLedger: books });
    const offer = providerOf(relay).offer();
    const prices = [1_000_000n, 500_000n, 20_000_000_000n] as const;
    relay.offers = [{ ...offer, price: { ...offer.price, prices } }];
    providerOf(relay).onAsk = (ask) => ask.reply("x".repeat(64), { completion: 1 });
    let most = 0n;
    const check = setInterval(() => {
      const balance = books.balanceOf(USER_ID);
      const used = balance ? balance.charged + balance.pending + balance.held : 0n;
      if (used > most) most = used;
    }, 1);
    const replies = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const response = await relay.post("/v1/chat/completions", CHAT);
        return { status: response.status, body: await jsonOf(response) };
      }),
    );
    clearInterval(check);
    const served = replies.filter(({ status }) => status === 200);
    const charged = served.reduce((sum, { body }) => sum + BigInt(body.aimo.cost_pusd), 0n);
    expect(new Set(replies.map(({ status }) => status))).to.deep.equal(new Set([200, 402]));
    expect(served.length).to.be.above(1);
    expect(most <= 5n * USD, `${most} used`).to.equal(true);
    const balance = books.balanceOf(USER_ID);
    expect(balance).to.include({ held: 0n, pending: 0n + charged, free: 5n * USD - charged });
    await journal.close();
    await db.close();
  }).timeout(30_000);

  it("is not sent to a provider that would refuse it for its credit, and is free when none is left", async () => {
    let full: readonly number[] = [1];
    const credit = {
      covers: ({ offer }: { offer: { providerId: number } }) => !full.includes(offer.providerId),
      begin: () => () => {},
    };
    relay = await startTestRelay({ providers: 2, credit });
    expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(200);
    expect(relay.providers.map(({ asks }) => asks.length)).to.deep.equal([0, 1]);
    full = [1, 2];
    const refused = await relay.post("/v1/chat/completions", CHAT);
    expect([refused.status, (await jsonOf(refused)).error.code]).to.deep.equal([503, "overloaded"]);
    expect(relay.ledger.holds.size).to.equal(0);
  });

  it("lowers the output to what the channel covers, and says so", async () => {
    // The prompt's bound, and about a hundred tokens of output.
    relay = await startTestRelay({ free: 36_000_000n + 42_000_000n });
    const body = await jsonOf(await relay.post("/v1/chat/completions", { ...CHAT, max_tokens: 1_000 }));
    const max = Number(providerOf(relay).asks[0]?.query.get("max"));
    expect(max).to.be.within(16, 150);
    expect(body.aimo.max_tokens).to.equal(max);
  });

  it("is refused with the numbers when not even a short answer is covered", async () => {
    relay = await startTestRelay({ free: 1_000n });
    const response = await relay.post("/v1/chat/completions", CHAT);
    const { error } = await jsonOf(response);
    expect(response.status).to.equal(402);
    expect(error.metadata).to.include({ free: "1000" });
    expect(providerOf(relay).asks).to.have.length(0);
  });

  it("is looked up on the chain once more before a request is refused", async () => {
    let asked = 0;
    relay = await startTestRelay({
      free: 0n,
      accounts: {
        refreshChannel: async (userId) => {
          asked++;
          relay.ledger.open(userId, 5n * USD);
          return undefined;
        },
      },
    });
    expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(200);
    expect(asked).to.equal(1);
  });

  it("stays within the key's own limit", async () => {
    relay = await startTestRelay();
    const settings = { name: "", expiresAt: undefined, limitReset: undefined, disabled: false };
    const owner = { userId: 9, owner: relay.keys.list(9)[0]?.owner ?? "0x" } as const;
    const { key } = await relay.keys.create(owner, { ...settings, limit: 2_000n, models: undefined });
    const response = await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${key}` });
    expect(response.status).to.equal(402);
    expect((await jsonOf(response)).error.code).to.equal("key_limit_reached");
    const other = await relay.keys.create(owner, { ...settings, limit: undefined, models: ["other"] });
    const denied = await relay.post("/v1/chat/completions", CHAT, { authorization: `Bearer ${other.key}` });
    expect(denied.status).to.equal(403);
  });

  describe("under an Idempotency-Key", () => {
    const headers = { "idempotency-key": "once" };

    it("is charged once, and the JSON reply comes again byte for byte", async () => {
      relay = await startTestRelay();
      const first = await relay.post("/v1/chat/completions", CHAT, headers);
      const text = await first.text();
      const second = await relay.post("/v1/chat/completions", CHAT, headers);
      expect(await second.text()).to.equal(text);
      expect(second.headers.get("idempotent-replayed")).to.equal("true");
      expect(second.headers.get("x-generation-id")).to.equal(first.headers.get("x-generation-id"));
      expect(relay.ledger.commits).to.have.length(1);
    });

    it("is charged once for a stream, which comes again byte for byte", async () => {
      relay = await startTestRelay();
      providerOf(relay).onAsk = (ask) => {
        for (const piece of ["a", "b", "c"]) ask.say(piece);
        ask.finish();
      };
      const ask = () => relay.post("/v1/chat/completions", { ...CHAT, stream: true }, headers);
      const text = await (await ask()).text();
      const again = await ask();
      expect(again.headers.get("content-type")).to.equal("text/event-stream; charset=utf-8");
      expect(await again.text()).to.equal(text);
      expect(relay.ledger.commits).to.have.length(1);
    });

    it("tells the second of two at once to wait", async () => {
      relay = await startTestRelay();
      let go = () => {};
      providerOf(relay).onAsk = (ask) => {
        go = () => ask.reply("Done.");
      };
      const first = relay.post("/v1/chat/completions", CHAT, headers);
      await until(() => providerOf(relay).asks.length === 1);
      const second = await relay.post("/v1/chat/completions", CHAT, headers);
      expect(second.status).to.equal(409);
      expect((await jsonOf(second)).error.code).to.equal("request_in_progress");
      go();
      expect((await first).status).to.equal(200);
      expect(relay.ledger.commits).to.have.length(1);
    });

    it("refuses another body", async () => {
      relay = await startTestRelay();
      await jsonOf(await relay.post("/v1/chat/completions", CHAT, headers));
      const other = await relay.post("/v1/chat/completions", { ...CHAT, max_tokens: 65 }, headers);
      expect(other.status).to.equal(409);
      expect((await jsonOf(other)).error.code).to.equal("idempotency_conflict");
    });

    it("tries again what failed and was free", async () => {
      relay = await startTestRelay();
      providerOf(relay).onAsk = (ask) => void ask.response.writeHead(500).end();
      expect((await relay.post("/v1/chat/completions", CHAT, headers)).status).to.equal(502);
      providerOf(relay).onAsk = (ask) => ask.reply("Now.");
      expect((await relay.post("/v1/chat/completions", CHAT, headers)).status).to.equal(200);
    });

    it("names the generation when the reply was too long to keep", async () => {
      relay = await startTestRelay();
      const long = "x".repeat(300_000);
      providerOf(relay).onAsk = (ask) => ask.reply(long);
      const first = await relay.post("/v1/chat/completions", CHAT, headers);
      await first.text();
      const second = await relay.post("/v1/chat/completions", CHAT, headers);
      const { error }: Json = await jsonOf(second);
      expect(second.status).to.equal(409);
      expect(error.metadata.generation_id).to.equal(first.headers.get("x-generation-id"));
      expect(relay.ledger.commits).to.have.length(1);
    });
  });
});
