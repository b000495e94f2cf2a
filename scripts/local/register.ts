import { registryAbi } from "@aimo/protocol/abi/registry";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { type Deployment, ROLES } from "@aimo/protocol/deployment";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { type Price, packKinds } from "@aimo/protocol/units";
import type { Address, Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { type LocalWallet, localReader, write } from "./wallets.ts";

export type Network = { readonly rpcUrl: string; readonly deployment: Deployment };

const NO_METADATA: Hex = `0x${"00".repeat(32)}`;
const PROOF_SECONDS = 600;

/** A signer's proof that it has its key: binds it to the owner who registers it. */
async function signerProof(network: Network, owner: Address, signerKey: Hex, role: number) {
  const { chainId, contracts } = network.deployment;
  const signer = privateKeyToAccount(signerKey);
  const deadline = Math.floor(Date.now() / 1000) + PROOF_SECONDS;
  const signature = await signer.signTypedData({
    domain: domainOf({ chainId, verifyingContract: contracts.registry }),
    types: TYPES,
    primaryType: "SignerProof",
    message: { owner, role, deadline },
  });
  return { signer: signer.address, deadline, signature };
}

/** Registers the wallet as owner of a relay whose node signs with `signerKey`, and bonds `bond` pUSD. Returns its id. */
export async function registerRelay(
  network: Network,
  owner: LocalWallet,
  options: { signerKey: Hex; feeBps: number; bond: bigint },
): Promise<number> {
  const { registry } = network.deployment.contracts;
  const proof = await signerProof(network, owner.account.address, options.signerKey, ROLES.relay);
  await write(network.rpcUrl, owner, {
    address: registry,
    abi: registryAbi,
    functionName: "registerRelay",
    args: [proof.signer, options.feeBps, NO_METADATA, proof.deadline, proof.signature],
  });
  const id = await localReader(network.rpcUrl).readContract({
    address: registry,
    abi: registryAbi,
    functionName: "relayIdBySigner",
    args: [proof.signer],
  });
  await bond(network, owner, ROLES.relay, id, options.bond);
  return id;
}

/** Registers the wallet as owner of a provider and stakes `stake` pUSD. Returns its id. */
export async function registerProvider(
  network: Network,
  owner: LocalWallet,
  options: { signerKey: Hex; stake: bigint },
): Promise<number> {
  const { registry } = network.deployment.contracts;
  const proof = await signerProof(network, owner.account.address, options.signerKey, ROLES.provider);
  await write(network.rpcUrl, owner, {
    address: registry,
    abi: registryAbi,
    functionName: "registerProvider",
    args: [proof.signer, NO_METADATA, proof.deadline, proof.signature],
  });
  const id = await localReader(network.rpcUrl).readContract({
    address: registry,
    abi: registryAbi,
    functionName: "providerIdBySigner",
    args: [proof.signer],
  });
  await bond(network, owner, ROLES.provider, id, options.stake);
  return id;
}

async function bond(
  network: Network,
  owner: LocalWallet,
  role: number,
  id: number,
  amount: bigint,
): Promise<void> {
  await write(network.rpcUrl, owner, {
    address: network.deployment.contracts.stakeManager,
    abi: stakeManagerAbi,
    functionName: "bond",
    args: [role, id, amount],
  });
}

/** Id of a model, registered if it is not yet. */
export async function registerModel(network: Network, wallet: LocalWallet, slug: string): Promise<number> {
  const { registry } = network.deployment.contracts;
  const read = () =>
    localReader(network.rpcUrl).readContract({
      address: registry,
      abi: registryAbi,
      functionName: "modelIdOf",
      args: [slug],
    });
  const known = await read();
  if (known !== 0) return known;
  await write(network.rpcUrl, wallet, {
    address: registry,
    abi: registryAbi,
    functionName: "registerModel",
    args: [slug],
  });
  return read();
}

export async function setPrice(
  network: Network,
  owner: LocalWallet,
  options: { readonly providerId: number; readonly modelId: number } & Omit<Price, "version">,
): Promise<void> {
  await write(network.rpcUrl, owner, {
    address: network.deployment.contracts.registry,
    abi: registryAbi,
    functionName: "setPrice",
    args: [options.providerId, options.modelId, ...options.prices, packKinds(options.kinds)],
  });
}

/** Opens a METERED channel of `amount` pUSD for `days` days. */
export async function openChannel(
  network: Network,
  user: LocalWallet,
  options: { relayId: number; amount: bigint; days: number },
): Promise<void> {
  const expiry = Math.floor(Date.now() / 1000) + options.days * 86_400;
  await write(network.rpcUrl, user, {
    address: network.deployment.contracts.settlement,
    abi: settlementAbi,
    functionName: "openChannel",
    args: [options.relayId, options.amount, expiry, 0, `0x${"00".repeat(20)}`],
  });
}
