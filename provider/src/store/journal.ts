import type { Database } from "@aimo/node/data-dir";
import { AimoError } from "@aimo/protocol/errors";
import type { GroupEvent } from "@aimo/protocol/session";
import type { RelayTotals, SignedGroup } from "../core/outstanding.ts";
import type { Journal } from "../flow/ports.ts";

/** Names of the room's parts of the database. Append only. */
const GROUPS = "provider-groups";
const TOTALS = "provider-totals";
/** Groups are keyed by number, padded so that keys sort as numbers. */
const KEY_DIGITS = 16;

type StoredGroup = {
  readonly number: number;
  readonly event: GroupEvent;
  readonly total: string;
  readonly closedAtMs: number;
};
type StoredTotals = {
  readonly [Key in keyof RelayTotals]: RelayTotals[Key] extends bigint ? string : number;
};

/** The provider's journal over a database: signed groups until they are settled, and sums per relay. */
export function createJournal(db: Database): Journal {
  const groups = db.sublevel<string, StoredGroup>(GROUPS, { valueEncoding: "json" });
  const totals = db.sublevel<string, StoredTotals>(TOTALS, { valueEncoding: "json" });
  const keyOf = (group: SignedGroup) => String(group.number).padStart(KEY_DIGITS, "0");
  const putTotals = (sums: RelayTotals) =>
    ({ type: "put", sublevel: totals, key: String(sums.relayId), value: encodeTotals(sums) }) as const;
  // `sync` is the disk driver's own option; the memory driver ignores it.
  const durable = { sync: true } as object;
  return {
    load: async () => {
      try {
        return {
          groups: (await groups.values().all()).map(decodeGroup),
          totals: (await totals.values().all()).map(decodeTotals),
        };
      } catch (cause) {
        throw new AimoError("data_corrupt", {
          message: "The journal of signed groups cannot be read.",
          cause,
        });
      }
    },
    saveGroup: (group, sums) =>
      db.batch<string, StoredGroup | StoredTotals>(
        [{ type: "put", sublevel: groups, key: keyOf(group), value: encodeGroup(group) }, putTotals(sums)],
        durable,
      ),
    settleGroups: (settled, sums) =>
      db.batch<string, StoredGroup | StoredTotals>(
        [
          ...settled.map((group) => ({ type: "del", sublevel: groups, key: keyOf(group) }) as const),
          putTotals(sums),
        ],
        durable,
      ),
    close: () => db.close(),
  };
}

const encodeGroup = (group: SignedGroup): StoredGroup => ({ ...group, total: group.total.toString() });
const decodeGroup = (stored: StoredGroup): SignedGroup => ({ ...stored, total: BigInt(stored.total) });

const encodeTotals = (sums: RelayTotals): StoredTotals => ({
  ...sums,
  signed: sums.signed.toString(),
  acknowledged: sums.acknowledged.toString(),
  lapsed: sums.lapsed.toString(),
});
const decodeTotals = (stored: StoredTotals): RelayTotals => ({
  ...stored,
  signed: BigInt(stored.signed),
  acknowledged: BigInt(stored.acknowledged),
  lapsed: BigInt(stored.lapsed),
});
