import { initFastCrypto } from "@aimo/node/fast-crypto";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { expect } from "chai";
import { channelOf, type Disk, DRIVERS, newClock, openWorld, type World } from "../store/books-world.ts";
import { SESSION_ADDRESS, voucherText } from "../support/session-key.ts";
import {
  CHAT,
  type Json,
  jsonOf,
  providerOf,
  RELAY_ID,
  SEPARATOR,
  startTestRelay,
  type TestRelay,
  USD,
  USER_ID,
  until,
} from "../support/test-relay.ts";

const DOMAIN = { separator: SEPARATOR, relayId: RELAY_ID, userId: USER_ID };
const IN_FLIGHT = 64;

/** A SIGNED channel over the HTTP interface: real sockets, the real ledger. */
describe("vouchers over HTTP", () => {
  let relay: TestRelay;
  let disk: Disk;
  let world: World;

  before(initFastCrypto);
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
    world = await openWorld(disk.db, newClock());
    const signed = { mode: CHANNEL_MODES.signed, sessionKey: SESSION_ADDRESS };
    world.ledger.setChannel(channelOf(USER_ID, signed));
    relay = await startTestRelay({ realLedger: world.ledger, book: world.ledger.vouchers });
  });
  afterEach(async () => {
    await relay.close();
    await disk.remove();
  });

  const ask = (voucher?: string, headers: Record<string, string> = {}) =>
    relay.post("/v1/chat/completions", CHAT, voucher ? { "aimo-voucher": voucher, ...headers } : headers);
  const errorOf = async (response: Response): Promise<Json> => (await jsonOf(response)).error;

  it("answer 402 with the channel's state, from which a client signs and repeats", async () => {
    const refused = await ask();
    expect(refused.status).to.equal(402);
    const { code, metadata } = await errorOf(refused);
    expect(code).to.equal("voucher_required");
    expect(metadata).to.include({
      ...{ user_id: USER_ID, epoch: 1, session_key: SESSION_ADDRESS, charged_pusd: "0", held_pusd: "0" },
      ...{ pending_pusd: "0", voucher_pusd: "0", needed_pusd: metadata.hold_pusd },
    });
    expect(relay.providers[0]?.asks).to.have.length(0);
    const served = await ask(voucherText(DOMAIN, BigInt(metadata.needed_pusd)));
    expect(served.status).to.equal(200);
    const { aimo } = await jsonOf(served);
    expect(aimo.provisional.hold_pusd).to.equal(metadata.hold_pusd);
    expect(world.ledger.balanceOf(USER_ID)).to.include({ pending: BigInt(aimo.cost_pusd), held: 0n });
  });

  it("are refused with what is wrong, and nothing is dispatched", async () => {
    const high = 5n * USD;
    const wrong: [string, string, string | undefined][] = [
      [voucherText(DOMAIN, 1n), "voucher_too_low", undefined],
      [voucherText(DOMAIN, high, { epoch: 2 }), "voucher_invalid", "epoch"],
      [voucherText({ ...DOMAIN, relayId: 99 }, high), "voucher_invalid", "signature"],
      ["0x12", "voucher_invalid", "format"],
    ];
    for (const [voucher, code, reason] of wrong) {
      const response = await ask(voucher);
      expect(response.status).to.equal(402);
      const error = await errorOf(response);
      expect([error.code, error.metadata.reason]).to.deep.equal([code, reason]);
      expect(BigInt(error.metadata.needed_pusd) > 0n).to.equal(true);
    }
    expect(relay.providers[0]?.asks).to.have.length(0);
  });

  it("hold the key's limit and the channel's like any other request", async () => {
    world.ledger.setChannel(
      channelOf(USER_ID, { mode: CHANNEL_MODES.signed, sessionKey: SESSION_ADDRESS, available: 1n }),
    );
    const response = await ask(voucherText(DOMAIN, 5n * USD));
    expect([response.status, (await errorOf(response)).code]).to.deep.equal([402, "insufficient_credits"]);
  });

  it("give a kept reply again without another voucher", async () => {
    const { metadata } = await errorOf(await ask());
    const voucher = voucherText(DOMAIN, BigInt(metadata.needed_pusd));
    const key = { "idempotency-key": "once" };
    const first = await jsonOf(await ask(voucher, key));
    const again = await ask(undefined, key);
    expect(again.headers.get("idempotent-replayed")).to.equal("true");
    expect(await jsonOf(again)).to.deep.equal(first);
  });

  it("are kept as the highest one that came, and shown with the channel", async () => {
    const { metadata } = await errorOf(await ask());
    const needed = BigInt(metadata.needed_pusd);
    for (const cumulative of [needed, 4n * needed, 2n * needed])
      expect((await ask(voucherText(DOMAIN, cumulative))).status).to.equal(200);
    const response = await fetch(`${relay.url}/v1/channels`, {
      headers: { authorization: `Bearer ${relay.key}` },
    });
    const [channel] = (await jsonOf(response)).data;
    expect(channel).to.include({ mode: "signed", voucher_pusd: `${4n * needed}` });
  });

  it(`let ${IN_FLIGHT} requests be in flight, sent in any order`, async () => {
    const hold = BigInt((await errorOf(await ask())).metadata.hold_pusd);
    const waiting: (() => void)[] = [];
    providerOf(relay).onAsk = (one) => void waiting.push(() => one.reply("Hello."));
    const vouchers = Array.from({ length: IN_FLIGHT }, (_, index) =>
      voucherText(DOMAIN, hold * BigInt(index + 1)),
    );
    // The last signed goes first: every one of them is covered by what came before or by itself.
    const order = vouchers.map((voucher, index) => ({ voucher, rank: (index * 37) % IN_FLIGHT }));
    const sorted = order.sort((a, b) => b.rank - a.rank);
    const answers = sorted.map(({ voucher }) => ask(voucher));
    await until(() => waiting.length === IN_FLIGHT);
    expect(world.ledger.balanceOf(USER_ID)).to.include({ held: hold * BigInt(IN_FLIGHT) });
    // One more than was signed for waits for a higher voucher.
    expect((await errorOf(await ask(vouchers.at(-1)))).code).to.equal("voucher_too_low");
    for (const reply of waiting) reply();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses).to.deep.equal(statuses.map(() => 200));
    expect(world.ledger.balanceOf(USER_ID)?.held).to.equal(0n);
  });
});
