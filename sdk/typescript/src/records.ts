import type { AimoMeta } from "@aimo/protocol/routes";
import type { Hex } from "viem";
import { AimoError } from "./errors.ts";

/** What a client keeps of a request, so that nobody can change or hide it on the bill later. Holds no prompt. */
export type RequestRecord = {
  readonly id: string;
  readonly relay: number | null;
  /** keccak of the body as sent. */
  readonly bodyHash: Hex;
  /** Null: the answer was cut before the relay gave it. */
  readonly nonce: Hex | null;
  readonly receiptHash: Hex | null;
  readonly channel: { readonly user: number; readonly epoch: number } | null;
  /** Charge as the relay stated it, pUSD; the bill may be lower, never higher. Null: not stated. */
  readonly costPusd: string | null;
  /** ISO 8601. */
  readonly createdAt: string;
};

export type Recorder = (record: RequestRecord) => void | Promise<void>;

/** Keeps records. `prepare` fails before any money is spent. */
export type RecordKeeper = { prepare(): Promise<void>; keep(record: RequestRecord): Promise<void> };

export function createRecordKeeper(records: string | Recorder | undefined): RecordKeeper | undefined {
  if (records === undefined) return undefined;
  if (typeof records === "function")
    return { prepare: async () => {}, keep: async (record) => records(record) };
  return keepInFile(records);
}

function keepInFile(path: string): RecordKeeper {
  // One append at a time: lines of parallel requests must not mix.
  let last: Promise<void> = Promise.resolve();
  const append = (text: string): Promise<void> => {
    const next = last.then(async () => {
      const { appendFile } = await import("node:fs/promises");
      await appendFile(path, text, { mode: 0o600 });
    });
    last = next.catch(() => {});
    return next.catch((cause: unknown) => {
      throw new AimoError("config_invalid", {
        message: `The records file ${path} cannot be written.`,
        param: "records",
        cause,
      });
    });
  };
  return { prepare: () => append(""), keep: (record) => append(`${JSON.stringify(record)}\n`) };
}

/** Records of a file as `records` wrote them. Throws `config_invalid` with the line that is none. */
export async function readRecords(path: string): Promise<RequestRecord[]> {
  const { readFile } = await import("node:fs/promises");
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new AimoError("config_invalid", { message: `The records file ${path} cannot be read.`, cause });
  });
  return text
    .split("\n")
    .map((line, index) => ({ line, index }))
    .filter(({ line }) => line.trim() !== "")
    .map(({ line, index }) => {
      try {
        const record = JSON.parse(line) as RequestRecord;
        if (typeof record.id === "string" && typeof record.bodyHash === "string") return record;
      } catch {
        // Falls through to the error below, which names the line.
      }
      throw new AimoError("config_invalid", { message: `${path}:${index + 1} is not a request record.` });
    });
}

export type RecordParts = {
  readonly generationId: string | undefined;
  readonly bodyHash: Hex;
  readonly aimo: AimoMeta | undefined;
  readonly createdAt: Date;
};

/** Undefined when not even an id is known: nothing was delivered. */
export function recordOf({
  generationId,
  bodyHash,
  aimo,
  createdAt,
}: RecordParts): RequestRecord | undefined {
  const id = aimo?.generation_id ?? generationId;
  if (id === undefined) return undefined;
  return {
    id,
    relay: aimo?.relay ?? null,
    bodyHash,
    nonce: aimo?.nonce ?? null,
    receiptHash: aimo?.receipt_hash ?? null,
    channel: aimo?.channel ?? null,
    costPusd: aimo?.cost_pusd ?? null,
    createdAt: createdAt.toISOString(),
  };
}
