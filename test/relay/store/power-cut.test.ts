import { initFastCrypto } from "@aimo/node/fast-crypto";
import { expect } from "chai";
import fc from "fast-check";
import { USD } from "./books-world.ts";
import { CutDisk } from "./cut-disk.ts";
import { CutModel } from "./cut-model.ts";

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
    const failure = await model.cutEverywhere().then(
      () => "nothing was noticed",
      (error: unknown) => String(error),
    );
    expect(failure).to.match(/signed debt|what user|does not go on|is not the next/);
  });
});
