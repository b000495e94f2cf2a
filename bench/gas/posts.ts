import { sign } from "@aimo/node/fast-crypto";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { depthOf, hash, toHex, uint, ZERO_32 } from "@aimo/protocol/bytes";
import {
  type DebitRow,
  encodeRows,
  type PostHeader,
  type ProviderRow,
  type SignedRow,
} from "@aimo/protocol/rows";
import { toCompact } from "@aimo/protocol/signatures";
import { digestOf } from "@aimo/protocol/typed-data";
import type { Hex } from "viem";
import type { User } from "./people.ts";
import type { Operator, World } from "./world.ts";

/** What a user pays from one batch to the next, about 1.50 USD: no two alike, so that zero bytes do not add up. */
const DELTA = 1_512_345_678_901n;
/** What a provider gets from one batch to the next: so little that even a few users' debits cover it. */
const CREDIT = 1_123_456_789n;
/** By how much the user signed more than the relay collects: what its next request may cost. */
const EXCESS = 27_182_818_284n;

const deltaOf = ({ id }: User): bigint => DELTA + BigInt((id * 7_919) % 1_000_003);
const creditOf = (providerId: number): bigint => CREDIT + BigInt((providerId * 7_919) % 1_000_003);

export type Posted = {
  readonly gas: bigint;
  readonly bytes: number;
  readonly header: PostHeader;
  readonly data: Uint8Array;
};

/** Who pays and who is paid by a batch. */
export type Batch = {
  readonly users: readonly User[];
  readonly providers: readonly number[];
  /** Root of the receipts under the rows; any will do where nothing is proven. */
  readonly root?: (rows: readonly DebitRow[]) => Hex;
  /** The rows do not begin where the channels stand, so that all are skipped. */
  readonly isStale?: boolean;
};

/** Posts batches of one relay, and keeps what each row continues. */
export function createPoster(world: World, relay: Operator, mode: "metered" | "signed") {
  let batchNo = 0n;
  const spent = new Map<number, bigint>();
  const paid = new Map<number, bigint>();

  function debit(user: User, isStale: boolean): DebitRow {
    const delta = deltaOf(user);
    const start = (spent.get(user.id) ?? 0n) + (isStale ? 1n : 0n);
    if (!isStale) spent.set(user.id, start + delta);
    return { userId: user.id, cumEnd: start + delta, delta };
  }

  function signed(user: User, isStale: boolean): SignedRow {
    const row = debit(user, isStale);
    const message = {
      ...{ relayId: relay.id, userId: user.id, channelEpoch: 1 },
      cumulative: row.cumEnd + EXCESS,
    };
    return {
      ...row,
      excess: EXCESS,
      ...toCompact(sign(digestOf(world.separator, "SpendVoucher", message), user.key)),
    };
  }

  function credit(providerId: number): ProviderRow {
    const cumEnd = (paid.get(providerId) ?? 0n) + creditOf(providerId);
    paid.set(providerId, cumEnd);
    return { providerId, cumEnd };
  }

  return async ({ users, providers, root, isStale = false }: Batch): Promise<Posted> => {
    const isMetered = mode === "metered";
    const rows = {
      metered: isMetered ? users.map((user) => debit(user, isStale)) : [],
      signed: isMetered ? [] : users.map((user) => signed(user, isStale)),
      providers: providers.map(credit),
    };
    const data = encodeRows(rows);
    const anyRoot = toHex(hash(uint(batchNo, 8)));
    const header = {
      batchNo: batchNo++,
      nA: rows.metered.length,
      nB: rows.signed.length,
      nC: rows.providers.length,
      depth: depthOf(users.length),
      receiptsSum: users.reduce((sum, user) => sum + deltaOf(user), 0n),
      receiptsRoot: users.length === 0 ? ZERO_32 : (root?.([...rows.metered, ...rows.signed]) ?? anyRoot),
    };
    const { gasUsed } = await world.chain.send(relay.signer.address, {
      ...{ address: world.at.settlement, abi: settlementAbi, functionName: "post" },
      args: [relay.id, header, toHex(data)],
    });
    return { gas: gasUsed, bytes: data.length, header, data };
  };
}

export type Poster = ReturnType<typeof createPoster>;
