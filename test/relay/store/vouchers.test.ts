import { initFastCrypto } from "@aimo/node/fast-crypto";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { type AimoError, isAimoError } from "@aimo/protocol/errors";
import { formatVoucher, highestPostable, parseVoucher } from "@aimo/protocol/vouchers";
import { expect } from "chai";
import fc from "fast-check";
import { createVoucherGate } from "../../../relay/src/flow/vouchers.ts";
import { SESSION_ADDRESS, signVoucher, voucherText } from "../support/session-key.ts";
import { billAll, DRIVERS, RELAY_ID, USD, usageFor } from "./books-world.ts";
import { claimed, DOMAIN, openSigned, SigningClient, USER } from "./signed-world.ts";

const HIGH_S = `${"ff".repeat(32)}1b`;

function refusalOf(call: () => unknown): AimoError | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (isAimoError(error)) return error;
    throw error;
  }
}

describe("vouchers of a SIGNED channel", () => {
  before(initFastCrypto);
  let disk: Awaited<ReturnType<(typeof DRIVERS)["memory-level"]>>;
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
  });
  afterEach(() => disk.remove());

  it("are read back as they were written, and nothing else is read", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 65_535 }),
        fc.bigInt({ min: 0n, max: 2n ** 80n - 1n }),
        fc.uint8Array({ minLength: 65, maxLength: 65 }),
        (epoch, cumulative, bytes) => {
          const signature = `0x${Buffer.from(bytes).toString("hex")}` as const;
          const voucher = { epoch, cumulative, signature };
          expect(parseVoucher(formatVoucher(voucher))).to.deep.equal(voucher);
        },
      ),
    );
    const signature = `0x${"ab".repeat(65)}`;
    const wrong = ["", "1", "1:2", `1:2:${signature}00`, `65536:2:${signature}`, `1:-2:${signature}`];
    for (const text of [...wrong, `1:${2n ** 80n}:${signature}`, ` 1:2:${signature}`, `1:2:${signature}:`])
      expect(parseVoucher(text), text).to.equal(undefined);
    fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => parseVoucher(text) === undefined));
  });

  it("are asked for with all that is needed to sign, and then admit", async () => {
    const { hold } = await openSigned(disk.db);
    const missing = refusalOf(() => hold(undefined, 7n));
    expect(missing).to.include({ code: "voucher_required", status: 402, param: "aimo-voucher" });
    expect(missing?.details).to.deep.equal({
      ...{ user_id: USER, epoch: 1, session_key: SESSION_ADDRESS },
      ...{
        charged_pusd: 0n,
        pending_pusd: 0n,
        held_pusd: 0n,
        hold_pusd: 7n,
        needed_pusd: 7n,
        voucher_pusd: 0n,
      },
    });
    hold(voucherText(DOMAIN, 7n), 7n);
    const low = refusalOf(() => hold(voucherText(DOMAIN, 12n), 6n));
    expect(low?.code).to.equal("voucher_too_low");
    const { signature } = signVoucher(DOMAIN, 12n);
    expect(low?.details).to.deep.include({ held_pusd: 7n, needed_pusd: 13n, voucher_pusd: 12n });
    expect(low?.details["voucher_signature"]).to.equal(signature);
    // The one that was too low was valid: with it a smaller request is served.
    hold(voucherText(DOMAIN, 3n), 5n);
  });

  it("are not recovered again where their signer was found before", async () => {
    const { world } = await openSigned(disk.db);
    const recover = () => {
      throw new Error("It was recovered again.");
    };
    const gate = createVoucherGate({ ...DOMAIN, recover, book: world.ledger.vouchers });
    const other = `0x${"77".repeat(20)}` as const;
    for (const signer of [null, other]) {
      const refused = refusalOf(() => gate.admit(USER, voucherText(DOMAIN, 7n), 7n, signer));
      expect([refused?.code, refused?.details["reason"]]).to.deep.equal(["voucher_invalid", "signature"]);
    }
    gate.admit(USER, voucherText(DOMAIN, 7n), 7n, SESSION_ADDRESS);
    expect(world.ledger.balanceOf(USER)?.voucher).to.equal(7n);
  });

  it("are refused by another key, for another epoch, relay or user, malleable, or too high to be posted", async () => {
    const { world, hold } = await openSigned(disk.db);
    const other = `0x${"77".repeat(32)}` as const;
    const twin = `1:9:0x${signVoucher(DOMAIN, 9n).signature.slice(2, 66)}${HIGH_S}`;
    const cases: [string, string][] = [
      [voucherText(DOMAIN, 9n, { key: other }), "signature"],
      [voucherText({ ...DOMAIN, relayId: RELAY_ID + 1 }, 9n), "signature"],
      [voucherText({ ...DOMAIN, userId: USER + 1 }, 9n), "signature"],
      [voucherText({ ...DOMAIN, separator: new Uint8Array(32) }, 9n), "signature"],
      [voucherText(DOMAIN, 9n).replace(":9:", ":10:"), "signature"],
      [twin, "signature"],
      [voucherText(DOMAIN, 9n, { epoch: 2 }), "epoch"],
      [voucherText(DOMAIN, 9n, { epoch: 0 }), "epoch"],
      [voucherText(DOMAIN, highestPostable(0n) + 1n), "amount"],
      ["1:9:0x00", "format"],
    ];
    for (const [text, reason] of cases) {
      const refusal = refusalOf(() => hold(text, 1n));
      expect([refusal?.code, refusal?.status, refusal?.details["reason"]], reason).to.deep.equal([
        ...["voucher_invalid", 402, reason],
      ]);
      expect(world.ledger.balanceOf(USER)).to.include({ held: 0n, voucher: 0n });
    }
    hold(voucherText(DOMAIN, highestPostable(0n)), 1n);
  });

  it("say nothing about a channel that is over or empty: the channel's own reason is given", async () => {
    const { hold, setChannel } = await openSigned(disk.db);
    expect(refusalOf(() => hold(voucherText(DOMAIN, 9n * USD), 6n * USD))?.code).to.equal(
      "insufficient_credits",
    );
    setChannel({ revokedAt: 1 });
    expect(refusalOf(() => hold(undefined, 1n))?.code).to.equal("channel_exhausted");
    setChannel({ expiry: 1 });
    expect(refusalOf(() => hold(voucherText(DOMAIN, 9n), 1n))?.code).to.equal("channel_exhausted");
  });

  it("of an old epoch pay nothing in the next one", async () => {
    const { world, hold, setChannel } = await openSigned(disk.db);
    hold(voucherText(DOMAIN, USD), USD);
    setChannel({ epoch: 2 });
    expect(world.ledger.balanceOf(USER)).to.include({ epoch: 2, voucher: 0n });
    expect(refusalOf(() => hold(voucherText(DOMAIN, USD), 1n, 2))?.details["reason"]).to.equal("epoch");
    hold(voucherText(DOMAIN, 1n, { epoch: 2 }), 1n, 2);
  });

  it("are not asked for on a METERED channel", async () => {
    const { hold, setChannel } = await openSigned(disk.db);
    setChannel({ epoch: 2, mode: CHANNEL_MODES.metered });
    hold(undefined, 1n, 2);
    hold("nonsense", 1n, 2);
  });

  it("let 64 requests be in flight and come in any order, and never more be claimed than was signed", async () => {
    const amount = fc.bigInt({ min: 1n, max: USD / 100n });
    const request = fc.record({ max: amount, part: fc.integer({ min: 0, max: 100 }), kind: fc.nat(5) });
    const plan = fc.record({
      requests: fc.array(request, { minLength: 64, maxLength: 160 }),
      picks: fc.infiniteStream(fc.nat()),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ requests, picks }) => {
        const own = await DRIVERS["memory-level"]();
        const client = new SigningClient(await openSigned(own.db));
        for (const one of requests) {
          const [pick = 0] = picks.take(1);
          // Some are still on their way, some are served, of some the client has heard, when the next is sent.
          if (client.unheard >= 64) client.hear(pick);
          client.send(one);
          if (one.kind < 3) client.arrive(pick);
          if (one.kind < 2) client.finish(pick);
          if (one.kind < 1) client.hear(pick);
          client.check();
        }
        await client.drain(() => picks.take(1).next().value ?? 0);
        expect(client.served).to.equal(requests.length);
        await own.remove();
      }),
      { numRuns: 25 },
    );
  });

  it("that race each other for what is left: one is served, the other told what it needs", async () => {
    const { world, hold } = await openSigned(disk.db);
    // Two clients of one session key that do not know of each other sign the same cumulative.
    hold(voucherText(DOMAIN, 10n), 10n);
    const refusal = refusalOf(() => hold(voucherText(DOMAIN, 10n), 10n));
    expect(refusal?.code).to.equal("voucher_too_low");
    expect(refusal?.details).to.deep.include({ held_pusd: 10n, needed_pusd: 20n, voucher_pusd: 10n });
    expect(claimed(world)).to.equal(10n);
    hold(voucherText(DOMAIN, 20n), 10n);
    expect(claimed(world)).to.equal(20n);
  });

  it("survive a restart at any moment, with whatever hold they admitted", async () => {
    for (const driver of Object.values(DRIVERS)) {
      const own = await driver();
      const first = await openSigned(own.db);
      const start = first.hold(voucherText(DOMAIN, 40n), 30n);
      const used = usageFor(first.world, start, { cost: 20n, charge: 25n });
      first.world.ledger.commit(start.id, used.outcome);
      await billAll(first.world, [used]);
      first.hold(voucherText(DOMAIN, 50n), 10n);
      await first.world.journal.flushed();
      const { world, hold } = await openSigned(await own.reopen());
      await world.ledger.reconcile();
      expect(world.ledger.balanceOf(USER)).to.include({ charged: 25n, held: 0n, voucher: 50n });
      // The old one is as good as before; it is not above what is known.
      hold(voucherText(DOMAIN, 40n), 25n);
      expect(refusalOf(() => hold(voucherText(DOMAIN, 40n), 1n))?.code).to.equal("voucher_too_low");
      await world.journal.close();
      await own.remove();
    }
  });
});
