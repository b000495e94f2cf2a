import { accessManagerAbi } from "@aimo/protocol/abi/access-manager";
import type { Address, Hex, PublicClient } from "viem";
import type { DeploymentRecord } from "./plan.ts";
import { RESTRICTED, ROLE } from "./roles.ts";

/** Everything about the roles that is not exactly as meant: what holds now, and whatever else was ever granted. */
export async function roleFaults(reader: PublicClient, record: DeploymentRecord): Promise<string[]> {
  const faults = await Promise.all([...presentFaults(reader, record), historyFaults(reader, record)]);
  return faults.flat();
}

function presentFaults(
  reader: PublicClient,
  { contracts, terms, deployer }: DeploymentRecord,
): Promise<string>[] {
  const { accessManager: address, clock, vault } = contracts;
  const manager = { address, abi: accessManagerAbi } as const;
  const restricted = async (target: Address, selector: Hex, want: bigint) => {
    const args = [target, selector] as const;
    const got = await reader.readContract({ ...manager, functionName: "getTargetFunctionRole", args });
    return got === want ? "" : `${selector} of ${target} is for role ${got}, not ${want}`;
  };
  const open = async (target: Address) => {
    const isClosed = await reader.readContract({
      ...manager,
      functionName: "isTargetClosed",
      args: [target],
    });
    return isClosed ? `${target} is closed` : "";
  };
  const member = async (role: keyof typeof ROLE, account: Address, delay: number | undefined) => {
    const args = [ROLE[role], account] as const;
    const [isMember, got] = await reader.readContract({ ...manager, functionName: "hasRole", args });
    if (delay === undefined) return isMember ? `${account}, the deployer, still is ${role}` : "";
    return isMember && got === delay ? "" : `${account} is not ${role} with a delay of ${delay} s`;
  };
  return [
    ...RESTRICTED.clock.map((selector) => restricted(clock, selector, ROLE.guardian)),
    ...RESTRICTED.vault.map((selector) => restricted(vault, selector, ROLE.governor)),
    ...[clock, vault].map(open),
    member("guardian", terms.guardian, 0),
    member("governor", terms.governor, terms.governorDelay),
    member("admin", terms.governor, terms.governorDelay),
    ...(["admin", "guardian", "governor"] as const).map((role) => member(role, deployer, undefined)),
  ];
}

/** What a governor does in the course of its work; it changes nobody's rights. */
const HARMLESS = new Set(["OperationScheduled", "OperationExecuted", "OperationCanceled", "RoleLabel"]);

/** A manager cannot list its members, so its events are replayed: only those that the deployment makes may be there. */
async function historyFaults(reader: PublicClient, record: DeploymentRecord): Promise<string[]> {
  const { contracts, terms, deployer, deployedAtBlock } = record;
  const { guardian, governor, governorDelay } = terms;
  const head = await reader.getBlockNumber({ cacheTime: 0 });
  const changes = await changesOf(reader, contracts.accessManager, [BigInt(deployedAtBlock), head]);
  const allowed = new Set([
    changeText("RoleGranted", { roleId: ROLE.admin, account: deployer, delay: 0 }),
    changeText("RoleRevoked", { roleId: ROLE.admin, account: deployer }),
    changeText("RoleGranted", { roleId: ROLE.guardian, account: guardian, delay: 0 }),
    changeText("RoleGranted", { roleId: ROLE.governor, account: governor, delay: governorDelay }),
    changeText("RoleGranted", { roleId: ROLE.admin, account: governor, delay: governorDelay }),
    ...(["clock", "vault"] as const).flatMap((name) =>
      RESTRICTED[name].map((selector) => {
        const roleId = name === "clock" ? ROLE.guardian : ROLE.governor;
        return changeText("TargetFunctionRoleUpdated", { target: contracts[name], selector, roleId });
      }),
    ),
  ]);
  return changes
    .filter(({ text }) => !allowed.has(text))
    .map(({ text, hash }) => `rights were changed by transaction ${hash}: ${text}`);
}

type Change = { readonly text: string; readonly hash: Hex };

/** RPC servers refuse long ranges or many events: then the range is halved, down to this many blocks. */
const LEAST_BLOCKS = 1_000n;

async function changesOf(
  reader: PublicClient,
  address: Address,
  [fromBlock, toBlock]: readonly [bigint, bigint],
): Promise<Change[]> {
  try {
    const logs = await reader.getContractEvents({ address, abi: accessManagerAbi, fromBlock, toBlock });
    return logs
      .filter(({ eventName }) => !HARMLESS.has(eventName))
      .map(({ eventName, args, transactionHash }) => ({
        text: changeText(eventName, args),
        hash: transactionHash,
      }));
  } catch (error) {
    if (toBlock - fromBlock < LEAST_BLOCKS) throw error;
    const middle = (fromBlock + toBlock) / 2n;
    const first = await changesOf(reader, address, [fromBlock, middle]);
    return [...first, ...(await changesOf(reader, address, [middle + 1n, toBlock]))];
  }
}

/** A change of rights in words, without the time from which it holds. */
function changeText(name: string, args: object): string {
  const parts = Object.entries(args)
    .filter(([key]) => key !== "since" && key !== "newMember")
    .sort(([a], [b]) => a.localeCompare(b));
  return `${name}(${parts.map(([key, value]) => `${key} ${String(value).toLowerCase()}`).join(", ")})`;
}
