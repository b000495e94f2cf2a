import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { deploymentFault } from "@aimo/node/deployment-file";
import { AimoError } from "@aimo/protocol/errors";
import type { PublicClient } from "viem";
import type { StepReport } from "../deploy.ts";
import type { DeploymentRecord, DeployStep } from "./plan.ts";

/** A deployment that began: what it was to become, and its steps, the last of which may not have been sent. */
export type Journal = DeploymentRecord & { readonly stepsOf: number };

export type Paths = { readonly finished: string; readonly partial: string };

/** Where the deployment of a chain is written down, finished or not. */
export function pathsOf(folder: string, chainId: number): Paths {
  return { finished: join(folder, `${chainId}.json`), partial: join(folder, `${chainId}.partial.json`) };
}

/**
 * Refuses to deploy over a deployment: `deployment_exists` over a finished one, always; `deployment_incomplete` over a
 * half-done one unless `startOver`, with the step at which it stopped.
 */
export async function refuseOther(
  { finished, partial }: Paths,
  { startOver, reader }: { readonly startOver: boolean; readonly reader: PublicClient },
): Promise<void> {
  const there = await readRecord(finished);
  if (there)
    throw new AimoError("deployment_exists", {
      message: `${finished} says that chain ${there.chainId} has a deployment (settlement ${there.contracts.settlement}).`,
      details: { file: finished, settlement: there.contracts.settlement },
    });
  const journal = (await readRecord(partial)) as Journal | undefined;
  if (!journal || startOver) return;
  throw await incomplete(journal, partial, reader);
}

/** `deployment_incomplete`: which steps are done, at which it stopped, and whether that one was mined. */
export async function incomplete(
  { steps, stepsOf, chainId }: Journal,
  file: string,
  reader: PublicClient,
): Promise<AimoError> {
  const mined = await Promise.all(steps.map((step) => isMined(reader, step)));
  const done = mined.filter((each) => each).length;
  const missing = steps.find((_, index) => !mined[index]);
  const where =
    done === stepsOf
      ? "all its steps are mined, but it was not verified: run it with --verify"
      : missing
        ? `step ${steps.indexOf(missing) + 1} (${missing.name}, transaction ${missing.hash}) was signed and is not mined`
        : `step ${done + 1} was not begun`;
  return new AimoError("deployment_incomplete", {
    message: `${file} holds a half-done deployment on chain ${chainId}: ${done} of ${stepsOf} steps are done, ${where}.`,
    details: {
      file,
      done,
      of: stepsOf,
      ...(missing ? { step: missing.name, transaction: missing.hash } : {}),
    },
  });
}

async function isMined(reader: PublicClient, { hash }: DeployStep): Promise<boolean> {
  const receipt = await reader.getTransactionReceipt({ hash }).catch(() => undefined);
  return receipt?.status === "success";
}

/** Keeps a journal: to be told of each step before it is sent and after it is mined. */
export function createJournal({ partial }: Paths, { startOver }: { readonly startOver: boolean }) {
  let steps: readonly DeployStep[] = [];
  return async ({ number, of, record, name, nonce, hash, gas }: StepReport): Promise<void> => {
    const step = { name, nonce, hash, ...(gas === undefined ? {} : { gas }) };
    steps = [...steps.slice(0, number - 1), step];
    const journal: Journal = { ...record, steps, stepsOf: of };
    // The first one must not meet another run's journal; afterwards it is this run's own.
    const isFresh = number === 1 && gas === undefined && !startOver;
    await writeJson(partial, journal, { isFresh });
  };
}

/** Writes a verified deployment down, never over another, and takes its journal away. */
export async function finish({ finished, partial }: Paths, record: DeploymentRecord): Promise<void> {
  await writeJson(finished, record, { isFresh: true });
  await unlink(partial).catch(() => {});
}

/** A record or journal; undefined when there is no such file. Throws `config_invalid` when it is damaged. */
export async function readRecord(path: string): Promise<DeploymentRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new AimoError("config_invalid", { message: `The file ${path} cannot be read.`, cause });
  }
  const value = parse(text);
  const fault = deploymentFault(value) ?? recordFault(value as Partial<DeploymentRecord>);
  if (fault) throw new AimoError("config_invalid", { message: `The file ${path} is damaged: ${fault}.` });
  return value as DeploymentRecord;
}

function recordFault({ deployer, terms, steps }: Partial<DeploymentRecord>): string | undefined {
  if (typeof deployer !== "string") return "it names no deployer";
  if (typeof terms !== "object") return "it has no terms";
  return Array.isArray(steps) ? undefined : "it has no steps";
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The file is whole and on disk when this resolves; a fresh one must not exist yet. */
async function writeJson(path: string, value: unknown, { isFresh }: { isFresh: boolean }): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = await open(draft, "w", 0o644);
  try {
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  if (!isFresh) return rename(draft, path);
  try {
    await link(draft, path);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
    throw new AimoError("deployment_incomplete", {
      message: `${path} was written meanwhile: another deployment runs.`,
      details: { file: path },
    });
  } finally {
    await unlink(draft);
  }
}
