import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
import { ROLES } from "@aimo/protocol/deployment";
import { fromTokenUnits } from "@aimo/protocol/units";
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
  const reader = localReader(network.rpcUrl);
  const { vault, token, settlement, stakeManager } = network.deployment.contracts;
  const tokens = fromTokenUnits(
    await reader.readContract({
      address: token,
      abi: testDollarAbi,
      functionName: "balanceOf",
      args: [vault],
    }),
  );
  const userCount = await reader.readContract({
    address: vault,
    abi: creditVaultAbi,
    functionName: "userCount",
  });
  const users = Array.from({ length: userCount }, (_, index) => index + 1);
  let free = 0n;
  let books = await reader.readContract({
    address: settlement,
    abi: settlementAbi,
    functionName: "protocolFees",
  });
  for (const userId of users) {
    free += (
      await reader.readContract({
        address: vault,
        abi: creditVaultAbi,
        functionName: "accountOf",
        args: [userId],
      })
    ).free;
    for (const { id } of network.relays)
      books += (
        await reader.readContract({
          address: settlement,
          abi: settlementAbi,
          functionName: "channelOf",
          args: [id, userId],
        })
      ).available;
  }
  let stakes = 0n;
  const bondOf = async (role: number, id: number) => {
    const bond = await reader.readContract({
      address: stakeManager,
      abi: stakeManagerAbi,
      functionName: "bondOf",
      args: [role, id],
    });
    return bond.active + bond.unbonding;
  };
  for (const { id } of network.relays) {
    stakes += await bondOf(ROLES.relay, id);
    const account = await reader.readContract({
      address: settlement,
      abi: settlementAbi,
      functionName: "relayAccountOf",
      args: [id],
    });
    books += account.earned + account.pendingCur + account.pendingPrev + account.float;
    for (const provider of network.providers)
      books += (
        await reader.readContract({
          address: settlement,
          abi: settlementAbi,
          functionName: "providerAccountOf",
          args: [id, provider.id],
        })
      ).claimable;
  }
  for (const { id } of network.providers) stakes += await bondOf(ROLES.provider, id);
  const locked = async (module: `0x${string}`) =>
    (
      await reader.readContract({
        address: vault,
        abi: creditVaultAbi,
        functionName: "moduleOf",
        args: [module],
      })
    ).balance;
  const ok =
    tokens === free + stakes + books &&
    (await locked(settlement)) === books &&
    (await locked(stakeManager)) === stakes;
  return { tokens, free, stakes, books, ok };
}
