import type { ReceiptGroup } from "@aimo/protocol/groups";
import type { BilledClaim, Rule } from "@aimo/protocol/judgement";
import type { UsageReceipt } from "@aimo/protocol/receipts";
import { chargeBound, costOf, MAX_U64, type Prices } from "@aimo/protocol/units";
import { bytes32 } from "./case.ts";

/** A receipt, how it was signed, how it was billed, and what the chain knew. Times in protocol seconds. */
export type Scene = BilledClaim & {
  readonly postWindow: number;
  readonly closedAt: number;
  /** `registeredAt` 0: no such provider. `deactivatedAt` 0: it has not left. */
  readonly provider: { readonly registeredAt: number; readonly deactivatedAt: number };
  /** Had the minimum stake from the first second until before the second. */
  readonly stake: { readonly stakedFrom: number; readonly stakedUntil: number };
  /** The provider's key was valid from the first second until before the second. */
  readonly signer: { readonly signerFrom: number; readonly signerUntil: number };
  /** `nextFrom` 0: there is no next version. Undefined: there is not this one either. */
  readonly price:
    | { readonly prices: Prices; readonly effectiveFrom: number; readonly nextFrom: number }
    | undefined;
  readonly fee: { readonly feeCurBps: number; readonly feePrevBps: number; readonly feeChangedAt: number };
  /** What the provider signed in place of the receipt. */
  readonly signedInstead: Partial<UsageReceipt>;
  readonly groupInstead: Partial<ReceiptGroup>;
  readonly isByStranger: boolean;
  readonly falsify: (evidence: Uint8Array) => Uint8Array;
};

/** `rule` undefined: it is good. */
export type Tale = { readonly name: string; readonly rule: Rule | undefined; readonly scene: Scene };

const ISSUED = 1_700_000_000;
const GRACE = 600;
const SKEW = 60;
const HOUR = 3_600;
const DAY = 24 * HOUR;
const FOREVER = 2 ** 40 - 1;
const PRICES: Prices = [2_000_000n, 1_000_000n, 8_000_000n];
const UNITS = [1_000, 200, 300] as const;
const COST = costOf(UNITS, PRICES);
const FEE = 500;
const CHARGE = chargeBound(COST, FEE);

const HONEST: Scene = {
  relayId: 3,
  postedAt: ISSUED + 30,
  charge: CHARGE,
  receipt: {
    relayId: 3,
    providerId: 2,
    modelId: 5,
    priceVersion: 4,
    issuedAt: ISSUED,
    units: UNITS,
    cost: COST,
    requestHash: bytes32("judged request"),
    responseHash: bytes32("judged response"),
  },
  postWindow: DAY,
  closedAt: ISSUED + 2,
  provider: { registeredAt: ISSUED - 10 * DAY, deactivatedAt: 0 },
  stake: { stakedFrom: ISSUED - 10 * DAY, stakedUntil: FOREVER },
  signer: { signerFrom: ISSUED - 10 * DAY, signerUntil: FOREVER },
  price: { prices: PRICES, effectiveFrom: ISSUED - DAY, nextFrom: 0 },
  fee: { feeCurBps: FEE, feePrevBps: 1_000, feeChangedAt: ISSUED - DAY },
  signedInstead: {},
  groupInstead: {},
  isByStranger: false,
  falsify: (evidence) => evidence,
};

const tale = (name: string, rule: Rule | undefined, change: Partial<Scene> = {}): Tale => ({
  name,
  rule,
  scene: { ...HONEST, ...change },
});
const good = (name: string, change: Partial<Scene> = {}) => tale(name, undefined, change);
const receipt = (change: Partial<UsageReceipt>): Pick<Scene, "receipt"> => ({
  receipt: { ...HONEST.receipt, ...change },
});
const price = (change: Partial<NonNullable<Scene["price"]>>): Pick<Scene, "price"> => ({
  price: { prices: PRICES, effectiveFrom: ISSUED - DAY, nextFrom: 0, ...change },
});
const flip = (offset: number) => (evidence: Uint8Array) =>
  evidence.map((byte, at) => (at === offset ? byte ^ 1 : byte));

const AMOUNTS: readonly Tale[] = [
  good("an honest receipt"),
  good("a receipt that costs nothing", { ...receipt({ cost: 0n }), charge: 0n }),
  good("a cost below the price", { ...receipt({ cost: COST - 1n }), charge: 0n }),
  good("a charge below the bound", { charge: CHARGE - 1n }),
  tale("a charge of one pUSD too much", "charge", { charge: CHARGE + 1n }),
  tale("a charge for what cost nothing", "charge", { ...receipt({ cost: 0n }), charge: 1n }),
  tale("a cost of one pUSD too much, charged for", "cost", {
    ...receipt({ cost: COST + 1n }),
    charge: chargeBound(COST + 1n, FEE),
  }),
  tale("a cost too high and a charge as it should have been", "cost", receipt({ cost: COST + 1n })),
  tale("a cost and a charge of all there can be", "cost", { ...receipt({ cost: MAX_U64 }), charge: MAX_U64 }),
  good("a receipt of the first ten minutes of time", {
    ...receipt({ issuedAt: 300 }),
    ...{ postedAt: 330, closedAt: 302, provider: { registeredAt: 1, deactivatedAt: 0 } },
    ...{ stake: { stakedFrom: 1, stakedUntil: FOREVER }, signer: { signerFrom: 1, signerUntil: FOREVER } },
    ...price({ effectiveFrom: 1 }),
    fee: { feeCurBps: FEE, feePrevBps: FEE, feeChangedAt: 1 },
  }),
  good("a price above what any receipt can say", {
    ...receipt({ cost: MAX_U64, units: [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1] }),
    ...price({ prices: [MAX_U64, MAX_U64, MAX_U64] }),
    charge: MAX_U64,
  }),
];

const FEES: readonly Tale[] = [
  ...(
    [
      ["a second within the grace of a lowered fee", GRACE - 1, 1_000, 500, undefined],
      ["where the grace of a lowered fee ends", GRACE, 1_000, 500, "charge"],
      ["at the change to a higher fee", 0, 500, 1_000, undefined],
      ["as long before a raised fee as clocks may differ", -SKEW, 500, 1_000, undefined],
      ["a second longer before a raised fee", -SKEW - 1, 500, 1_000, "charge"],
    ] as const
  ).map(([name, after, feePrevBps, feeCurBps, rule]) =>
    tale(`the higher fee, ${name}`, rule, {
      charge: chargeBound(COST, 1_000),
      fee: { feeCurBps, feePrevBps, feeChangedAt: ISSUED - after },
    }),
  ),
  good("the old fee, long before a change", {
    fee: { feeCurBps: 0, feePrevBps: FEE, feeChangedAt: ISSUED + 20 },
    postedAt: ISSUED + 5,
  }),
];

const TIMES: readonly Tale[] = [
  good("closed in the second in which it was issued", { closedAt: ISSUED }),
  tale("closed before it was issued", "closing", { closedAt: ISSUED - 1 }),
  good("closed after an hour", { closedAt: ISSUED + HOUR, postedAt: ISSUED + HOUR }),
  tale("closed after more than an hour", "closing", {
    closedAt: ISSUED + HOUR + 1,
    postedAt: ISSUED + HOUR + 1,
  }),
  good("closed a minute after it was posted", { closedAt: ISSUED + 90, postedAt: ISSUED + 30 }),
  tale("closed more than a minute after it was posted", "future", {
    closedAt: ISSUED + 91,
    postedAt: ISSUED + 30,
  }),
  good("posted in its last second", { postedAt: ISSUED + DAY }),
  tale("posted a second too late", "age", { postedAt: ISSUED + DAY + 1 }),
  good("posted before it was issued, by a clock that is slow", { postedAt: ISSUED - 58 }),
];

const PARTIES: readonly Tale[] = [
  tale("a receipt for another relay", "relay", receipt({ relayId: 4 })),
  tale("a provider that does not exist", "provider", { provider: { registeredAt: 0, deactivatedAt: 0 } }),
  good("a provider that registered a minute later, by its clock", {
    provider: { registeredAt: ISSUED + SKEW, deactivatedAt: 0 },
  }),
  tale("a provider that registered later than that", "provider", {
    provider: { registeredAt: ISSUED + SKEW + 1, deactivatedAt: 0 },
  }),
  good("a provider that left ten minutes before", {
    provider: { registeredAt: 1, deactivatedAt: ISSUED - GRACE },
  }),
  tale("a provider that left earlier than that", "provider", {
    provider: { registeredAt: 1, deactivatedAt: ISSUED - GRACE - 1 },
  }),
  good("a stake that came within a minute", { stake: { stakedFrom: ISSUED + SKEW, stakedUntil: FOREVER } }),
  tale("a stake that came later", "stake", {
    stake: { stakedFrom: ISSUED + SKEW + 1, stakedUntil: FOREVER },
  }),
  good("a stake that went within ten minutes", { stake: { stakedFrom: 1, stakedUntil: ISSUED - GRACE + 1 } }),
  tale("a stake that went ten minutes before", "stake", {
    stake: { stakedFrom: 1, stakedUntil: ISSUED - GRACE },
  }),
];

const PRICE_TERMS: readonly Tale[] = [
  tale("a price version that does not exist", "price", { price: undefined }),
  good("a price in its first second", price({ effectiveFrom: ISSUED })),
  tale("a price one second early", "price", price({ effectiveFrom: ISSUED + 1 })),
  good("a price ten minutes after the next", price({ nextFrom: ISSUED - GRACE + 1 })),
  tale("a price longer after the next", "price", price({ nextFrom: ISSUED - GRACE })),
  good("a price before the next", price({ nextFrom: ISSUED + 5 })),
];

const SIGNATURES: readonly Tale[] = [
  tale("a group that a stranger signed", "signer", { isByStranger: true }),
  good("a key in its first second", { signer: { signerFrom: HONEST.closedAt, signerUntil: FOREVER } }),
  tale("a key not valid yet", "signer", {
    signer: { signerFrom: HONEST.closedAt + 1, signerUntil: FOREVER },
  }),
  good("a key in its last second", { signer: { signerFrom: 1, signerUntil: HONEST.closedAt + 1 } }),
  tale("a key no longer valid", "signer", { signer: { signerFrom: 1, signerUntil: HONEST.closedAt } }),
  tale("a group of another relay", "group", { groupInstead: { relayId: 4 } }),
  tale("a group of another provider", "group", { groupInstead: { providerId: 9 } }),
  ...(
    [
      ["units0", { units: [999, 200, 300] }],
      ["cost", { cost: COST - 1n }],
      ["model", { modelId: 6 }],
      ["price version", { priceVersion: 3 }],
      ["time", { issuedAt: ISSUED + 1 }],
      ["request", { requestHash: bytes32("another request") }],
      ["response", { responseHash: bytes32("another response") }],
    ] as const
  ).map(([name, signedInstead]) => tale(`another ${name} than was signed`, "evidence", { signedInstead })),
  tale("another time of the group than was signed", "signer", { falsify: flip(16) }),
  tale("another root", "evidence", { falsify: flip(20) }),
  tale("another index", "evidence", { falsify: flip(49) }),
  tale("another sibling", "evidence", { falsify: flip(55) }),
  tale("another signature", "signer", { falsify: flip(90) }),
  tale("a v that is none", "signer", {
    falsify: (evidence) => Uint8Array.from([...evidence.slice(0, -1), 29]),
  }),
  tale("a count that asks for another length", "evidence", { falsify: flip(9) }),
  tale("a group of none", "evidence", {
    falsify: (evidence) => evidence.map((byte, at) => (at === 11 ? 0 : byte)),
  }),
  tale("evidence without its last byte", "evidence", { falsify: (evidence) => evidence.slice(0, -1) }),
  tale("evidence with a byte more", "evidence", { falsify: (evidence) => Uint8Array.from([...evidence, 0]) }),
  tale("no evidence", "evidence", { falsify: () => new Uint8Array() }),
];

export const JUDGEMENT_TALES: readonly Tale[] = [
  ...AMOUNTS,
  ...FEES,
  ...TIMES,
  ...PARTIES,
  ...PRICE_TERMS,
  ...SIGNATURES,
];
