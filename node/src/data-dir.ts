import { mkdir, readdir } from "node:fs/promises";
import { AimoError } from "@aimo/protocol/errors";
import type { AbstractLevel } from "abstract-level";
import { Level } from "level";
import { MemoryLevel } from "memory-level";
import type { Address, Hex } from "viem";

/** A node's database: keys and values are utf-8 text unless a sublevel says otherwise. */
export type Database = AbstractLevel<string | Buffer | Uint8Array, string, string>;

/** What a data folder belongs to. Data of one chain is worthless, and dangerous, on another. */
export type DataIdentity = {
  readonly chainId: number;
  readonly genesisHash: Hex;
  readonly settlement: Address;
};

export type OpenDataParameters = {
  /** The folder, made when it is missing; `memory` keeps everything in memory, for tests. */
  readonly location: { readonly folder: string } | "memory";
  readonly identity: DataIdentity;
};

/** Where the identity stands; every other key belongs to a sublevel of a room. */
const IDENTITY_KEY = "!aimo!identity";
/** Entries of minutes are deleted or replaced within seconds: what they come to in memory need not be written. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
/** Raised when the layout changes so that older code must not open it. */
const LAYOUT = 2;

/**
 * Opens the database in a data folder and holds it alone. A fresh folder is marked with the identity.
 * Throws `data_in_use`, `data_corrupt`, `data_of_other_chain`, or `config_invalid` when the folder cannot be made.
 */
export async function openData({ location, identity }: OpenDataParameters): Promise<Database> {
  const where = location === "memory" ? "memory" : location.folder;
  const db = location === "memory" ? new MemoryLevel<string, string>() : await openFolder(location.folder);
  try {
    await checkIdentity(db, identity, where);
  } catch (error) {
    await db.close();
    throw error;
  }
  return db;
}

async function openFolder(folder: string): Promise<Database> {
  await makeFolder(folder);
  await refuseHalfFolder(folder);
  const db = new Level<string, string>(folder, { writeBufferSize: WRITE_BUFFER_BYTES });
  try {
    await db.open();
  } catch (error) {
    throw openFault(error, folder);
  }
  return db;
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new AimoError("config_invalid", { message: `The data folder ${folder} cannot be made.`, cause });
  }
}

/** LevelDB starts afresh when its CURRENT file is gone, and then deletes the rest: that would lose every receipt. */
async function refuseHalfFolder(folder: string): Promise<void> {
  const names = await readdir(folder);
  const hasData = names.some((name) => /^(MANIFEST-\d+|\d+\.(ldb|sst|log))$/.test(name));
  if (hasData && !names.includes("CURRENT")) throw corrupt(folder, "its file CURRENT is missing");
}

function openFault(error: unknown, folder: string): AimoError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "LEVEL_LOCKED")
    return new AimoError("data_in_use", {
      message: `The data folder ${folder} is in use by another process.`,
      details: { folder },
      cause: error,
    });
  return corrupt(folder, cause instanceof Error ? cause.message : String(cause), error);
}

function corrupt(folder: string, reason: string, cause?: unknown): AimoError {
  return new AimoError("data_corrupt", {
    message: `The data folder ${folder} cannot be read: ${reason}.`,
    details: { folder },
    ...(cause === undefined ? {} : { cause }),
  });
}

async function checkIdentity(db: Database, identity: DataIdentity, folder: string): Promise<void> {
  const text = await readIdentity(db, folder);
  if (text === undefined) {
    const [any] = await db.keys({ limit: 1 }).all();
    if (any !== undefined)
      throw corrupt(folder, "it holds data, but not the mark of the chain it belongs to");
    await writeIdentity(db, identity);
    return;
  }
  const found = parseIdentity(text);
  if (!found) throw corrupt(folder, "the mark of the chain it belongs to is damaged");
  if (found["layout"] !== LAYOUT)
    throw corrupt(folder, `its layout is ${String(found["layout"])} and this version reads ${LAYOUT}`);
  const wanted = markOf(identity);
  for (const field of ["chainId", "genesisHash", "settlement"] as const)
    if (found[field] !== wanted[field])
      throw new AimoError("data_of_other_chain", {
        message:
          `The data folder ${folder} belongs to another chain or deployment: ` +
          `its ${field} is ${String(found[field])}, the node's is ${String(wanted[field])}.`,
        details: { folder, field, found: String(found[field]), wanted: String(wanted[field]) },
      });
}

async function readIdentity(db: Database, folder: string): Promise<string | undefined> {
  try {
    return await db.get(IDENTITY_KEY);
  } catch (cause) {
    throw corrupt(folder, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

async function writeIdentity(db: Database, identity: DataIdentity): Promise<void> {
  const value = JSON.stringify(markOf(identity));
  if (db instanceof Level) await db.put(IDENTITY_KEY, value, { sync: true });
  else await db.put(IDENTITY_KEY, value);
}

function markOf({ chainId, genesisHash, settlement }: DataIdentity) {
  return {
    layout: LAYOUT,
    chainId,
    genesisHash: genesisHash.toLowerCase(),
    settlement: settlement.toLowerCase(),
  };
}

function parseIdentity(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Damaged text; the caller names it.
    return undefined;
  }
}
