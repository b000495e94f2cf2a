import { readFile } from "node:fs/promises";
import { CONTRACT_NAMES, type Deployment } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { isAddress, isHash } from "viem";

/** Reads a deployment file. Throws `config_invalid` that names the file and the field at fault. */
export async function loadDeployment(path: string): Promise<Deployment> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? "is not JSON" : "cannot be read";
    throw new AimoError("config_invalid", { message: `The deployment file ${path} ${reason}.`, cause });
  }
  const fault = deploymentFault(value);
  if (fault)
    throw new AimoError("config_invalid", { message: `The deployment file ${path} is not valid: ${fault}.` });
  return value as Deployment;
}

/** What is wrong with a deployment, naming the field; undefined when nothing is. */
export function deploymentFault(value: unknown): string | undefined {
  if (!isRecord(value)) return "it is no object";
  const { chainId, genesisHash, deployedAtBlock, profile, contracts } = value;
  if (!isCount(chainId) || chainId === 0) return "chainId is no positive integer";
  if (typeof genesisHash !== "string" || !isHash(genesisHash)) return "genesisHash is no hash of 32 bytes";
  if (!isCount(deployedAtBlock)) return "deployedAtBlock is no block number";
  if (profile !== "main" && profile !== "local") return 'profile is neither "main" nor "local"';
  if (!isRecord(contracts)) return "contracts is no object";
  for (const name of CONTRACT_NAMES) {
    const address = contracts[name];
    if (typeof address !== "string" || !isAddress(address, { strict: false }))
      return `contracts.${name} is no address`;
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> & {
  readonly [K in keyof Deployment]?: unknown;
} {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
