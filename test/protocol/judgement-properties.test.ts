import {
  activitySpan,
  type BilledClaim,
  feeBoundAt,
  judgeReceipt,
  type ReceiptFacts,
  type RelayFee,
  type Rule,
} from "@aimo/protocol/judgement";
import { chargeBound, exactCost, MAX_U64, type Prices, type Units } from "@aimo/protocol/units";
import { expect } from "chai";
import fc from "fast-check";
import { keccak256 } from "viem";

const HOUR = 3_600;
const upTo = (max: number) => fc.integer({ min: 0, max });

/**
 * Honest parties with clocks that differ from the chain's by at most a minute, and that learn of changes up to eight
 * minutes late. All times are the chain's but those that a provider's clock gave.
 */
const honest = fc
  .record({
    accepted: fc.integer({ min: 1_000_000, max: 2 ** 39 }),
    skew: fc.integer({ min: -60, max: 60 }),
    served: upTo(HOUR),
    waited: upTo(10 * HOUR),
    postWindow: fc.constantFrom(60 * HOUR, 24 * HOUR),
    units: fc.tuple(upTo(2 ** 32 - 1), upTo(2 ** 32 - 1), upTo(2 ** 32 - 1)) as fc.Arbitrary<Units>,
    prices: fc.tuple(
      fc.bigInt({ min: 0n, max: 2n ** 30n }),
      fc.bigInt({ min: 0n, max: 2n ** 30n }),
      fc.bigInt({ min: 0n, max: 2n ** 30n }),
    ) as fc.Arbitrary<Prices>,
    discount: fc.bigInt({ min: 0n, max: 100n }),
    fees: fc.array(upTo(2_000), { minLength: 1, maxLength: 4 }),
    // when the fee last changed, counted from when the request was accepted; a relay learns of it in eight minutes
    feeChanged: fc.integer({ min: -2 * HOUR, max: HOUR }),
    feeLag: upTo(480),
    registered: upTo(900_000),
    left: fc.option(fc.integer({ min: -480, max: HOUR })),
    priceAge: upTo(900_000),
    nextPrice: fc.option(fc.integer({ min: -480, max: HOUR })),
  })
  .map(sceneOf);

type Draw = {
  readonly accepted: number;
  readonly skew: number;
  readonly served: number;
  readonly waited: number;
  readonly postWindow: number;
  readonly units: Units;
  readonly prices: Prices;
  readonly discount: bigint;
  readonly fees: readonly number[];
  readonly feeChanged: number;
  readonly feeLag: number;
  readonly registered: number;
  readonly left: number | null;
  readonly priceAge: number;
  readonly nextPrice: number | null;
};
type Scene = {
  readonly claim: BilledClaim;
  readonly group: { readonly closedAt: number };
  readonly facts: ReceiptFacts;
};

/** Fee changes a week apart, the last one at `changedAt`. */
function feeHistory({ fees, accepted, feeChanged }: Draw): RelayFee[] {
  const changedAt = accepted + feeChanged;
  return fees.map((bps, i) => ({ bps, from: i === 0 ? 0 : changedAt - (fees.length - 1 - i) * 168 * HOUR }));
}

function sceneOf(draw: Draw): Scene {
  const { accepted, skew, served, units, prices, discount } = draw;
  const issuedAt = accepted + skew;
  const priced = exactCost(units, prices);
  const bounded = priced > MAX_U64 / 2n ? MAX_U64 / 2n : priced;
  const cost = bounded > discount ? bounded - discount : bounded;
  const history = feeHistory(draw);
  // what the relay knew of its own fee when it accepted the request
  const known =
    history.findLast(({ from }) => from + (from === 0 ? 0 : draw.feeLag) <= accepted) ?? history[0];
  return {
    claim: {
      relayId: 3,
      postedAt: accepted + served + draw.waited,
      charge: chargeBound(cost, known?.bps ?? 0),
      receipt: {
        relayId: 3,
        providerId: 2,
        modelId: 5,
        priceVersion: 1,
        issuedAt,
        units,
        cost,
        requestHash: keccak256("0x01"),
        responseHash: keccak256("0x02"),
      },
    },
    group: { closedAt: issuedAt + served },
    facts: {
      postWindow: draw.postWindow,
      provider: {
        registeredAt: accepted - draw.registered,
        deactivatedAt: draw.left === null ? 0 : accepted + draw.left,
      },
      wasStaked: true,
      wasSigner: true,
      price: {
        prices,
        effectiveFrom: issuedAt - draw.priceAge,
        effectiveUntil: draw.nextPrice === null ? undefined : issuedAt + draw.nextPrice,
      },
      feeBps: feeBoundAt(history, issuedAt),
    },
  };
}

const judge = ({ claim, group, facts }: Scene) => judgeReceipt(claim, group, facts);

type Mutation = (scene: Scene, by: number) => Scene;
const withClaim =
  (change: (scene: Scene, by: number) => Partial<BilledClaim>): Mutation =>
  (scene, by) => ({
    ...scene,
    claim: { ...scene.claim, ...change(scene, by) },
  });
const withReceipt = (change: (scene: Scene, by: number) => Partial<BilledClaim["receipt"]>): Mutation =>
  withClaim((scene, by) => ({ receipt: { ...scene.claim.receipt, ...change(scene, by) } }));
const withFacts =
  (change: (scene: Scene, by: number) => Partial<ReceiptFacts>): Mutation =>
  (scene, by) => ({
    ...scene,
    facts: { ...scene.facts, ...change(scene, by) },
  });
const closedAt =
  (time: (scene: Scene, by: number) => number): Mutation =>
  (scene, by) => ({
    ...scene,
    group: { closedAt: time(scene, by) },
  });
const issued = ({ claim }: Scene) => claim.receipt.issuedAt;
const priceTerm = ({ facts: { price } }: Scene) => {
  if (!price) throw new Error("An honest scene has a price.");
  return price;
};

/** One thing made false by at least one; the rule that it breaks, first in the order of the judgement. */
const MUTATIONS: readonly (readonly [name: string, rule: Rule, mutate: Mutation])[] = [
  ["another relay", "relay", withReceipt((_, by) => ({ relayId: 3 + by }))],
  ["no such provider", "provider", withFacts(() => ({ provider: undefined }))],
  ["a stranger's signature", "signer", withFacts(() => ({ wasSigner: false }))],
  ["closed before it was issued", "closing", closedAt((scene, by) => issued(scene) - by)],
  ["closed too late", "closing", closedAt((scene, by) => issued(scene) + HOUR + by)],
  [
    "closed after it was billed",
    "future",
    withClaim(({ group }, by) => ({ postedAt: group.closedAt - 60 - by })),
  ],
  [
    "billed too late",
    "age",
    withClaim((scene, by) => ({ postedAt: issued(scene) + scene.facts.postWindow + by })),
  ],
  [
    "registered too late",
    "provider",
    withFacts((scene, by) => ({
      provider: { registeredAt: activitySpan(issued(scene)).to + by, deactivatedAt: 0 },
    })),
  ],
  [
    "left too early",
    "provider",
    withFacts((scene, by) => ({
      provider: { registeredAt: 0, deactivatedAt: Math.max(1, activitySpan(issued(scene)).from - by) },
    })),
  ],
  ["without stake", "stake", withFacts(() => ({ wasStaked: false }))],
  ["no such price", "price", withFacts(() => ({ price: undefined }))],
  [
    "a price not yet in force",
    "price",
    withFacts((scene, by) => ({ price: { ...priceTerm(scene), effectiveFrom: issued(scene) + by } })),
  ],
  [
    "a price replaced too long ago",
    "price",
    withFacts((scene, by) => ({
      price: { ...priceTerm(scene), effectiveFrom: 0, effectiveUntil: issued(scene) - 600 - by + 1 },
    })),
  ],
  [
    "a cost above units times price",
    "cost",
    withReceipt((scene, by) => ({
      cost: exactCost(scene.claim.receipt.units, priceTerm(scene).prices) + BigInt(by),
    })),
  ],
  [
    "a charge above cost and fee",
    "charge",
    withClaim(({ claim, facts }, by) => ({
      charge: chargeBound(claim.receipt.cost, facts.feeBps) + BigInt(by),
    })),
  ],
];

describe("protocol/judgement, properties", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);

  it("never finds anything wrong with an honest receipt, however clocks differ and news comes late", () => {
    fc.assert(
      fc.property(honest, (scene) => {
        expect(judge(scene)).to.equal(undefined);
      }),
      { numRuns: 1_000 },
    );
  });

  for (const [name, rule, mutate] of MUTATIONS)
    it(`finds "${rule}" in an honest receipt with one thing false: ${name}`, () => {
      fc.assert(
        fc.property(honest, fc.integer({ min: 1, max: 400_000 }), (scene, by) => {
          const fault = judge(mutate(scene, by));
          expect(fault?.rule).to.equal(rule);
          const charge = mutate(scene, by).claim.charge;
          if (rule === "charge") expect(fault?.loss).to.equal(BigInt(by));
          else if (rule === "cost") expect(fault && fault.loss <= charge).to.equal(true);
          else expect([fault?.loss, fault?.allowed]).to.deep.equal([charge, 0n]);
        }),
        { numRuns: 100 },
      );
    });

  it("takes a lower cost and a lower charge: discounts go downward only", () => {
    fc.assert(
      fc.property(honest, fc.nat(), fc.nat(), (scene, less, lower) => {
        const { claim } = scene;
        const cost = claim.receipt.cost > BigInt(less) ? claim.receipt.cost - BigInt(less) : 0n;
        const bound = chargeBound(cost, scene.facts.feeBps);
        const charge = bound > BigInt(lower) ? bound - BigInt(lower) : 0n;
        expect(
          judge({ ...scene, claim: { ...claim, charge, receipt: { ...claim.receipt, cost } } }),
        ).to.equal(undefined);
      }),
    );
  });
});
