import { initFastCrypto } from "@aimo/node/fast-crypto";
import { expect } from "chai";
import fc from "fast-check";
import { USD } from "./books-world.ts";
import { CutDisk } from "./cut-disk.ts";
import { CutModel } from "./cut-model.ts";
import { CutRecords, type Serving } from "./cut-records.ts";

type Step = (model: CutModel) => unknown;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.bigInt({ min: 1n, max: USD }), fc.nat(9)).map(
      ([user, cost, end]): Step =>
        (model) =>
          model.serve(user, cost, { isFree: end === 0, ends: end !== 1 }),
    ),
  },
  { weight: 3, arbitrary: fc.constant<Step>((model) => model.sign()) },
  { weight: 2, arbitrary: fc.constant<Step>((model) => model.settle()) },
  { weight: 4, arbitrary: fc.constant<Step>((model) => model.tick()) },
);

async function run(steps: readonly Step[], disk: CutDisk): Promise<CutModel> {
  const model = new CutModel(disk);
  await model.start();
  for (const each of steps) await each(model);
  await model.stop();
  return model;
}

type RecordsStep = (records: CutRecords) => unknown;
const serving = (isApart: boolean): fc.Arbitrary<Serving> =>
  fc.record({
    isLine: fc.boolean(),
    isFree: fc.nat(5).map((draw) => draw === 0),
    isApart: fc.constant(isApart),
  });
const recordsStep: fc.Arbitrary<RecordsStep> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(fc.bigInt({ min: 1n, max: USD }), serving(false)).map(
      ([charge, how]): RecordsStep =>
        (records) =>
          records.serve(charge, how),
    ),
  },
  { weight: 3, arbitrary: fc.constant<RecordsStep>((records) => records.sign()) },
  { weight: 1, arbitrary: fc.constant<RecordsStep>((records) => records.end()) },
  { weight: 3, arbitrary: fc.constant<RecordsStep>((records) => records.tick()) },
);

async function runRecords(steps: readonly RecordsStep[], disk: CutDisk): Promise<CutRecords> {
  const records = new CutRecords(disk);
  await records.start();
  for (const each of steps) await each(records);
  await records.stop();
  return records;
}

const noticed = (cutting: Promise<void>) =>
  cutting.then(
    () => "nothing was noticed",
    (error: unknown) => String(error),
  );

describe("a power cut at any sync", function () {
  this.timeout(60_000);
  before(() => initFastCrypto());

  it("loses no signed debt, bills nothing twice, and goes on from the totals on the chain", async () => {
    const load = fc.array(step, { minLength: 10, maxLength: 60, size: "max" });
    const property = fc.asyncProperty(load, async (steps) => {
      const disk = await CutDisk.open();
      await (await run(steps, disk)).cutEverywhere();
    });
    await fc.assert(property, { numRuns: 25, endOnFailure: true });
  });

  it("is noticed by this very test when the disk only says that it synced", async () => {
    const disk = await CutDisk.open({ isHonest: false });
    const serve: Step = (model) => model.serve(1, USD, { isFree: false, ends: true });
    const round = [serve, (model: CutModel) => model.tick(), (model: CutModel) => model.sign()];
    const steps = [...round, ...round, ...round, (model: CutModel) => model.settle()];
    const model = await run(steps, disk);
    const failure = await noticed(model.cutEverywhere());
    expect(failure).to.match(/signed debt|what user|does not go on|is not the next/);
  });

  it("parts no charge from the voucher that pays for it, nor from the reply or the line that is kept of it", async () => {
    const load = fc.array(recordsStep, { minLength: 10, maxLength: 60, size: "max" });
    const property = fc.asyncProperty(load, async (steps) => {
      const disk = await CutDisk.open();
      await (await runRecords(steps, disk)).cutEverywhere();
    });
    await fc.assert(property, { numRuns: 25, endOnFailure: true });
  });

  it("is noticed when a reply or a line is written after its charge, or a disk forgets a voucher or a batch", async () => {
    const serve = (isLine: boolean, isApart: boolean) => (records: CutRecords) =>
      records.serve(USD, { isLine, isFree: false, isApart });
    const cut = async (steps: readonly RecordsStep[], isHonest = true) =>
      noticed((await runRecords(steps, await CutDisk.open({ isHonest }))).cutEverywhere());
    const sync: RecordsStep = (records) => records.sync();
    expect(await cut([sync, serve(true, true)])).to.match(/charged and kept: line/);
    expect(await cut([sync, serve(false, true)])).to.match(/charged and kept: key/);
    // The second sync, with the hold and its voucher, is forgotten; the third has the charge.
    expect(await cut([sync, serve(false, false)], false)).to.match(/voucher that pays/);
    expect(await cut([sync, (records) => records.end()], false)).to.match(/batch that had ended/);
  });
});
