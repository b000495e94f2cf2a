import { depthOf, toBytes, toHex } from "@aimo/protocol/bytes";
import { isEpochOf } from "@aimo/protocol/openings";
import { usageDigest } from "@aimo/protocol/receipts";
import { buildSumTree, leafNode, openSum, type SumNode, userLeafNode } from "@aimo/protocol/tree";
import { chargeBound } from "@aimo/protocol/units";
import { checkLine, type Finding, type LineContext } from "./line.ts";
import type { Bill, Line } from "./parse.ts";
import type { PostedRow, Problem } from "./types.ts";

export type RowContext = LineContext & {
  readonly row: PostedRow;
  /** Usage digests of receipts billed before, with where: grows as rows are checked. */
  readonly seen: Map<string, string>;
};

const startOf = (row: PostedRow) => row.cumEnd - row.delta;

/** The leaf as a node of its tree, bound to everything that was committed of it. */
export function nodeOfLine(line: Line, userId: number, separator: Uint8Array): SumNode {
  return leafNode({
    usageDigest: toHex(usageDigest(separator, line.receipt)),
    evidence: toBytes(line.evidence),
    userId,
    charge: line.charge,
    userCumulative: line.userCumulative,
  });
}

/** What is wrong with a user leaf as shown, against the row and the root on the chain. */
export function checkUserLeaf(
  { rowIndex, userLeaf, userPath }: Pick<Bill, "rowIndex" | "userLeaf" | "userPath">,
  { row, userId }: Pick<RowContext, "row" | "userId">,
): Finding | undefined {
  const wrong = (detail: string): Finding => ({ kind: "altered", detail });
  if (rowIndex !== row.rowIndex)
    return wrong(`The relay shows row ${rowIndex} in place of row ${row.rowIndex}.`);
  if (userLeaf.userId !== userId) return wrong(`The relay shows the leaf of user ${userLeaf.userId}.`);
  const top = openSum(userLeafNode(userLeaf), rowIndex, row.header.depth, userPath);
  if (top?.root !== row.header.receiptsRoot || top.sum !== row.header.receiptsSum)
    return wrong("The user leaf that the relay shows does not lead to the root on the chain.");
  const { epoch, cumStart, sum } = userLeaf;
  if (!isOfEpoch(row, epoch))
    return wrong(`The leaf is of epoch ${epoch}, the channel was in epoch ${row.epoch}.`);
  if (sum !== row.delta || cumStart !== startOf(row))
    return wrong(
      `The row debits (${startOf(row)}, ${row.cumEnd}], its receipts cover (${cumStart}, ${cumStart + sum}].`,
    );
  return undefined;
}

/** The epoch of the channel, or one before it when the channel was opened again just before the post. */
function isOfEpoch({ epoch, openedAt, postedAt }: PostedRow, given: number): boolean {
  return epoch === given || (openedAt !== undefined && isEpochOf({ epoch, openedAt }, postedAt, given));
}

/** Everything that is wrong with one row of a bill; each receipt is named once. */
export async function checkRow(bill: Bill, posted: RowContext): Promise<Problem[]> {
  const { row } = posted;
  const leafFinding = checkUserLeaf(bill, posted);
  // its receipts are bound to the epoch that the leaf names
  const context = leafFinding ? posted : { ...posted, row: { ...row, epoch: bill.userLeaf.epoch } };
  const isCommitted = leafFinding === undefined && isWhatWasCommitted(bill, context);
  const problems: Problem[] = [];
  // Where the receipts so far end; undefined after one whose amounts cannot be trusted.
  let reached: bigint | undefined = startOf(row);
  for (const [leaf, line] of bill.lines.entries()) {
    const trust = isCommitted ? "receipts" : leafFinding ? "nothing" : "count";
    const found = await checkPlace({ bill, line, leaf, reached, trust }, context);
    problems.push(...found.problems);
    reached = found.reached;
  }
  if (reached !== undefined && reached < row.cumEnd) problems.push(missingAtEnd(bill, reached, row));
  if (problems.length > 0 || isCommitted) return problems;
  return [wholeRow(row, leafFinding ?? notCommitted)];
}

type Place = {
  readonly bill: Bill;
  readonly line: Line | string;
  readonly leaf: number;
  readonly reached: bigint | undefined;
  /** What leads to the root on the chain: the receipts as shown, their number at least, or neither. */
  readonly trust: "receipts" | "count" | "nothing";
};
type PlaceResult = { readonly problems: readonly Problem[]; readonly reached: bigint | undefined };

async function checkPlace(at: Place, context: RowContext): Promise<PlaceResult> {
  const { line, leaf, reached } = at;
  const { row } = context;
  const place = { batchNo: row.batchNo, row: row.rowIndex, leaf };
  if (typeof line === "string") {
    const detail = `The relay's line cannot be read: ${line}.`;
    return { problems: [{ kind: "altered", ...place, detail }], reached: undefined };
  }
  const interval = [line.userCumulative - line.charge, line.userCumulative] as const;
  const named = { ...place, ...(line.id === "" ? {} : { id: line.id }), interval };
  const gap = dropsBefore(line, at, context)
    ? [dropped({ ...place, reached: reached ?? 0n, from: interval[0] })]
    : [];
  const finding = findTwin(line, leaf, context) ?? (await checkLine(line, context));
  const end = reached === undefined || line.userCumulative > reached ? line.userCumulative : reached;
  if (finding) return { problems: [...gap, { ...finding, ...named }], reached: end };
  if (gap.length > 0 || reached === undefined || interval[0] === reached)
    return { problems: gap, reached: end };
  if (at.trust === "receipts")
    return {
      problems: [{ kind: "duplicated", ...named, detail: "It covers an interval that is billed already." }],
      reached: end,
    };
  const detail = "Its charge and the running total do not fit together.";
  return { problems: [{ kind: "altered", ...named, detail }], reached: undefined };
}

/**
 * Whether a receipt is missing before this one, which begins after the one before it ended; otherwise its own amounts
 * were changed. Where the number of receipts is known, it decides. Else the receipt decides: amounts that are right show
 * the full price and fee, and end where the next one begins.
 */
function dropsBefore(line: Line, { bill, leaf, reached, trust }: Place, { row, facts }: RowContext): boolean {
  if (reached === undefined || line.userCumulative - line.charge <= reached) return false;
  if (trust === "receipts") return true;
  if (trust === "count") return bill.lines.length < bill.userLeaf.count;
  const { cost, issuedAt } = line.receipt;
  if (line.charge !== chargeBound(cost, facts.feeBoundAt(issuedAt)) || line.userCumulative > row.cumEnd)
    return false;
  const next = bill.lines[leaf + 1];
  return (
    next === undefined || typeof next === "string" || next.userCumulative - next.charge >= line.userCumulative
  );
}

function dropped(place: {
  readonly batchNo: bigint;
  readonly row: number;
  readonly leaf: number;
  readonly reached: bigint;
  readonly from: bigint;
}): Problem {
  const { reached, from, ...rest } = place;
  const detail = `A receipt over ${from - reached} pUSD is missing before leaf ${rest.leaf}.`;
  return { kind: "dropped", ...rest, interval: [reached, from], detail };
}

const notCommitted: Finding = {
  kind: "altered",
  detail: "The receipts that the relay shows do not lead to the root on the chain.",
};

export function wholeRow(row: PostedRow, finding: Finding): Problem {
  return { ...finding, batchNo: row.batchNo, row: row.rowIndex, interval: [startOf(row), row.cumEnd] };
}

function isWhatWasCommitted({ lines, userLeaf }: Bill, { userId, facts }: RowContext): boolean {
  const nodes = lines.flatMap((line) =>
    typeof line === "string" ? [] : [nodeOfLine(line, userId, facts.separator)],
  );
  if (nodes.length !== userLeaf.count) return false;
  const tree = buildSumTree(nodes);
  return (
    tree.depth === depthOf(userLeaf.count) && tree.root === userLeaf.subRoot && tree.sum === userLeaf.sum
  );
}

/** The same receipt billed before, here or in an earlier row. */
function findTwin(line: Line, leaf: number, { facts, row, seen }: RowContext): Finding | undefined {
  const digest = toHex(usageDigest(facts.separator, line.receipt));
  const first = seen.get(digest);
  if (first !== undefined)
    return { kind: "duplicated", detail: `The same receipt is billed already, ${first}.` };
  seen.set(digest, `in batch ${row.batchNo}, leaf ${leaf}`);
  return undefined;
}

function missingAtEnd({ lines }: Bill, reached: bigint, row: PostedRow): Problem {
  return {
    kind: "dropped",
    batchNo: row.batchNo,
    row: row.rowIndex,
    leaf: lines.length,
    interval: [reached, row.cumEnd],
    detail: `A receipt over ${row.cumEnd - reached} pUSD is missing at the end of the row.`,
  };
}
