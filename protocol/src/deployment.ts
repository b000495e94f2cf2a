import type { Address, Hex } from "viem";

/** Where a deployment lives. Written by the deployment script per chain id; JSON. */
export type Deployment = {
  readonly chainId: number;
  readonly genesisHash: Hex;
  readonly deployedAtBlock: number;
  readonly profile: "main" | "local";
  readonly contracts: {
    readonly accessManager: Address;
    readonly clock: Address;
    readonly token: Address;
    readonly registry: Address;
    readonly vault: Address;
    readonly stakeManager: Address;
    readonly settlement: Address;
    readonly reserves: Address;
    readonly fraudProofs: Address;
    readonly depositRouter: Address;
    readonly lens: Address;
  };
};

export const ROLES = { relay: 1, provider: 2 } as const;
export const CHANNEL_MODES = { metered: 0, signed: 1 } as const;

/** Version of the wire protocol: in the gossip topic, the session and `/.well-known/aimo`. */
export const PROTOCOL_VERSION = 1;
