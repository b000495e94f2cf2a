import type { ContractName, Deployment } from "@aimo/protocol/deployment";
import { PROFILES } from "@aimo/protocol/windows";
import { type Abi, type Address, encodeDeployData, type Hex, type PublicClient } from "viem";
import {
  type Artifact,
  argumentsOf,
  artifactOf,
  type Contracts,
  type DeploymentRecord,
  stepsFor,
  type Terms,
} from "./plan.ts";
import { roleCalls } from "./roles.ts";
import { roleFaults } from "./verify-roles.ts";

type Wanted = readonly [step: ContractName, name: string, args: readonly unknown[], want: unknown];

/**
 * Reads a deployment back from the chain and names everything that is not as it should be; empty when all is. It looks
 * at what created each contract and with which arguments, at the code, at all that the views tell, and at all that was
 * ever granted. Throws what the RPC endpoint's failures throw.
 */
export async function verifyDeployment(reader: PublicClient, record: DeploymentRecord): Promise<string[]> {
  const { contracts: at, ownToken } = record;
  const created = stepsFor(ownToken ? undefined : at.token);
  const faults = await Promise.all([
    ...created.map((step) => codeFault(reader, step, at[step])),
    ...createdFaults(reader, record),
    ...wiringOf(at, record.profile, record.terms).map((wanted) => viewFault(reader, at, wanted)),
    roleFaults(reader, record),
  ]);
  return faults.flat().filter((fault) => fault !== "");
}

/** What the public immutables are, the windows, and what the vault knows of its modules. */
function wiringOf(at: Contracts, profile: Deployment["profile"], terms: Terms): readonly Wanted[] {
  const clocked = ["registry", "stakeManager", "settlement", "reserves", "fraudProofs"] as const;
  const modules = [at.stakeManager, at.settlement, at.reserves, at.fraudProofs];
  return [
    ...clocked.map((step): Wanted => [step, "CLOCK", [], at.clock]),
    ["clock", "authority", [], at.accessManager],
    ["clock", "windows", [], PROFILES[profile]],
    ["vault", "authority", [], at.accessManager],
    ["vault", "TOKEN", [], at.token],
    ...modules.map((module): Wanted => ["vault", "moduleOf", [module], { state: 1 }]),
    ["stakeManager", "SETTLEMENT", [], at.settlement],
    ["stakeManager", "FRAUD_PROOFS", [], at.fraudProofs],
    ["stakeManager", "MIN_RELAY_STAKE", [], BigInt(terms.minRelayStake)],
    ["stakeManager", "MIN_PROVIDER_STAKE", [], BigInt(terms.minProviderStake)],
    ["settlement", "VAULT", [], at.vault],
    ["settlement", "REGISTRY", [], at.registry],
    ["settlement", "STAKE_MANAGER", [], at.stakeManager],
    ["settlement", "RESERVES", [], at.reserves],
    ["settlement", "TREASURY", [], terms.treasury],
    ["settlement", "PROTOCOL_FEE_BPS", [], terms.protocolFeeBps],
    ["depositRouter", "VAULT", [], at.vault],
    ["depositRouter", "SETTLEMENT", [], at.settlement],
    ["depositRouter", "TOKEN", [], at.token],
    ["depositRouter", "PERMIT2", [], terms.permit2],
    ["lens", "SETTLEMENT", [], at.settlement],
    ["lens", "RESERVES", [], at.reserves],
  ];
}

async function viewFault(
  reader: PublicClient,
  at: Contracts,
  [step, functionName, args, want]: Wanted,
): Promise<string> {
  const name = `${step}.${functionName}(${args.join(", ")})`;
  try {
    const abi: Abi = artifactOf(step).abi;
    const got = await reader.readContract({ address: at[step], abi, functionName, args });
    return isAs(got, want) ? "" : `${name} is ${text(got)}, not ${text(want)}`;
  } catch {
    return `${name} cannot be read`;
  }
}

/**
 * Each step's transaction is the one that this version would send: same account, nonce, code and arguments. That covers
 * the immutables that no view shows, because a constructor makes the same of the same.
 */
function createdFaults(reader: PublicClient, record: DeploymentRecord): Promise<string>[] {
  const { contracts: at, deployer, profile, terms, ownToken, steps } = record;
  const first = steps[0]?.nonce ?? 0;
  const wanted = [
    ...stepsFor(ownToken ? undefined : at.token).map((name) => {
      const { abi, bytecode } = artifactOf(name);
      const args = argumentsOf(name, { at, deployer, profile, terms });
      return { name, to: null, input: encodeDeployData({ abi, bytecode, args }) };
    }),
    ...roleCalls(at, terms, deployer).map(({ name, data }) => ({ name, to: at.accessManager, input: data })),
  ];
  return wanted.map(async ({ name, to, input }, index) => {
    const hash = steps.find((step) => step.name === name)?.hash;
    if (!hash) return `step ${name} is not recorded`;
    const sent = await reader.getTransaction({ hash }).catch(() => undefined);
    if (!sent) return `transaction ${hash} of step ${name} is not on this chain`;
    const isSame =
      isAs(sent.from, deployer) &&
      isAs(sent.to, to) &&
      sent.nonce === first + index &&
      sent.input === input &&
      sent.value === 0n;
    return isSame ? "" : `transaction ${hash} of step ${name} is not what this version sends`;
  });
}

/** The code on the chain is the compiler's, but for the immutables. */
async function codeFault(reader: PublicClient, step: ContractName, address: Address): Promise<string> {
  const code = await reader.getCode({ address });
  if (!code || code === "0x") return `there is no contract at ${step} ${address}`;
  const artifact = artifactOf(step);
  const same =
    code.length === artifact.deployedBytecode.length &&
    withoutImmutables(code, artifact) === withoutImmutables(artifact.deployedBytecode, artifact);
  return same ? "" : `the code at ${step} ${address} is not that of this version`;
}

function withoutImmutables(code: Hex, { immutableReferences }: Artifact): string {
  const bytes = Buffer.from(code.slice(2), "hex");
  for (const places of Object.values(immutableReferences)) {
    for (const { start, length } of places) bytes.fill(0, start, start + length);
  }
  return bytes.toString("hex");
}

/** Of an object only the fields that are wanted; addresses in any case; numbers and bigints alike. */
function isAs(got: unknown, want: unknown): boolean {
  if (typeof want === "object" && want !== null)
    return (
      typeof got === "object" &&
      got !== null &&
      Object.entries(want).every(([key, value]) => isAs((got as Record<string, unknown>)[key], value))
    );
  return String(got).toLowerCase() === String(want).toLowerCase();
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? part.toString() : part));
}
