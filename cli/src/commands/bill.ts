import { resolve } from "node:path";
import { ERRORS } from "@aimo/protocol/errors";
import {
  AimoClient,
  AimoError,
  type BillResult,
  type Problem,
  readRecords,
  type VerifyParameters,
  verifyBill,
  verifyGeneration,
} from "@aimo/sdk";
import { isAddress } from "viem";
import { count, usd } from "../amounts.ts";
import { CHAIN_OPTIONS, type Command, type CommandInput, RELAY_OPTIONS, UsageError } from "../command.ts";
import type { CliContext } from "../context.ts";
import { readIfThere } from "../files.ts";
import { openClient, recordsPath } from "../relay.ts";
import { loadSettings } from "../settings.ts";

async function readParameters(input: CommandInput, context: CliContext): Promise<VerifyParameters> {
  const settings = await loadSettings(input, context);
  openClient(settings);
  const named = input.text("owner");
  if (named !== undefined && !isAddress(named, { strict: false }))
    throw new UsageError(`--owner is "${named}", which is no address.`);
  return {
    rpcUrl: settings.rpcUrl(),
    deployment: await settings.deployment(),
    relayUrl: settings.baseUrl,
    apiKey: settings.apiKey ?? "",
    owner: named ?? settings.owner,
    relayId: settings.relayId,
    known: await knownRequests(input, context, settings.baseUrl),
  };
}

async function knownRequests(input: CommandInput, context: CliContext, baseUrl: string) {
  const named = input.text("records");
  if (named !== undefined) return readRecords(resolve(context.folder, named));
  const path = recordsPath(context, baseUrl);
  return (await readIfThere(path)) === undefined ? undefined : readRecords(path);
}

export const verify: Command = {
  name: "bill verify",
  summary: "Verify everything a relay has billed you, included and complete, against the chain",
  description:
    "Trusts the RPC endpoint and the deployment's addresses, and nothing that the relay says: every receipt must be\n" +
    "signed by its provider, priced as registered, and lie under a root on the chain without gap or overlap.\n" +
    "Exits with 1 and names each receipt that does not hold: by id where your records have it, else by batch, row,\n" +
    "leaf and interval.",
  options: {
    ...RELAY_OPTIONS,
    ...CHAIN_OPTIONS,
    owner: {
      type: "string",
      value: "ADDRESS",
      summary: "wallet of the account (default: that of the login)",
    },
    id: { type: "string", value: "ID", summary: "verify this one request only" },
    records: {
      type: "string",
      value: "FILE",
      summary: "records that an SDK kept (default: those of `aimo chat`)",
    },
  },
  examples: ["aimo bill verify", "aimo bill verify --json", "aimo bill verify --id gen-…"],
  async run(input, context) {
    const parameters = await readParameters(input, context);
    const id = input.text("id");
    context.note(`Verifying the bill of ${parameters.relayUrl} against the chain…`);
    if (id !== undefined) {
      const result = await verifyGeneration({ ...parameters, id });
      return resultOf(result, result, [generationText(result), ...verdictOf(result.problems)]);
    }
    const result = await verifyBill(parameters);
    const pendingPusd = await askPending(parameters);
    const isEmpty = result.batches === 0 && result.problems.length === 0;
    const verdict = isEmpty ? [NOTHING_YET] : verdictOf(result.problems);
    return resultOf(result, { ...result, pendingPusd }, [billText(result, pendingPusd), ...verdict]);
  },
};

const NOTHING_YET =
  "There is nothing to verify yet: a relay posts when enough has come together, or after a while. Ask again then.";

type Checked = { readonly ok: boolean; readonly problems: readonly Problem[] };

function resultOf({ ok, problems }: Checked, json: object, [summary = "", ...verdict]: readonly string[]) {
  const text = [summary, ...problems.map(problemText), ...verdict].join("\n");
  return { json, text, exitCode: ok ? 0 : 1 };
}

/** What was charged and is on no chain yet, by the relay's word; undefined when it does not say. pUSD. */
async function askPending({ relayUrl, apiKey }: VerifyParameters): Promise<bigint | undefined> {
  try {
    const { channel } = (await new AimoClient({ baseURL: relayUrl, apiKey }).credits()).aimo;
    if (!channel) return 0n;
    return BigInt(channel.charged_pusd) + BigInt(channel.pending_pusd) - BigInt(channel.settled_pusd);
  } catch (error) {
    if (error instanceof AimoError) return undefined;
    throw error;
  }
}

function verdictOf(problems: readonly Problem[]): string[] {
  if (problems.length === 0)
    return ["The bill holds: every receipt is signed, priced as registered and on the chain."];
  if (problems.every(({ kind, batchNo }) => kind === "unproven" && batchNo === undefined))
    return [
      "Not proven (yet): it can be once its batch is posted. `aimo bill verify` says what is missing on the chain.",
    ];
  const { message, hint } = ERRORS.bill_mismatch;
  return [`bill_mismatch: ${message} ${hint}`];
}

function billText(result: BillResult, pending: bigint | undefined): string {
  const { relayId, userId, receipts, batches, billedPusd, unbilled, unrecorded } = result;
  const sums =
    batches === 0
      ? "nothing is settled yet"
      : `${usd(billedPusd)} for ${count(receipts, "receipt")} in ${count(batches, "batch", "batches")}`;
  const lines = [`User ${userId} at relay ${relayId}: ${sums}.`];
  if (pending !== undefined && pending > 0n)
    lines.push(`Pending: ${usd(pending)} wait to be posted, as the relay says.`);
  if (unbilled.length > 0)
    lines.push(`Not settled (yet), or free: ${count(unbilled.length, "request")} of yours.`);
  if (unrecorded.length > 0)
    lines.push(
      `Made elsewhere: ${count(unrecorded.length, "receipt")} of requests that are not in these records.`,
    );
  return lines.join("\n");
}

function generationText({ id, batchNo, chargePusd }: Awaited<ReturnType<typeof verifyGeneration>>): string {
  if (batchNo === undefined) return `${id}: not proven.`;
  return `${id}: ${usd(chargePusd ?? 0n)} in batch ${batchNo}.`;
}

function problemText({ kind, id, batchNo, row, leaf, interval, detail }: Problem): string {
  const place = [
    id,
    batchNo === undefined ? undefined : `batch ${batchNo}`,
    row === undefined ? undefined : `row ${row}`,
    leaf === undefined ? undefined : `leaf ${leaf}`,
    interval === undefined ? undefined : `interval (${interval[0]}, ${interval[1]}] pUSD`,
  ];
  return `${kind}: ${place.filter((part) => part !== undefined).join(", ")}: ${detail}`;
}
