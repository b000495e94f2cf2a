import type { Address, Hex } from "viem";

/** What a deployment is made of, in the order in which it is deployed: some contracts are told the addresses of later ones. */
export const CONTRACT_NAMES = [
  "accessManager",
  "clock",
  "token",
  "registry",
  "vault",
  "stakeManager",
  "settlement",
  "reserves",
  "fraudProofs",
  "depositRouter",
  "lens",
] as const;
export type ContractName = (typeof CONTRACT_NAMES)[number];

/** Where a deployment lives. Written by the deployment script per chain id; JSON. */
export type Deployment = {
  readonly chainId: number;
  readonly genesisHash: Hex;
  readonly deployedAtBlock: number;
  readonly profile: "main" | "local";
  readonly contracts: { readonly [name in ContractName]: Address };
};

export const ROLES = { relay: 1, provider: 2 } as const;
export const CHANNEL_MODES = { metered: 0, signed: 1 } as const;

/** Version of the wire protocol: in the gossip topic, the session and `/.well-known/aimo`. */
export const PROTOCOL_VERSION = 2;
