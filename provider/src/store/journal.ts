import type { Database } from "@aimo/node/data-dir";
import { AimoError } from "@aimo/protocol/errors";
import type { GroupEvent } from "@aimo/protocol/session";
import type { RelayTotals, SignedGroup } from "../core/outstanding.ts";
import type { DebtRecord, Journal, JournalEntry } from "../flow/ports.ts";

/** Names of the room's parts of the database. Append only. */
const GROUPS = "provider-groups";
const TOTALS = "provider-totals";
const DEBTS = "provider-debts";
/** Groups are keyed by number, padded so that keys sort as numbers. */
const KEY_DIGITS = 16;

type Stored<T> = T extends bigint ? string : T extends object ? { [Key in keyof T]: Stored<T[Key]> } : T;
type StoredGroup = {
  readonly number: number;
  readonly event: GroupEvent;
  readonly total: string;
  readonly closedAtMs: number;
};
type StoredTotals = Stored<RelayTotals>;
type StoredDebt = Stored<DebtRecord>;

/** The provider's journal over a database: signed groups until they are settled, sums, vouchers and debts per relay. */
export function createJournal(db: Database): Journal {
  const groups = db.sublevel<string, StoredGroup>(GROUPS, { valueEncoding: "json" });
  const totals = db.sublevel<string, StoredTotals>(TOTALS, { valueEncoding: "json" });
  const debts = db.sublevel<string, StoredDebt>(DEBTS, { valueEncoding: "json" });
  const keyOf = (group: SignedGroup) => String(group.number).padStart(KEY_DIGITS, "0");
  const opsOf = ({ saved = [], settled = [], totals: sums, debt }: JournalEntry) => [
    ...saved.map(
      (one) => ({ type: "put", sublevel: groups, key: keyOf(one), value: encodeGroup(one) }) as const,
    ),
    ...settled.map((one) => ({ type: "del", sublevel: groups, key: keyOf(one) }) as const),
    ...(sums
      ? [{ type: "put", sublevel: totals, key: String(sums.relayId), value: encodeTotals(sums) } as const]
      : []),
    ...(debt
      ? [{ type: "put", sublevel: debts, key: String(debt.relayId), value: encodeDebt(debt) } as const]
      : []),
  ];
  // `sync` is the disk driver's own option; the memory driver ignores it.
  const durable = { sync: true } as object;
  return {
    load: async () => {
      try {
        return {
          groups: (await groups.values().all()).map(decodeGroup),
          totals: (await totals.values().all()).map(decodeTotals),
          debts: (await debts.values().all()).map(decodeDebt),
        };
      } catch (cause) {
        throw new AimoError("data_corrupt", {
          message: "The journal of signed groups cannot be read.",
          cause,
        });
      }
    },
    write: (entries) =>
      db.batch<string, StoredGroup | StoredTotals | StoredDebt>(entries.flatMap(opsOf), durable),
    close: () => db.close(),
  };
}

const encodeGroup = (group: SignedGroup): StoredGroup => ({ ...group, total: group.total.toString() });
const decodeGroup = (stored: StoredGroup): SignedGroup => ({ ...stored, total: BigInt(stored.total) });

const encodeTotals = ({ voucher, ...sums }: RelayTotals): StoredTotals => ({
  ...sums,
  signed: sums.signed.toString(),
  acknowledged: sums.acknowledged.toString(),
  lapsed: sums.lapsed.toString(),
  ...(voucher ? { voucher: { ...voucher, cumulative: voucher.cumulative.toString() } } : {}),
});
const decodeTotals = ({ voucher, ...stored }: StoredTotals): RelayTotals => ({
  ...stored,
  signed: BigInt(stored.signed),
  acknowledged: BigInt(stored.acknowledged),
  lapsed: BigInt(stored.lapsed),
  ...(voucher ? { voucher: { ...voucher, cumulative: BigInt(voucher.cumulative) } } : {}),
});

const encodeDebt = ({ redemption, ...debt }: DebtRecord): StoredDebt => ({
  ...debt,
  paid: debt.paid.toString(),
  ...(redemption
    ? {
        redemption: {
          ...redemption,
          cumulative: redemption.cumulative.toString(),
          paidBefore: redemption.paidBefore.toString(),
        },
      }
    : {}),
});
const decodeDebt = ({ redemption, ...stored }: StoredDebt): DebtRecord => ({
  ...stored,
  paid: BigInt(stored.paid),
  ...(redemption
    ? {
        redemption: {
          ...redemption,
          cumulative: BigInt(redemption.cumulative),
          paidBefore: BigInt(redemption.paidBefore),
        },
      }
    : {}),
});
