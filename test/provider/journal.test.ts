import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openData } from "@aimo/node/data-dir";
import { silentLog } from "@aimo/node/log";
import { hash, utf8 } from "@aimo/protocol/bytes";
import { GROUP_DEADLINE_MS } from "@aimo/protocol/groups";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import { Exposure } from "@aimo/provider/core/exposure";
import { ReceiptBook } from "@aimo/provider/flow/receipt-book";
import { createJournal } from "@aimo/provider/store/journal";
import { expect } from "chai";
import { eventually } from "../node/support/eventually.ts";
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
  IDENTITY,
  openMemory,
  RELAY_ID,
  signVoucher,
  startWorld,
  type World,
} from "./support/provider.ts";

describe("provider journal", () => {
  let folder: string;
  let upstream: FaultUpstream;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-provider-"));
    upstream = await startFaultUpstream();
    upstream.play((_, response) => {
      const usage = { prompt_tokens: 9, completion_tokens: 1 };
      writeFrames(response, [chunkOf({ content: "one" }, { finish: "stop" }), usageChunk(usage), "[DONE]"]);
      response.end();
    });
  });
  afterEach(async () => {
    await upstream.close();
    await rm(folder, { recursive: true });
  });

  const start = async (before?: World): Promise<World> =>
    startWorld({
      upstream: upstream.url,
      db: await openData({ location: { folder }, identity: IDENTITY }),
      ...(before ? { key: before.key, relayKey: before.relayKey } : {}),
    });

  it("sends unacknowledged groups again after a restart, byte for byte, and acknowledged ones no more", async () => {
    const first = await start();
    const relay = await first.connect();
    await relay.listen();
    await relay.send("POST", chatPath(attemptOn()), chatBody({ stream: true }));
    const [sent] = await relay.untilGroups(1);
    relay.close();
    await first.provider.close(0);

    const second = await start(first);
    const again = await second.connect();
    await again.listen();
    expect(await again.untilGroups(1)).to.deep.equal([sent]);
    const owed = BigInt(sent?.receipts[0]?.cost ?? 0);
    expect((await again.ack(owed)).status).to.equal(204);
    again.close();
    await second.provider.close(0);

    const third = await start(first);
    const late = await third.connect();
    await late.listen();
    await eventually("the voucher", () => late.shown);
    expect(late.shown).to.include({
      cumulative: `${owed}`,
      signature: signVoucher(first.relayKey, owed).signature,
    });
    expect(late.groups).to.deep.equal([]);
    const [totals] = third.provider.receipts.totals();
    expect(totals).to.include({
      relayId: RELAY_ID,
      signed: owed,
      acknowledged: owed,
      lapsed: 0n,
      receipts: 1,
    });
    expect(totals?.voucher).to.include(signVoucher(first.relayKey, owed));
    late.close();
    await third.provider.close(0);
  });

  it("counts what waits for an acknowledgement against the credit limit after a restart too", async () => {
    const db = await openMemory();
    const book = (exposure: Exposure, now: () => number) =>
      new ReceiptBook({
        providerId: 3,
        separator: new Uint8Array(32),
        sign: () => `0x${"11".repeat(65)}`,
        isSignedBy: () => true,
        files: { write: () => {}, flushed: async () => {} },
        journal: { ...createJournal(db), close: async () => {} },
        exposure,
        clock: () => 1_000,
        now,
        log: silentLog(),
      });
    const receipt: UsageReceipt = {
      relayId: RELAY_ID,
      providerId: 3,
      modelId: 11,
      priceVersion: 1,
      issuedAt: 990,
      units: [10, 0, 10],
      cost: 700n,
      requestHash: `0x${"01".repeat(32)}`,
      responseHash: `0x${"02".repeat(32)}`,
    };
    const before = book(new Exposure(1_000n), () => 50_000);
    await before.open();
    before.add(receipt, hash(utf8("a receipt")));
    await before.close();

    const soon = new Exposure(1_000n);
    const restarted = book(soon, () => 51_000);
    await restarted.open();
    expect(soon.of(RELAY_ID)).to.equal(700n);
    expect(() => soon.reserve(RELAY_ID, 301n)).to.throw("credit_limit_usd");
    await restarted.close();

    const later = new Exposure(1_000n);
    const lapsed = book(later, () => 50_000 + GROUP_DEADLINE_MS);
    await lapsed.open();
    expect(later.of(RELAY_ID)).to.equal(0n);
    const events: unknown[] = [];
    lapsed.subscribe(RELAY_ID, (event) => events.push(event));
    expect(events).to.deep.equal([]);
    expect(lapsed.totals()[0]?.lapsed).to.equal(700n);
    await lapsed.close();
  });
});
