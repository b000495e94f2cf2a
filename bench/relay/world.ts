import type { Deployment } from "@aimo/protocol/deployment";
import type { Hex } from "viem";

/** Who a provider is on the chain, and the key that it signs with. */
export type ProviderIdentity = { readonly providerId: number; readonly providerKey: Hex };

/** What the processes of the bench tell each other through a file: the chain, and who is who on it. */
export type World = ProviderIdentity & {
  readonly rpcUrl: string;
  readonly deployment: Deployment;
  readonly deploymentFile: string;
  readonly relayId: number;
  readonly relayConfig: string;
  readonly relaySigner: Hex;
  readonly modelId: number;
  /** Account of the local mnemonic with a METERED channel to the relay. */
  readonly user: number;
  /** Another, whose channel is SIGNED by that key. */
  readonly signedUser: number;
  readonly sessionKey: Hex;
};

export const WORLD_FILE = "world.json";
/** pUSD per token: prompt, cached prompt, completion. */
export const PRICES = [200_000n, 100_000n, 600_000n] as const;
/** Of the relay on top, basis points. */
export const FEE_BPS = 500;
