import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { accountOf, moduleOf, userCount } from "@aimo/protocol/actions/credit-vault";
import { reserveOf } from "@aimo/protocol/actions/reserves";
import * as settlement from "@aimo/protocol/actions/settlement";
import { bondOf, burned } from "@aimo/protocol/actions/stake-manager";
import { balanceOf } from "@aimo/protocol/actions/test-dollar";
import { ROLES } from "@aimo/protocol/deployment";
import { fromTokenUnits } from "@aimo/protocol/units";
import type { Address } from "viem";
import { localReader } from "../local/wallets.ts";
import type { LocalNetwork } from "../local-network.ts";

/** What the chain says after everything was settled. All pUSD. */
export type Sums = {
  /** Debits of users, over all batches. */
  readonly settled: bigint;
  /** Credits of providers, over all batches. */
  readonly providers: bigint;
  /** What relays keep: claimable now or later. */
  readonly relayFees: bigint;
  readonly protocolFees: bigint;
  readonly batches: number;
  readonly skippedRows: number;
};

/** Adds up every batch of the network's relays from their events, and the relays' accounts from storage. */
export async function readSums(network: LocalNetwork): Promise<Sums> {
  const reader = localReader(network.rpcUrl);
  const { deployment } = network;
  const range = {
    address: deployment.contracts.settlement,
    abi: settlementAbi,
    fromBlock: 0n,
    strict: true,
  } as const;
  const posted = await reader.getContractEvents({ ...range, eventName: "Posted" });
  const skipped = await reader.getContractEvents({ ...range, eventName: "RowSkipped" });
  const total = (amounts: readonly bigint[]) => amounts.reduce((sum, amount) => sum + amount, 0n);
  const accounts = await Promise.all(
    network.relays.map(({ id }) => settlement.relayAccountOf(reader, { deployment, relayId: id })),
  );
  return {
    settled: total(posted.map(({ args }) => args.debitA + args.debitB)),
    providers: total(posted.map(({ args }) => args.credit)),
    relayFees: total(accounts.map((account) => account.earned + account.pendingCur + account.pendingPrev)),
    protocolFees: total(posted.map(({ args }) => args.protocolFee)),
    batches: posted.length,
    skippedRows: skipped.length,
  };
}

export type VaultCheck = {
  readonly tokens: bigint;
  readonly free: bigint;
  readonly stakes: bigint;
  readonly books: bigint;
  readonly reserves: bigint;
  readonly ok: boolean;
};

/**
 * The vault's tokens against every balance: users' free credits, bonds and stakes, reserves, and the settlement's books
 * (channels, providers' and relays' accounts, floats, protocol fees) added up one by one. pUSD.
 */
export async function checkVault(network: LocalNetwork): Promise<VaultCheck> {
  const { deployment } = network;
  const {
    vault: account,
    settlement: booked,
    stakeManager: staked,
    reserves: reserved,
  } = deployment.contracts;
  const reader = localReader(network.rpcUrl);
  const tokens = fromTokenUnits(await balanceOf(reader, { deployment, account }));
  const [free, books, stakes, reserves] = await Promise.all([
    sumFree(network),
    sumBooks(network),
    sumStakes(network),
    sumReserves(network),
  ]);
  const locked = async (module: Address) => (await moduleOf(reader, { deployment, module })).balance;
  const inModules =
    (await locked(booked)) === books &&
    (await locked(staked)) === stakes &&
    (await locked(reserved)) === reserves;
  const ok = inModules && tokens === free + stakes + books + reserves;
  return { tokens, free, stakes, books, reserves, ok };
}

async function usersOf({ rpcUrl, deployment }: LocalNetwork): Promise<number[]> {
  const count = await userCount(localReader(rpcUrl), { deployment });
  return Array.from({ length: count }, (_, index) => index + 1);
}

async function sumFree(network: LocalNetwork): Promise<bigint> {
  const { deployment } = network;
  const reader = localReader(network.rpcUrl);
  let sum = 0n;
  for (const userId of await usersOf(network)) sum += (await accountOf(reader, { deployment, userId })).free;
  return sum;
}

async function sumBooks(network: LocalNetwork): Promise<bigint> {
  const { deployment } = network;
  const reader = localReader(network.rpcUrl);
  let sum = await settlement.protocolFees(reader, { deployment });
  for (const { id: relayId } of network.relays) {
    const account = await settlement.relayAccountOf(reader, { deployment, relayId });
    sum += account.earned + account.pendingCur + account.pendingPrev + account.float;
    for (const userId of await usersOf(network))
      sum += (await settlement.channelOf(reader, { deployment, relayId, userId })).available;
    for (const { id: providerId } of network.providers)
      sum += (await settlement.providerAccountOf(reader, { deployment, relayId, providerId })).claimable;
  }
  return sum;
}

async function sumStakes({ rpcUrl, deployment, relays, providers }: LocalNetwork): Promise<bigint> {
  const reader = localReader(rpcUrl);
  const nodes = [
    ...relays.map(({ id }) => ({ role: ROLES.relay, id })),
    ...providers.map(({ id }) => ({ role: ROLES.provider, id })),
  ];
  let sum = await burned(reader, { deployment });
  for (const node of nodes) {
    const bond = await bondOf(reader, { deployment, ...node });
    sum += bond.active + bond.unbonding;
  }
  return sum;
}

async function sumReserves({ rpcUrl, deployment, relays, providers }: LocalNetwork): Promise<bigint> {
  const reader = localReader(rpcUrl);
  let sum = 0n;
  for (const { id: relayId } of relays)
    for (const { id: providerId } of providers)
      sum += (await reserveOf(reader, { deployment, relayId, providerId })).amount;
  return sum;
}
