import { accessManagerAbi } from "@aimo/protocol/abi/access-manager";
import { type Address, encodeFunctionData, type Hex, toFunctionSelector } from "viem";
import type { Contracts, Terms } from "./plan.ts";

/** Roles of the access manager; 0 is the one that OpenZeppelin calls ADMIN_ROLE. */
export const ROLE = { admin: 0n, guardian: 1n, governor: 2n } as const;

/** What is restricted, and for whom. Everything else in the contracts is for everybody or for nobody. */
export const RESTRICTED = {
  clock: ["function pause()", "function unpause()"].map((text) => toFunctionSelector(text)),
  vault: [toFunctionSelector("function scheduleModule(address module)")],
};

export type RoleCall = { readonly name: string; readonly data: Hex };

/**
 * The calls that make an access manager what it is to be, in order: the last one takes the deployer's own rights, so
 * whoever deployed can do nothing more.
 */
export function roleCalls(at: Contracts, terms: Terms, deployer: Address): readonly RoleCall[] {
  const { guardian, governor, governorDelay } = terms;
  const restrict = (target: Address, selectors: readonly Hex[], role: bigint): Hex =>
    encodeFunctionData({
      abi: accessManagerAbi,
      functionName: "setTargetFunctionRole",
      args: [target, selectors, role],
    });
  const grant = (role: bigint, account: Address, delay: number): Hex =>
    encodeFunctionData({ abi: accessManagerAbi, functionName: "grantRole", args: [role, account, delay] });
  return [
    { name: "guardianMayPause", data: restrict(at.clock, RESTRICTED.clock, ROLE.guardian) },
    { name: "governorMayAnnounceModules", data: restrict(at.vault, RESTRICTED.vault, ROLE.governor) },
    { name: "guardian", data: grant(ROLE.guardian, guardian, 0) },
    { name: "governor", data: grant(ROLE.governor, governor, governorDelay) },
    { name: "governorNamesSuccessors", data: grant(ROLE.admin, governor, governorDelay) },
    {
      name: "deployerRenounces",
      data: encodeFunctionData({
        abi: accessManagerAbi,
        functionName: "renounceRole",
        args: [ROLE.admin, deployer],
      }),
    },
  ];
}
