import { expect } from "chai";
import { addDeliveries, COUNTED_PROMPT_TOKENS, type Seen } from "../../bench/soak/deliveries.ts";
import { judgeMemory } from "../../bench/soak/memory.ts";
import { benchSoak } from "../../bench/soak.ts";

const SECONDS = 6;
const MIB = 1024 * 1024;

type Lines = Parameters<typeof addDeliveries>[1];
type Units = Seen["whole"][number]["units"];
const linesOf = (units: Readonly<Record<string, Units>>) =>
  Object.entries(units).map(([id, each]) => ({ id, receipt: { units: each } })) as unknown as Lines;

/** One whole answer, one stream of 3 frames that was cut, and one that was left before its head. */
const SEEN: Seen = {
  whole: [{ id: "whole", charge: "0", at: 0, units: [20, 0, 16] }],
  cut: [{ no: 1, id: "cut", frames: 3, error: undefined }],
  unnamed: [2],
};
const WRITTEN = new Map([
  [1, 5],
  [2, 2],
]);
const BILLS = { whole: [20, 0, 16], cut: [COUNTED_PROMPT_TOKENS, 0, 4], unnamed: [20, 0, 2] } as const;
const add = (bills: Readonly<Record<string, Units>>) => addDeliveries(SEEN, linesOf(bills), WRITTEN);

describe("mixed load on a relay whose providers stop and start", function () {
  this.timeout(300_000);

  it("is billed as it was delivered, to the pUSD, and leaves nothing held", async () => {
    const report = await benchSoak(() => {}, { minutes: SECONDS / 60, restartMs: 2_000 });
    expect(report).to.include({ passed: true, leakedHoldsPusd: "0" });
    expect(report["deliveredPusd"]).to.equal(report["paidPusd"]).and.not.equal("0");
    expect(report["providerRestarts"]).to.be.above(0);
  });

  it("adds up whole answers by their clients' count, and cut ones by what is billed of them", () => {
    const { cost, billed, unbilled } = add(BILLS);
    expect(cost).to.equal(200_000n * (20n + 22n + 20n) + 600_000n * (16n + 4n + 2n));
    expect(billed).to.deep.equal({ whole: 1, cut: 1, unnamed: 1 });
    expect(unbilled).to.deep.equal([]);
    expect(add({}).unbilled).to.deep.equal([...SEEN.whole, ...SEEN.cut]);
  });

  it("notices bills of more than was sent, of less than came, and of what nobody asked for", () => {
    const wrong: readonly Readonly<Record<string, Units>>[] = [
      { ...BILLS, whole: [20, 0, 17] },
      { ...BILLS, whole: [21, 0, 16] },
      { ...BILLS, cut: [20, 0, 2] },
      { ...BILLS, cut: [20, 0, 6] },
      { ...BILLS, cut: [21, 0, 4] },
      { ...BILLS, unnamed: [20, 0, 3] },
      { ...BILLS, stray: [20, 0, 1] },
    ];
    for (const bills of wrong) expect(() => add(bills), JSON.stringify(bills)).to.throw();
  });

  it("takes growing memory for a failure, in a run that is long enough to tell", () => {
    const grow = (slope: number, minutes: number) =>
      judgeMemory(
        Array.from({ length: minutes * 30 }, (_, at) => {
          const bytes = (200 + (slope * at) / 30 + (at % 7)) * MIB;
          return { ms: at * 2_000, rss: bytes, anonymous: bytes };
        }),
        minutes,
      ).isFlat;
    expect([grow(0, 15), grow(0.5, 15), grow(2, 15), grow(2, 5)]).to.deep.equal([true, true, false, true]);
  });
});
