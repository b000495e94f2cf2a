import { toHex } from "@aimo/protocol/bytes";
import { usageDigest } from "@aimo/protocol/receipts";
import type { RequestRecord } from "../records.ts";
import type { Line } from "./parse.ts";
import type { ChainFacts, Problem } from "./types.ts";

export type CheckRecordsParameters = {
  readonly known: readonly RequestRecord[];
  readonly userId: number;
  readonly lines: readonly Line[];
  readonly problems: readonly Problem[];
  readonly facts: Pick<ChainFacts, "relayId" | "separator">;
};

export type RecordsResult = {
  /** The problems given, with ids where the records have them, and those that only the records show. */
  readonly problems: readonly Problem[];
  readonly unbilled: readonly string[];
  readonly unrecorded: readonly string[];
};

/** Compares a bill with what the client kept: names what is missing by its id, and finds what was changed. */
export function checkRecords(parameters: CheckRecordsParameters): RecordsResult {
  const { known, userId, lines, problems, facts } = parameters;
  const records = known.filter(({ relay }) => relay === null || relay === facts.relayId);
  const lineOf = new Map<RequestRecord, Line>();
  const unmatched: Line[] = [];
  const find = finderOf(records);
  for (const line of lines) {
    const record = find(line, toHex(usageDigest(facts.separator, line.receipt)));
    if (record) lineOf.set(record, line);
    else unmatched.push(line);
  }
  // A file may have the requests of several accounts. What is billed here is compared whoever it is said to be of: the
  // relay said it.
  const isOwn = ({ channel }: RequestRecord) => channel === null || channel.user === userId;
  const unbilled = records.filter((record) => !lineOf.has(record) && isOwn(record));
  const named = nameDropped(problems, unbilled);
  const found = [...lineOf].flatMap(([record, line]) => differences(record, line, problems));
  const lost = new Set(named.flatMap(({ kind, id }) => (kind === "dropped" && id !== undefined ? [id] : [])));
  return {
    problems: [...named, ...found],
    unbilled: unbilled.map(({ id }) => id).filter((id) => !lost.has(id)),
    unrecorded: unmatched.map(({ id }) => id),
  };
}

/** The nonce is the surest name: the client had it before the bill. An id is only what the relay calls a request. */
function finderOf(
  records: readonly RequestRecord[],
): (line: Line, digest: string) => RequestRecord | undefined {
  const byNonce = new Map(
    records.flatMap((record) => (record.nonce ? [[record.nonce.toLowerCase(), record]] : [])),
  );
  const byReceipt = new Map(
    records.flatMap((record) => (record.receiptHash ? [[record.receiptHash.toLowerCase(), record]] : [])),
  );
  const byId = new Map(records.map((record) => [record.id, record]));
  return (line, digest) =>
    byNonce.get(line.nonce.toLowerCase()) ?? byReceipt.get(digest) ?? byId.get(line.id);
}

/** A gap is named by the request that fits it: the one whose stated cost fills it, else the only one missing. */
function nameDropped(problems: readonly Problem[], unbilled: readonly RequestRecord[]): Problem[] {
  const left = [...unbilled];
  return problems.map((problem) => {
    if (problem.kind !== "dropped" || problem.id !== undefined || !problem.interval) return problem;
    const size = problem.interval[1] - problem.interval[0];
    const fits = left.findIndex(({ costPusd }) => costPusd !== null && BigInt(costPusd) === size);
    const index = fits >= 0 ? fits : left.length === 1 ? 0 : -1;
    const [record] = index >= 0 ? left.splice(index, 1) : [];
    if (record) return { ...problem, id: record.id };
    if (left.length === 0) return problem;
    return { ...problem, detail: `${problem.detail} Requests without a receipt: ${excerpt(left)}.` };
  });
}

/** A sentence names a few; the list of all is in `unbilled`. */
const MAX_NAMED = 5;

function excerpt(records: readonly RequestRecord[]): string {
  const names = records.slice(0, MAX_NAMED).map(({ id }) => id);
  return records.length > MAX_NAMED
    ? `${names.join(", ")} and ${records.length - MAX_NAMED} more`
    : names.join(", ");
}

function differences(record: RequestRecord, line: Line, problems: readonly Problem[]): Problem[] {
  const { id } = record;
  const interval = [line.userCumulative - line.charge, line.userCumulative] as const;
  const isNamed = problems.some((problem) => problem.id === line.id && problem.kind !== "dropped");
  if (isNamed && line.id === id) return [];
  const wrong = (kind: Problem["kind"], detail: string): Problem[] => [{ kind, id, interval, detail }];
  if (line.id !== id) return wrong("altered", `The relay bills request ${id} under the name "${line.id}".`);
  if (record.bodyHash.toLowerCase() !== line.bodyHash.toLowerCase())
    return wrong("altered", "It is billed for another body than the one that was sent.");
  if (record.nonce !== null && record.nonce.toLowerCase() !== line.nonce.toLowerCase())
    return wrong("altered", "It is billed with another nonce than the one the relay gave with the answer.");
  if (record.costPusd !== null && line.charge > BigInt(record.costPusd))
    return wrong(
      "overcharged",
      `The relay stated ${record.costPusd} pUSD with the answer and billed ${line.charge}.`,
    );
  return [];
}
