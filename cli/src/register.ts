import { registerNode as register } from "@aimo/node/register";
import { providerIdOf, relayIdOf } from "@aimo/protocol/actions/registry";
import * as stakes from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import type { Hex } from "viem";
import { usd } from "./amounts.ts";
import { ensureCredits } from "./deposit.ts";
import type { Wallet } from "./wallet.ts";

export type Role = keyof typeof ROLES;

export type RegisterParameters = {
  readonly role: Role;
  /** The node's hot key. */
  readonly signerKey: Hex;
  /** Relays only. */
  readonly feeBps?: number;
};

/** Registers the wallet as owner of a node that signs with `signerKey`. Returns its id. */
export function registerNode(wallet: Wallet, parameters: RegisterParameters): Promise<number> {
  const { chain, account } = wallet;
  const { public: reader, deployment, time } = chain;
  const owner = { owner: account.address, now: time.now() };
  return register({ reader, sender: wallet, deployment }, { ...parameters, ...owner });
}

/** The newest id that the wallet owns in a role. Throws `not_registered`. */
export async function idOf({ chain, account }: Wallet, role: Role): Promise<number> {
  const { public: reader, deployment } = chain;
  const read = role === "relay" ? relayIdOf : providerIdOf;
  const id = await read(reader, { deployment, owner: account.address });
  if (id !== 0) return id;
  throw new AimoError("not_registered", {
    message: `${account.address} owns no ${role}.`,
    hint: `Run \`aimo ${role} register\`, or use the wallet that owns the ${role}.`,
  });
}

export type Bond = { readonly id: number; readonly active: bigint; readonly minimum: bigint };

/** Adds `amount` pUSD to what backs the wallet's node, depositing what its credits lack. */
export async function bondNode(wallet: Wallet, role: Role, amount: bigint): Promise<Bond> {
  const id = await idOf(wallet, role);
  await ensureCredits(wallet, amount);
  const { public: reader, deployment } = wallet.chain;
  const node = { deployment, role: ROLES[role], id };
  const label = `${role === "relay" ? "Bond" : "Stake"} of ${usd(amount)} for ${role} ${id}`;
  await stakes.bond(wallet, { ...node, amount, label });
  const minimumOf = role === "relay" ? stakes.MIN_RELAY_STAKE : stakes.MIN_PROVIDER_STAKE;
  const [bond, minimum] = await Promise.all([stakes.bondOf(reader, node), minimumOf(reader, { deployment })]);
  return { id, active: bond.active, minimum };
}
