import type { BilledLine, SettlementBill } from "@aimo/protocol/bill";
import { expect } from "chai";
import { makeEntry, RELAY_ID } from "./bill-builder.ts";
import {
  BATCH,
  changed,
  changedLine,
  entry,
  intervalOf,
  linesOf,
  type Mutable,
  onlyProblem,
  prepareWorld,
  rebuilt,
  recordOf,
  USER,
  verify,
  world,
} from "./bill-world.ts";

/** A relay may keep the trees it posted, or build them anew from the receipts that it has. */
const RELAYS = [
  { name: "keeps its trees", show: (shown: (bill: SettlementBill) => SettlementBill) => shown },
  { name: "builds its trees anew", show: rebuilt },
];

for (const { name: relay, show } of RELAYS)
  describe(`sdk/verify, a store that was changed, of a relay that ${relay}`, function () {
    // Generous: other programs may use the machine at the same time.
    this.timeout(20_000);
    before(prepareWorld);
    const edited = (change: Parameters<typeof changed>[0]) => show(changed(change));
    const editedLine = (index: number, change: (line: Mutable<BilledLine>) => void) =>
      show(changedLine(index, change));

    it("finds an honest bill in order, and says what it covers", async () => {
      const result = await verify({ known: [...world().entries, world().first].map(recordOf) });
      expect(result.problems).to.deep.equal([]);
      const last = BigInt(entry(4).line.userCumulative);
      expect(result).to.deep.include({
        ok: true,
        relayId: RELAY_ID,
        userId: USER,
        batches: 2,
        receipts: 6,
        billedPusd: last,
      });
      expect([result.unbilled, result.unrecorded]).to.deep.equal([[], []]);
    });

    it("names a receipt that was altered in the store after it was posted, in any field", async () => {
      const flip = (hex: string) => `${hex.slice(0, -1)}${hex.endsWith("0") ? "1" : "0"}` as `0x${string}`;
      const changes: [string, (line: Mutable<BilledLine>) => void][] = [
        ["cost", (line) => (line.receipt.cost = String(BigInt(line.receipt.cost) - 1n))],
        ["units", (line) => (line.receipt.units = [12, 3, 21])],
        ["provider", (line) => (line.receipt.providerId = 3)],
        ["relay", (line) => (line.receipt.relayId = 9)],
        ["time", (line) => (line.receipt.issuedAt -= 1)],
        ["response", (line) => (line.receipt.responseHash = flip(line.receipt.responseHash))],
        ["request hash", (line) => (line.receipt.requestHash = flip(line.receipt.requestHash))],
        ["nonce", (line) => (line.nonce = flip(line.nonce))],
        ["body's hash", (line) => (line.bodyHash = flip(line.bodyHash))],
        ["evidence", (line) => (line.evidence = "0x00")],
        ["lower charge", (line) => (line.charge = String(BigInt(line.charge) - 1n))],
        ["lower total", (line) => (line.userCumulative = String(BigInt(line.userCumulative) - 1n))],
        ["higher total", (line) => (line.userCumulative = String(BigInt(line.userCumulative) + 1n))],
      ];
      for (const [name, change] of changes) {
        const problem = onlyProblem(await verify({ shown: editedLine(1, change) }));
        expect(problem, name).to.deep.include({
          kind: "altered",
          id: "gen-b",
          batchNo: BATCH,
          row: 1,
          leaf: 1,
        });
        expect(problem.interval, name).to.have.length(2);
      }
    });

    it("names a receipt whose signature was altered, or is by another key", async () => {
      const changes: ((line: Mutable<BilledLine>) => void)[] = [
        (line) => (line.evidence = `${line.evidence.slice(0, -10)}0000000000` as `0x${string}`),
        (line) =>
          (line.evidence = `${line.evidence.slice(0, -20)}ab${line.evidence.slice(-18)}` as `0x${string}`),
      ];
      for (const change of changes) {
        const problem = onlyProblem(await verify({ shown: editedLine(2, change) }));
        expect(problem).to.deep.include({
          kind: "unsigned",
          id: "gen-c",
          leaf: 2,
          interval: intervalOf(entry(2)),
        });
      }
    });

    it("names a line that cannot be read, without blaming those beside it", async () => {
      const problem = onlyProblem(
        await verify({ shown: changed(({ lines }) => (lines[2] = { id: "gen-c" } as never)) }),
      );
      expect(problem).to.deep.include({ kind: "altered", batchNo: BATCH, row: 1, leaf: 2 });
    });

    it("names the interval of a receipt that was dropped from the store, at any place", async () => {
      for (const index of [0, 1, 4]) {
        const problem = onlyProblem(await verify({ shown: edited(({ lines }) => lines.splice(index, 1)) }));
        expect(problem).to.deep.include({ kind: "dropped", batchNo: BATCH, row: 1, leaf: index });
        expect(problem.interval).to.deep.equal(intervalOf(entry(index)));
        expect(problem.id).to.equal(undefined);
      }
    });

    it("names a dropped receipt by its id when the client kept records", async () => {
      for (const index of [0, 1, 4]) {
        const known = [...world().entries, world().first].map(recordOf);
        const result = await verify({ known, shown: edited(({ lines }) => lines.splice(index, 1)) });
        expect(onlyProblem(result)).to.deep.include({
          kind: "dropped",
          id: entry(index).line.id,
          leaf: index,
        });
        expect(result.unbilled).to.deep.equal([]);
      }
    });

    it("names all that were dropped together as one interval, and who may be in it", async () => {
      const known = [...world().entries, world().first].map(recordOf);
      const problem = onlyProblem(await verify({ known, shown: edited(({ lines }) => lines.splice(1, 2)) }));
      expect(problem.interval).to.deep.equal([intervalOf(entry(1))[0], intervalOf(entry(2))[1]]);
      expect(problem.detail).to.contain("gen-b, gen-c");
    });

    it("names a receipt that was duplicated in the store, once", async () => {
      const shown = edited(({ lines }) => lines.splice(3, 0, structuredClone(lines[1]) as never));
      const problem = onlyProblem(await verify({ shown }));
      expect(problem).to.deep.include({ kind: "duplicated", id: "gen-b", batchNo: BATCH, row: 1, leaf: 3 });
      expect(problem.interval).to.deep.equal(intervalOf(entry(1)));
    });

    it("names a receipt that was billed in an earlier batch already", async () => {
      const twin = {
        ...entry(0).line,
        receipt: world().first.line.receipt,
        evidence: world().first.line.evidence,
      };
      const problem = onlyProblem(await verify({ committed: [twin, ...linesOf(world().entries.slice(1))] }));
      expect(problem).to.deep.include({ kind: "duplicated", leaf: 0 });
      expect(problem.detail).to.contain("batch 3");
    });

    it("names receipts that were put in another order", async () => {
      const result = await verify({ shown: edited(({ lines }) => lines.reverse()) });
      expect(result.ok).to.equal(false);
      expect(result.problems.every(({ kind }) => kind === "altered")).to.equal(true);
    });

    it("names what was dropped or altered before the batch was posted", async () => {
      const without = linesOf(world().entries).filter((_, index) => index !== 2);
      const lost = await verify({ committed: without });
      expect(lost.problems[0]).to.deep.include({ kind: "dropped", leaf: 2, interval: intervalOf(entry(2)) });
      const lines = linesOf(world().entries);
      const forged = { ...entry(3).line, receipt: { ...entry(3).line.receipt, units: [12, 3, 39] as const } };
      const altered = await verify({ committed: lines.with(3, forged) });
      expect(onlyProblem(altered)).to.deep.include({ kind: "altered", id: "gen-d", leaf: 3 });
    });

    it("names an interval that was billed twice under two receipts", async () => {
      const base = { userId: USER, epoch: 1, after: intervalOf(entry(1))[0] };
      const second = await makeEntry({ ...base, name: "twice", tokens: 20 });
      const lines = linesOf(world().entries);
      const result = await verify({ committed: [...lines.slice(0, 2), second.line, ...lines.slice(2)] });
      expect(result.problems[0]).to.deep.include({ kind: "duplicated", id: "gen-twice", leaf: 2 });
    });
  });
