import {
  chargeBound,
  costOf,
  formatUnitPrice,
  formatUsd,
  fromTokenUnits,
  MAX_U64,
  type Prices,
  packKinds,
  parseUsd,
  protocolFee,
  toTokenUnits,
  UNIT_KINDS,
  type UnitKind,
  type Units,
  unpackKinds,
} from "@aimo/protocol/units";
import { expect } from "chai";
import fc from "fast-check";
import { readVectors } from "./cases.ts";

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const price = fc.bigInt({ min: 0n, max: MAX_U64 });
const smallPrice = fc.bigInt({ min: 0n, max: 2n ** 30n });
const pusd = fc.bigInt({ min: 0n, max: 10n ** 28n });
const kind = fc.constantFrom(...(Object.keys(UNIT_KINDS) as UnitKind[]));

describe("protocol/units", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  for (const v of readVectors("units"))
    it(`counts "${v.name}" as the vectors do`, () => {
      const units: Units = [v.number("units0"), v.number("units1"), v.number("units2")];
      const prices: Prices = [v.big("price0"), v.big("price1"), v.big("price2")];
      expect(packKinds(unpackKinds(v.number("kinds")))).to.equal(v.number("kinds"));
      if (!v.flag("fits")) {
        expect(() => costOf(units, prices)).to.throw(RangeError, "64 bits");
        return;
      }
      const bound = chargeBound(v.big("cost"), v.number("relayFeeBps"));
      expect(costOf(units, prices)).to.equal(v.big("cost"));
      expect(bound).to.equal(v.big("chargeBound"));
      expect(protocolFee(bound, v.number("protocolFeeBps"))).to.equal(v.big("protocolFee"));
      expect(formatUsd(v.big("cost"))).to.equal(v.text("costUsd"));
      expect(parseUsd(v.text("costUsd"))).to.equal(v.big("cost"));
    });

  it("costs exactly the sum of units times prices, or refuses", () => {
    fc.assert(
      fc.property(fc.tuple(u32, u32, u32), fc.tuple(price, price, price), (units, prices) => {
        const sum = units.reduce((total, count, i) => total + BigInt(count) * (prices[i] ?? 0n), 0n);
        if (sum > MAX_U64) expect(() => costOf(units, prices)).to.throw(RangeError);
        else expect(costOf(units, prices)).to.equal(sum);
      }),
    );
  });

  it("costs the same however a request's units are split", () => {
    const half = fc.tuple(
      fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    );
    fc.assert(
      fc.property(half, half, fc.tuple(smallPrice, smallPrice, smallPrice), (a, b, prices) => {
        const whole: Units = [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        expect(costOf(whole, prices)).to.equal(costOf(a, prices) + costOf(b, prices));
      }),
    );
  });

  it("refuses units that are no u32", () => {
    for (const wrong of [-1, 0.5, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => costOf([0, wrong, 0], [1n, 1n, 1n])).to.throw(RangeError, "units1");
  });

  it("rounds the relay's fee and the protocol's down, never by a whole pUSD or more", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MAX_U64 }), fc.integer({ min: 0, max: 10_000 }), (cost, bps) => {
        const fee = chargeBound(cost, bps) - cost;
        expect(fee * 10_000n <= cost * BigInt(bps)).to.equal(true);
        expect((fee + 1n) * 10_000n > cost * BigInt(bps)).to.equal(true);
        expect(protocolFee(cost, bps)).to.equal(fee);
      }),
    );
  });

  it("bounds a request by its total at least as high as by its parts", () => {
    fc.assert(
      fc.property(pusd, pusd, fc.integer({ min: 0, max: 2_000 }), (a, b, bps) => {
        expect(chargeBound(a + b, bps) >= chargeBound(a, bps) + chargeBound(b, bps)).to.equal(true);
      }),
    );
  });

  it("reads back every amount it writes", () => {
    fc.assert(
      fc.property(pusd, (amount) => {
        expect(parseUsd(formatUsd(amount))).to.equal(amount);
      }),
    );
  });

  it("writes amounts without exponents or trailing zeros", () => {
    expect([0n, 1n, 1_500_000_000_000n, -5n * 10n ** 11n].map(formatUsd)).to.deep.equal([
      "0",
      "0.000000000001",
      "1.5",
      "-0.5",
    ]);
    expect(formatUnitPrice(150_000n)).to.equal("0.00000015");
  });

  it("refuses texts that are no plain decimal", () => {
    for (const text of ["", ".5", "5.", "-1", "+1", "1e3", "1,5", " 1", "0x10", "1.0000000000001", "NaN"])
      expect(() => parseUsd(text), text).to.throw(RangeError);
  });

  it("turns tokens into credits exactly, and credits into tokens rounding down", () => {
    fc.assert(
      fc.property(pusd, (amount) => {
        const tokens = toTokenUnits(amount);
        expect(fromTokenUnits(tokens) <= amount && amount - fromTokenUnits(tokens) < 1_000_000n).to.equal(
          true,
        );
        expect(toTokenUnits(fromTokenUnits(tokens))).to.equal(tokens);
      }),
    );
  });

  it("packs kinds into 24 bits and back, and refuses kinds it does not know", () => {
    fc.assert(
      fc.property(fc.tuple(kind, kind, kind), (kinds) => {
        expect(unpackKinds(packKinds(kinds))).to.deep.equal(kinds);
      }),
    );
    expect(() => unpackKinds(0x060000)).to.throw(RangeError, "Unit kind 6");
  });
});
