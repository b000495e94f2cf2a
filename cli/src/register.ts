import { registryAbi } from "@aimo/protocol/abi/registry";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { type Hex, zeroHash } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { usd } from "./amounts.ts";
import { ensureCredits } from "./deposit.ts";
import { ask } from "./read.ts";
import type { Wallet } from "./wallet.ts";

export type Role = keyof typeof ROLES;

/** A proof is used at once; this covers a slow block. */
const PROOF_SECONDS = 900;

export type RegisterParameters = {
  readonly role: Role;
  /** The node's hot key. */
  readonly signerKey: Hex;
  /** Relays only. */
  readonly feeBps?: number;
};

/** Registers the wallet as owner of a node that signs with `signerKey`. Returns its id. */
export async function registerNode(
  wallet: Wallet,
  { role, signerKey, feeBps = 0 }: RegisterParameters,
): Promise<number> {
  const { chain, account } = wallet;
  const { registry } = chain.deployment.contracts;
  const signer = privateKeyToAccount(signerKey);
  const deadline = chain.time.now() + PROOF_SECONDS;
  const proof = await signer.signTypedData({
    domain: domainOf({ chainId: chain.deployment.chainId, verifyingContract: registry }),
    types: TYPES,
    primaryType: "SignerProof",
    message: { owner: account.address, role: ROLES[role], deadline },
  });
  const isRelay = role === "relay";
  await wallet.send({
    to: registry,
    abi: registryAbi,
    functionName: isRelay ? "registerRelay" : "registerProvider",
    args: [signer.address, ...(isRelay ? [feeBps] : []), zeroHash, deadline, proof],
    label: `Registration of the ${role} with signer ${signer.address}`,
  });
  return idOf(wallet, role);
}

/** The newest id that the wallet owns in a role. Throws `not_registered`. */
export async function idOf({ chain, account }: Wallet, role: Role): Promise<number> {
  const functionName = role === "relay" ? "relayIdOf" : "providerIdOf";
  const address = chain.deployment.contracts.registry;
  const args = [account.address] as const;
  const id = await ask(() => chain.public.readContract({ address, abi: registryAbi, functionName, args }));
  if (id !== 0) return id;
  throw new AimoError("not_registered", { message: `${account.address} owns no ${role}.` });
}

export type Bond = { readonly id: number; readonly active: bigint; readonly minimum: bigint };

/** Adds `amount` pUSD to what backs the wallet's node, depositing what its credits lack. */
export async function bondNode(wallet: Wallet, role: Role, amount: bigint): Promise<Bond> {
  const id = await idOf(wallet, role);
  await ensureCredits(wallet, amount);
  await wallet.send({
    to: wallet.chain.deployment.contracts.stakeManager,
    abi: stakeManagerAbi,
    functionName: "bond",
    args: [ROLES[role], id, amount],
    label: `${role === "relay" ? "Bond" : "Stake"} of ${usd(amount)} for ${role} ${id}`,
  });
  return readBond(wallet, role, id);
}

async function readBond({ chain }: Wallet, role: Role, id: number): Promise<Bond> {
  const contract = { address: chain.deployment.contracts.stakeManager, abi: stakeManagerAbi } as const;
  const [bond, minimum] = await ask(() =>
    Promise.all([
      chain.public.readContract({ ...contract, functionName: "bondOf", args: [ROLES[role], id] }),
      chain.public.readContract({
        ...contract,
        functionName: role === "relay" ? "MIN_RELAY_STAKE" : "MIN_PROVIDER_STAKE",
      }),
    ]),
  );
  return { id, active: bond.active, minimum };
}
