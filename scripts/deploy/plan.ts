import { readFileSync } from "node:fs";
import { CONTRACT_NAMES, type ContractName, type Deployment } from "@aimo/protocol/deployment";
import { PROFILES } from "@aimo/protocol/windows";
import { type Abi, type Address, getContractAddress, type Hash, type Hex } from "viem";

/** What a deployment is made with. Amounts are decimal strings of pUSD, so that it can be written down as JSON. */
export type Terms = {
  readonly treasury: Address;
  /** Basis points of users' debits. */
  readonly protocolFeeBps: number;
  readonly minRelayStake: string;
  readonly minProviderStake: string;
  /** May pause, at once. */
  readonly guardian: Address;
  /** May announce modules and name guardian and governor, after `governorDelay`. */
  readonly governor: Address;
  /** Seconds of block time. */
  readonly governorDelay: number;
  readonly permit2: Address;
};

/** A transaction of a deployment. It is known before it is sent, because it is signed and written down first. */
export type DeployStep = {
  readonly name: string;
  readonly nonce: number;
  readonly hash: Hash;
  /** Absent until it is mined. */
  readonly gas?: number;
};

/** A deployment, and all that is needed to check it again later. */
export type DeploymentRecord = Deployment & {
  readonly deployer: Address;
  /** Whether the token is the deployment's own. */
  readonly ownToken: boolean;
  readonly terms: Terms;
  readonly steps: readonly DeployStep[];
};

/** Where Permit2 is on every chain that has it. */
export const PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
/** Seconds between a governor's word and its effect. */
export const GOVERNOR_DELAYS = { main: 7 * 24 * 60 * 60, local: 5 } as const;

export type Contracts = Deployment["contracts"];

const ARTIFACTS: Record<ContractName, string> = {
  accessManager: "@openzeppelin/contracts/access/manager/AccessManager.sol/AccessManager",
  clock: "contracts/ProtocolClock.sol/ProtocolClock",
  token: "contracts/test/TestDollar.sol/TestDollar",
  registry: "contracts/Registry.sol/Registry",
  vault: "contracts/CreditVault.sol/CreditVault",
  stakeManager: "contracts/StakeManager.sol/StakeManager",
  settlement: "contracts/Settlement.sol/Settlement",
  reserves: "contracts/Reserves.sol/Reserves",
  fraudProofs: "contracts/FraudProofs.sol/FraudProofs",
  depositRouter: "contracts/periphery/DepositRouter.sol/DepositRouter",
  lens: "contracts/periphery/Lens.sol/Lens",
};

/** The steps of a deployment; the token's only where it brings its own. */
export function stepsFor(token: Address | undefined): readonly ContractName[] {
  return CONTRACT_NAMES.filter((step) => step !== "token" || token === undefined);
}

/** Where everything will be when `deployer` creates it in order from `firstNonce` on. */
export function predictContracts(
  deployer: Address,
  firstNonce: number,
  token: Address | undefined,
): Contracts {
  const steps = stepsFor(token);
  const at = (step: ContractName): Address =>
    step === "token" && token !== undefined
      ? token
      : getContractAddress({ from: deployer, nonce: BigInt(firstNonce + steps.indexOf(step)) });
  return {
    accessManager: at("accessManager"),
    clock: at("clock"),
    token: at("token"),
    registry: at("registry"),
    vault: at("vault"),
    stakeManager: at("stakeManager"),
    settlement: at("settlement"),
    reserves: at("reserves"),
    fraudProofs: at("fraudProofs"),
    depositRouter: at("depositRouter"),
    lens: at("lens"),
  };
}

export type ArgumentsParameters = {
  readonly at: Contracts;
  readonly deployer: Address;
  readonly profile: Deployment["profile"];
  readonly terms: Terms;
};

/** Constructor arguments of a step. */
export function argumentsOf(step: ContractName, parameters: ArgumentsParameters): readonly unknown[] {
  const { at, deployer, profile, terms } = parameters;
  const modules = [at.stakeManager, at.settlement, at.reserves, at.fraudProofs];
  switch (step) {
    case "accessManager":
      return [deployer];
    case "clock":
      return [at.accessManager, PROFILES[profile]];
    case "token":
      return [];
    case "registry":
      return [at.clock];
    case "vault":
      return [at.clock, at.accessManager, at.token, modules];
    case "stakeManager": {
      const stakes = [BigInt(terms.minRelayStake), BigInt(terms.minProviderStake)];
      return [at.clock, at.vault, at.registry, at.settlement, at.fraudProofs, ...stakes];
    }
    case "settlement": {
      const fees = [terms.treasury, terms.protocolFeeBps];
      return [at.clock, at.vault, at.registry, at.stakeManager, at.reserves, ...fees];
    }
    case "reserves":
      return [at.clock, at.vault, at.registry, at.settlement];
    case "fraudProofs":
      return [at.clock, at.vault, at.registry, at.stakeManager, at.settlement];
    case "depositRouter":
      return [at.vault, at.settlement, terms.permit2];
    case "lens":
      return [at.settlement, at.reserves];
  }
}

export type Artifact = {
  readonly abi: Abi;
  readonly bytecode: Hex;
  readonly deployedBytecode: Hex;
  /** Places of immutables in the deployed code, bytes. */
  readonly immutableReferences: Readonly<
    Record<string, readonly { readonly start: number; readonly length: number }[]>
  >;
};

/** What the compiler made of a step's contract. */
export function artifactOf(step: ContractName): Artifact {
  const url = new URL(`../../artifacts/${ARTIFACTS[step]}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as Artifact;
}
