import { bondOf, isActive, MIN_PROVIDER_STAKE } from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import type { ChainReader } from "./sender.ts";

export type Stake = { readonly active: bigint; readonly minimum: bigint; readonly isActive: boolean };

/** A provider's stake, the minimum (pUSD), and whether it may serve. */
export async function readStake(client: ChainReader, providerId: number): Promise<Stake> {
  const { public: reader, readAt: blockTag, deployment } = client;
  const provider = { deployment, role: ROLES.provider, id: providerId, blockTag };
  const [bond, minimum, active] = await Promise.all([
    bondOf(reader, provider),
    MIN_PROVIDER_STAKE(reader, { deployment, blockTag }),
    isActive(reader, provider),
  ]);
  return { active: bond.active, minimum, isActive: active };
}
