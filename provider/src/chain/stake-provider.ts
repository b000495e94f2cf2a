import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { encodeFunctionData } from "viem";
import { askChain, type ChainReader, type ChainSender } from "./sender.ts";

export type StakeProviderParameters = {
  readonly providerId: number;
  /** pUSD of the sender's free credits. */
  readonly amount: bigint;
};

/** Stakes free credits of the sender, who must own the provider. Throws `transaction_failed`. */
export async function stakeProvider(
  { deployment, transactions }: ChainSender,
  { providerId, amount }: StakeProviderParameters,
): Promise<void> {
  const data = encodeFunctionData({
    abi: stakeManagerAbi,
    functionName: "bond",
    args: [ROLES.provider, providerId, amount],
  });
  await transactions.send({
    to: deployment.contracts.stakeManager,
    data,
    label: `stake of provider ${providerId}`,
  });
}

export type Stake = { readonly active: bigint; readonly minimum: bigint; readonly isActive: boolean };

/** A provider's stake, the minimum (pUSD), and whether it may serve. */
export async function readStake(client: ChainReader, providerId: number): Promise<Stake> {
  const { public: reader, readAt: blockTag, deployment } = client;
  const contract = { address: deployment.contracts.stakeManager, abi: stakeManagerAbi, blockTag } as const;
  const args = [ROLES.provider, providerId] as const;
  const [bond, minimum, isActive] = await askChain(() =>
    Promise.all([
      reader.readContract({ ...contract, functionName: "bondOf", args }),
      reader.readContract({ ...contract, functionName: "MIN_PROVIDER_STAKE" }),
      reader.readContract({ ...contract, functionName: "isActive", args }),
    ]),
  );
  return { active: bond.active, minimum, isActive };
}
