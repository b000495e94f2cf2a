import { type Demand, demandId, FRAUD_KINDS, provenKey } from "@aimo/protocol/proofs";
import { MAX_U64, MAX_U80, MAX_U96 } from "@aimo/protocol/units";
import { bytes32, type Case, decimals } from "./case.ts";

const U32 = 2 ** 32 - 1;
const U40 = 2 ** 40 - 1;

const ORDINARY: Demand = {
  relayId: 3,
  batchNo: 12n,
  row: 65,
  leafIndex: 2,
  receiptsRoot: bytes32("demanded root"),
  depth: 7,
  postedAt: 1_700_000_000,
  userId: 7,
  cumEnd: 5_000_000_000_000n,
  delta: 1_000_000_000_000n,
  challenger: 9,
  bond: 2_000_000_000_000n,
  deadline: 1_700_043_200,
};
const LOWEST: Demand = {
  ...{ relayId: 0, batchNo: 0n, row: 0, leafIndex: 0, receiptsRoot: `0x${"00".repeat(32)}`, depth: 0 },
  ...{ postedAt: 0, userId: 0, cumEnd: 0n, delta: 0n, challenger: 0, bond: 0n, deadline: 0 },
};
const HIGHEST: Demand = {
  ...{
    relayId: U32,
    batchNo: MAX_U64,
    row: U32,
    leafIndex: U32,
    receiptsRoot: `0x${"ff".repeat(32)}`,
    depth: 255,
  },
  ...{ postedAt: U40, userId: U32, cumEnd: MAX_U80, delta: MAX_U64, challenger: U32 },
  ...{ bond: MAX_U96, deadline: U40 },
};

/** Ids of demands, and keys under which proofs are marked. */
export function proofCases(): Case[] {
  const demands = { "an ordinary demand": ORDINARY, "lowest values": LOWEST, "highest values": HIGHEST };
  return [
    ...Object.entries(demands).map(([name, demand]) => ({
      kind: "demand",
      name,
      ...decimals(demand),
      demandId: demandId(demand),
    })),
    ...Object.entries(FRAUD_KINDS).map(([name, kind]) => ({
      kind: "key",
      name,
      ...decimals({ ...placeOf(kind), fraudKind: kind, key: provenKey({ ...placeOf(kind), kind }) }),
    })),
  ];
}

const placeOf = (kind: number) => ({
  relayId: kind,
  batchNo: 100n + BigInt(kind),
  row: 65 * kind,
  leafIndex: 5,
});
