import { fundReserve } from "@aimo/protocol/actions/reserves";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { mined, type Network } from "./register.ts";
import { deposit, localWallet } from "./wallets.ts";

/** What a local relay sets aside for each provider. A provider lends 0.50 USD without, which a few pictures use up. */
export const RESERVE = 5n * PUSD_PER_USD;

type Owned = { readonly id: number; readonly ownerIndex: number };

/** Deposits for the relay's owner and sets `RESERVE` aside for each provider, so that it serves between two posts. */
export async function fundReserves(
  network: Network,
  relay: Owned,
  providers: readonly Pick<Owned, "id">[],
): Promise<void> {
  const { rpcUrl, deployment } = network;
  const owner = localWallet(rpcUrl, relay.ownerIndex);
  await deposit(rpcUrl, deployment, owner, RESERVE * BigInt(providers.length));
  for (const { id: providerId } of providers) {
    const pair = { deployment, relayId: relay.id, providerId };
    await mined(network, fundReserve(owner, { ...pair, amount: RESERVE }));
  }
}
