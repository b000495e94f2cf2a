import type { RequestRecord } from "../records.ts";
import { type Bill, type Line, parseBill, ShapeError } from "./parse.ts";
import { checkRecords } from "./records.ts";
import { checkRow, wholeRow } from "./row.ts";
import type { AccountOnChain, ChainFacts, PostedRow, Problem } from "./types.ts";

export type BillResult = {
  readonly ok: boolean;
  readonly relayId: number;
  readonly userId: number;
  /** Batches with an applied row of the user. */
  readonly batches: number;
  readonly receipts: number;
  /** Debited on the chain, over all epochs, pUSD. */
  readonly billedPusd: bigint;
  readonly problems: readonly Problem[];
  /** Known requests that were not billed (yet): not settled, or free. */
  readonly unbilled: readonly string[];
  /** Billed requests that the given records do not have: made elsewhere, or by nobody. */
  readonly unrecorded: readonly string[];
};

export type CheckBillParameters = {
  readonly userId: number;
  readonly account: AccountOnChain;
  readonly facts: ChainFacts;
  /** The relay's bill of a batch, as it answered; undefined: it has none. */
  readonly fetchBill: (batchNo: bigint) => Promise<unknown>;
  readonly known?: readonly RequestRecord[] | undefined;
};

/** Checks everything a relay has billed a user, included and complete, against what the chain says. */
export async function checkBill(parameters: CheckBillParameters): Promise<BillResult> {
  const { userId, account, facts, known } = parameters;
  // A skipped row debited nothing; its receipts may be billed once later, in another row.
  const rows = account.rows.filter(({ isSkipped }) => !isSkipped);
  const problems: Problem[] = [...account.problems, ...checkIntervals(rows, account)];
  const seen = new Map<string, string>();
  const lines: Line[] = [];
  for (const row of rows) {
    const bill = await readBill(row, parameters);
    if ("kind" in bill) {
      problems.push(bill);
      continue;
    }
    problems.push(...(await checkRow(bill, { userId, row, facts, seen })));
    lines.push(...bill.lines.filter((line) => typeof line !== "string"));
  }
  const recorded = known ? checkRecords({ known, userId, lines, problems, facts }) : undefined;
  const all = recorded?.problems ?? problems;
  return {
    ok: all.length === 0,
    relayId: facts.relayId,
    userId,
    batches: rows.length,
    receipts: lines.length,
    billedPusd: rows.reduce((sum, { delta }) => sum + delta, 0n),
    problems: all,
    unbilled: recorded?.unbilled ?? [],
    unrecorded: recorded?.unrecorded ?? [],
  };
}

async function readBill(row: PostedRow, { fetchBill }: CheckBillParameters): Promise<Bill | Problem> {
  const answer = await fetchBill(row.batchNo);
  if (answer === undefined)
    return wholeRow(row, { kind: "unproven", detail: "The relay shows no receipts for this row." });
  try {
    return parseBill(answer);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return wholeRow(row, { kind: "unproven", detail: `The relay's bill cannot be read: ${error.message}.` });
  }
}

/** The rows of an epoch follow each other from 0 without gap or overlap, up to what the channel has spent. */
function checkIntervals(rows: readonly PostedRow[], { channel }: AccountOnChain): Problem[] {
  const problems: Problem[] = [];
  const reached = new Map<number, bigint>();
  for (const row of rows) {
    const from = row.cumEnd - row.delta;
    const last = reached.get(row.epoch) ?? 0n;
    if (from !== last)
      problems.push({
        kind: "incomplete",
        batchNo: row.batchNo,
        row: row.rowIndex,
        interval: [last, from],
        detail: `The row begins at ${from} pUSD, the one before it ended at ${last}.`,
      });
    reached.set(row.epoch, row.cumEnd);
  }
  const last = reached.get(channel.epoch) ?? 0n;
  if (channel.epoch > 0 && last !== channel.spent)
    problems.push({
      kind: "incomplete",
      interval: [last, channel.spent],
      detail: `The channel has spent ${channel.spent} pUSD in epoch ${channel.epoch}; the rows that were read debit ${last}.`,
    });
  return problems;
}
