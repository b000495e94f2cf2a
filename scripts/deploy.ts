import { readFileSync } from "node:fs";
import type { Deployment } from "@aimo/protocol/deployment";
import { PROFILES } from "@aimo/protocol/windows";
import {
  type Abi,
  type Account,
  type Address,
  type Chain,
  createPublicClient,
  getContractAddress,
  type Hex,
  http,
  type Transport,
  type WalletClient,
} from "viem";

export type DeployParameters = {
  readonly rpcUrl: string;
  readonly wallet: WalletClient<Transport, Chain, Account>;
  readonly profile: "main" | "local";
  /** The accounting token. Without it a test dollar is deployed, which only a local profile may. */
  readonly token?: Address;
  readonly treasury: Address;
  /** Basis points of users' debits. */
  readonly protocolFeeBps: number;
  /** pUSD that a relay's bond and a provider's stake must reach. */
  readonly minRelayStake: bigint;
  readonly minProviderStake: bigint;
};

/** Contracts in the order of `ISettlement`: later ones are known to earlier ones by their predicted address. */
const STEPS = ["clock", "token", "registry", "vault", "stakeManager", "settlement"] as const;
type Step = (typeof STEPS)[number];

const ARTIFACTS: Record<Step, string> = {
  clock: "ProtocolClock.sol/ProtocolClock",
  token: "test/TestDollar.sol/TestDollar",
  registry: "Registry.sol/Registry",
  vault: "CreditVault.sol/CreditVault",
  stakeManager: "StakeManager.sol/StakeManager",
  settlement: "Settlement.sol/Settlement",
};

/**
 * Deploys all contracts from one account and returns where they are. The contracts check their wiring in their
 * constructors, so a half-done or disturbed deployment reverts, and nothing is returned to be written down.
 */
export async function deployAll(parameters: DeployParameters): Promise<Deployment> {
  const { rpcUrl, wallet, profile } = parameters;
  if (!parameters.token && profile !== "local")
    throw new RangeError("A deployment of profile main needs the address of its token.");
  const reader = createPublicClient({ chain: wallet.chain, transport: http(rpcUrl), pollingInterval: 100 });
  const from = wallet.account.address;
  const first = await reader.getTransactionCount({ address: from });
  const steps = STEPS.filter((step) => step !== "token" || !parameters.token);
  const predicted = (step: Step) => getContractAddress({ from, nonce: BigInt(first + steps.indexOf(step)) });
  const contracts = {
    clock: predicted("clock"),
    token: parameters.token ?? predicted("token"),
    registry: predicted("registry"),
    vault: predicted("vault"),
    stakeManager: predicted("stakeManager"),
    settlement: predicted("settlement"),
  };
  const genesis = await reader.getBlock({ blockNumber: 0n });
  let deployedAtBlock = 0;
  for (const step of steps) {
    const { abi, bytecode } = readArtifact(ARTIFACTS[step]);
    const hash = await wallet.deployContract({
      abi,
      bytecode,
      args: argumentsOf(step, contracts, parameters),
    });
    const receipt = await reader.waitForTransactionReceipt({ hash });
    if (
      receipt.status !== "success" ||
      receipt.contractAddress?.toLowerCase() !== contracts[step].toLowerCase()
    )
      throw new Error(
        `Deploying ${step} failed in transaction ${hash}: the deployment is not usable, start again.`,
      );
    if (deployedAtBlock === 0) deployedAtBlock = Number(receipt.blockNumber);
  }
  return { chainId: wallet.chain.id, genesisHash: genesis.hash, deployedAtBlock, profile, contracts };
}

function argumentsOf(
  step: Step,
  at: Deployment["contracts"],
  parameters: DeployParameters,
): readonly unknown[] {
  const windows = PROFILES[parameters.profile];
  switch (step) {
    case "clock":
    case "token":
      return [];
    case "registry":
      return [at.clock, windows];
    case "vault":
      return [at.clock, at.token, [at.stakeManager, at.settlement]];
    case "stakeManager":
      return [
        at.clock,
        windows,
        at.vault,
        at.registry,
        at.settlement,
        parameters.minRelayStake,
        parameters.minProviderStake,
      ];
    case "settlement":
      return [
        at.clock,
        windows,
        at.vault,
        at.registry,
        at.stakeManager,
        parameters.treasury,
        parameters.protocolFeeBps,
      ];
  }
}

function readArtifact(name: string): { abi: Abi; bytecode: Hex } {
  const url = new URL(`../artifacts/contracts/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as { abi: Abi; bytecode: Hex };
}
