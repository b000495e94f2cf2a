import type { SettlementBill } from "@aimo/protocol/bill";
import { expect } from "chai";
import type { AccountOnChain } from "../../sdk/typescript/src/verify/types.ts";
import { NOW } from "./bill-builder.ts";
import {
  BATCH,
  changed,
  changedLine,
  entry,
  onlyProblem,
  prepareWorld,
  recordOf,
  startOf,
  USER,
  verify,
  world,
} from "./bill-world.ts";

describe("sdk/verify, whole bills", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  before(prepareWorld);

  it("names a row whose proof is missing, unreadable, or another row's", async () => {
    const start = startOf();
    const end = BigInt(entry(4).line.userCumulative);
    const shows: [string, (bill: SettlementBill) => unknown, string][] = [
      ["unproven", () => undefined, "no receipts"],
      ["unproven", () => "nonsense", "lines is not a list"],
      ["unproven", changed((bill) => (bill.userLeaf.sum = "-1")), "userLeaf.sum"],
      [
        "unproven",
        changed((bill) => (bill.userPath = Array.from({ length: 33 }, () => ({ hash: "0x", sum: "0" })))),
        "33",
      ],
      ["altered", changed((bill) => (bill.batch.rowIndex = 0)), "row 0"],
      ["altered", changed((bill) => (bill.userLeaf.userId = 2)), "user 2"],
      ["altered", changed((bill) => (bill.userPath = [])), "root on the chain"],
      ["altered", changed((bill) => (bill.userLeaf.cumStart = "0")), "root on the chain"],
    ];
    for (const [kind, shown, detail] of shows) {
      const problem = onlyProblem(await verify({ shown }));
      expect(problem).to.deep.include({ kind, batchNo: BATCH, row: 1, interval: [start, end] });
      expect(problem.detail).to.contain(detail);
    }
  });

  it("names all that is missing when the relay shows a row without receipts", async () => {
    const problem = onlyProblem(await verify({ shown: changed((bill) => (bill.lines = [])) }));
    expect(problem).to.deep.include({
      kind: "dropped",
      leaf: 0,
      interval: [startOf(), BigInt(entry(4).line.userCumulative)],
    });
  });

  it("names a row that debits more than its receipts", async () => {
    const more = (account: AccountOnChain): AccountOnChain => {
      const rows = account.rows.map((row, i) =>
        i === 1 ? { ...row, cumEnd: row.cumEnd + 5n, delta: row.delta + 5n } : row,
      );
      return { ...account, rows, channel: { epoch: 1, spent: account.channel.spent + 5n } };
    };
    const problem = onlyProblem(await verify({ account: more }));
    const end = BigInt(entry(4).line.userCumulative);
    expect(problem).to.deep.include({ kind: "dropped", interval: [end, end + 5n] });
  });

  it("names rows that the endpoint left out, by the interval", async () => {
    const withoutFirst = onlyProblem(await verify({ account: (a) => ({ ...a, rows: a.rows.slice(1) }) }));
    expect(withoutFirst).to.deep.include({ kind: "incomplete", interval: [0n, startOf()] });
    const withoutLast = onlyProblem(await verify({ account: (a) => ({ ...a, rows: a.rows.slice(0, 1) }) }));
    expect(withoutLast).to.deep.include({
      kind: "incomplete",
      interval: [startOf(), BigInt(entry(4).line.userCumulative)],
    });
  });

  it("asks for no proof of a row that was skipped: it debited nothing", async () => {
    const account = (a: AccountOnChain): AccountOnChain => ({
      ...a,
      rows: a.rows.map((row, i) => (i === 1 ? { ...row, isSkipped: true } : row)),
      channel: { epoch: 1, spent: startOf() },
    });
    const result = await verify({ account, shown: () => undefined });
    expect([result.ok, result.batches, result.billedPusd]).to.deep.equal([true, 1, startOf()]);
  });

  it("tells what the client's records show that the chain cannot", async () => {
    const all = [...world().entries, world().first].map(recordOf);
    const stated = all.map((record) => (record.id === "gen-b" ? { ...record, costPusd: "1" } : record));
    expect(onlyProblem(await verify({ known: stated }))).to.deep.include({
      kind: "overcharged",
      id: "gen-b",
    });
    const otherBody = all.map((record) =>
      record.id === "gen-c" ? { ...record, bodyHash: `0x${"11".repeat(32)}` as const } : record,
    );
    expect(onlyProblem(await verify({ known: otherBody })).detail).to.contain("another body");
    const renamed = await verify({ known: all, shown: changedLine(0, (line) => (line.id = "gen-z")) });
    expect(onlyProblem(renamed)).to.deep.include({ kind: "altered", id: "gen-a" });
  });

  it("tells known requests that are not billed and billed ones that are not known, without blame", async () => {
    const extra = { ...recordOf(entry(0)), id: "gen-new", nonce: `0x${"77".repeat(16)}` as const };
    const result = await verify({ known: [...world().entries.map(recordOf), extra] });
    expect([result.ok, result.unbilled, result.unrecorded]).to.deep.equal([true, ["gen-new"], ["gen-first"]]);
  });

  it("counts no request of another account as one that is not billed, and compares what is billed all the same", async () => {
    const foreign = { user: USER + 1, epoch: 1 };
    const extra = { ...recordOf(entry(0)), id: "gen-new", nonce: `0x${"77".repeat(16)}` as const };
    const all = [...world().entries, world().first].map(recordOf);
    const result = await verify({ known: [...all, { ...extra, channel: foreign }] });
    expect([result.ok, result.unbilled]).to.deep.equal([true, []]);
    const misled = all.map((record) =>
      record.id === "gen-b" ? { ...record, channel: foreign, costPusd: "1" } : record,
    );
    expect(onlyProblem(await verify({ known: misled })).kind).to.equal("overcharged");
  });

  it("accepts a leaf of the epoch before only from a batch that was made just before the channel was opened again", async () => {
    for (const [openedAt, isRight] of [
      [NOW - 600, true],
      [NOW - 601, false],
      [undefined, false],
    ] as const) {
      const reopened = (account: AccountOnChain): AccountOnChain => ({
        ...account,
        rows: account.rows.map((row) => ({
          ...row,
          epoch: 2,
          ...(openedAt === undefined ? {} : { openedAt }),
        })),
        channel: { ...account.channel, epoch: 2 },
      });
      const result = await verify({ account: reopened });
      expect(result.ok, String(openedAt)).to.equal(isRight);
      if (!isRight) expect(result.problems[0]?.kind).to.equal("altered");
    }
  });
});
