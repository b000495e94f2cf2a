import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
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
  const { settlement } = network.deployment.contracts;
  const range = { address: settlement, abi: settlementAbi, fromBlock: 0n, strict: true } as const;
  const posted = await reader.getContractEvents({ ...range, eventName: "Posted" });
  const skipped = await reader.getContractEvents({ ...range, eventName: "RowSkipped" });
  const total = (amounts: readonly bigint[]) => amounts.reduce((sum, amount) => sum + amount, 0n);
  const accounts = await Promise.all(
    network.relays.map(({ id }) =>
      reader.readContract({
        address: settlement,
        abi: settlementAbi,
        functionName: "relayAccountOf",
        args: [id],
      }),
    ),
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
  readonly ok: boolean;
};

/**
 * The vault's tokens against every balance: users' free credits, bonds and stakes, and the settlement's books (channels,
 * providers' and relays' accounts, floats, protocol fees) added up one by one. pUSD.
 */
export async function checkVault(network: LocalNetwork): Promise<VaultCheck> {
  const { reader, vault, token, settlement, stakeManager } = contractsOf(network);
  const tokens = fromTokenUnits(
    await reader.readContract({ ...token, functionName: "balanceOf", args: [vault.address] }),
  );
  const [free, books, stakes] = await Promise.all([sumFree(network), sumBooks(network), sumStakes(network)]);
  const locked = async (module: Address) =>
    (await reader.readContract({ ...vault, functionName: "moduleOf", args: [module] })).balance;
  const inModules =
    (await locked(settlement.address)) === books && (await locked(stakeManager.address)) === stakes;
  return { tokens, free, stakes, books, ok: inModules && tokens === free + stakes + books };
}

function contractsOf({ rpcUrl, deployment }: LocalNetwork) {
  const { vault, token, settlement, stakeManager } = deployment.contracts;
  return {
    reader: localReader(rpcUrl),
    vault: { address: vault, abi: creditVaultAbi },
    token: { address: token, abi: testDollarAbi },
    settlement: { address: settlement, abi: settlementAbi },
    stakeManager: { address: stakeManager, abi: stakeManagerAbi },
  } as const;
}

async function usersOf(network: LocalNetwork): Promise<number[]> {
  const { reader, vault } = contractsOf(network);
  const count = await reader.readContract({ ...vault, functionName: "userCount" });
  return Array.from({ length: count }, (_, index) => index + 1);
}

async function sumFree(network: LocalNetwork): Promise<bigint> {
  const { reader, vault } = contractsOf(network);
  let sum = 0n;
  for (const userId of await usersOf(network))
    sum += (await reader.readContract({ ...vault, functionName: "accountOf", args: [userId] })).free;
  return sum;
}

async function sumBooks(network: LocalNetwork): Promise<bigint> {
  const { reader, settlement } = contractsOf(network);
  let sum = await reader.readContract({ ...settlement, functionName: "protocolFees" });
  for (const { id } of network.relays) {
    const account = await reader.readContract({ ...settlement, functionName: "relayAccountOf", args: [id] });
    sum += account.earned + account.pendingCur + account.pendingPrev + account.float;
    for (const userId of await usersOf(network))
      sum += (await reader.readContract({ ...settlement, functionName: "channelOf", args: [id, userId] }))
        .available;
    for (const provider of network.providers)
      sum += (
        await reader.readContract({
          ...settlement,
          functionName: "providerAccountOf",
          args: [id, provider.id],
        })
      ).claimable;
  }
  return sum;
}

async function sumStakes(network: LocalNetwork): Promise<bigint> {
  const { reader, stakeManager } = contractsOf(network);
  const nodes = [
    ...network.relays.map(({ id }) => [ROLES.relay, id] as const),
    ...network.providers.map(({ id }) => [ROLES.provider, id] as const),
  ];
  let sum = 0n;
  for (const args of nodes) {
    const bond = await reader.readContract({ ...stakeManager, functionName: "bondOf", args });
    sum += bond.active + bond.unbonding;
  }
  return sum;
}
