import { ensureModel, registerNode } from "@aimo/node/register";
import { waitForReceipt } from "@aimo/protocol/action";
import * as registry from "@aimo/protocol/actions/registry";
import * as settlement from "@aimo/protocol/actions/settlement";
import * as stakes from "@aimo/protocol/actions/stake-manager";
import { CHANNEL_MODES, type Deployment, ROLES } from "@aimo/protocol/deployment";
import { type Price, packKinds } from "@aimo/protocol/units";
import { type Address, type Hash, type Hex, zeroAddress } from "viem";
import { type LocalWallet, localReader } from "./wallets.ts";

export type Network = { readonly rpcUrl: string; readonly deployment: Deployment };

type Role = keyof typeof ROLES;

/** Registers the wallet as owner of a relay whose node signs with `signerKey`, and bonds `bond` pUSD. Returns its id. */
export async function registerRelay(
  network: Network,
  owner: LocalWallet,
  options: { readonly signerKey: Hex; readonly feeBps: number; readonly bond: bigint },
): Promise<number> {
  const { signerKey, feeBps, bond: amount } = options;
  return register(network, owner, { role: "relay", signerKey, feeBps, amount });
}

/** Registers the wallet as owner of a provider and stakes `stake` pUSD. Returns its id. */
export async function registerProvider(
  network: Network,
  owner: LocalWallet,
  { signerKey, stake: amount }: { readonly signerKey: Hex; readonly stake: bigint },
): Promise<number> {
  return register(network, owner, { role: "provider", signerKey, amount });
}

async function register(
  network: Network,
  owner: LocalWallet,
  options: {
    readonly role: Role;
    readonly signerKey: Hex;
    readonly feeBps?: number;
    readonly amount: bigint;
  },
): Promise<number> {
  const { amount, ...node } = options;
  const now = Math.floor(Date.now() / 1000);
  const id = await registerNode(registrarOf(network, owner), { ...node, owner: owner.account.address, now });
  const { deployment } = network;
  await mined(network, stakes.bond(owner, { deployment, role: ROLES[node.role], id, amount }));
  return id;
}

/** Id of a model, registered if it is not yet. */
export function registerModel(network: Network, wallet: LocalWallet, slug: string): Promise<number> {
  return ensureModel(registrarOf(network, wallet), slug);
}

export async function setPrice(
  network: Network,
  owner: LocalWallet,
  options: { readonly providerId: number; readonly modelId: number } & Omit<Price, "version">,
): Promise<void> {
  const { providerId, modelId, prices, kinds } = options;
  const [p0, p1, p2] = prices;
  const { deployment } = network;
  const parameters = { deployment, providerId, modelId, p0, p1, p2, kinds: packKinds(kinds) };
  await mined(network, registry.setPrice(owner, parameters));
}

export type LocalChannel = {
  readonly relayId: number;
  readonly amount: bigint;
  readonly days: number;
  /** Signs the vouchers of a SIGNED channel. */
  readonly sessionKey?: Address;
};

/** Opens a channel of `amount` pUSD for `days` days: METERED, unless a session key is named. */
export async function openChannel(
  network: Network,
  user: LocalWallet,
  { relayId, amount, days, sessionKey }: LocalChannel,
): Promise<void> {
  const expiry = Math.floor(Date.now() / 1000) + days * 86_400;
  const { deployment } = network;
  const mode = sessionKey === undefined ? CHANNEL_MODES.metered : CHANNEL_MODES.signed;
  const terms = { mode, sessionKey: sessionKey ?? zeroAddress };
  await mined(network, settlement.openChannel(user, { deployment, relayId, amount, expiry, ...terms }));
}

const registrarOf = ({ rpcUrl, deployment }: Network, sender: LocalWallet) => ({
  reader: localReader(rpcUrl),
  sender,
  deployment,
});

/** Waits until a transaction is mined. */
export async function mined({ rpcUrl }: Network, sent: Promise<Hash>): Promise<void> {
  await waitForReceipt(localReader(rpcUrl), { hash: await sent });
}
