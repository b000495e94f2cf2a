import type { Chain } from "@aimo/node/chain";
import { readWindows } from "@aimo/node/chain";
import type { Database } from "@aimo/node/data-dir";
import { recoverAddress } from "@aimo/node/fast-crypto";
import type { Log } from "@aimo/node/log";
import type { Transactions } from "@aimo/node/transactions";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { parseUsd } from "@aimo/protocol/units";
import { parseEther } from "viem";
import { createAccounts } from "./chain/accounts.ts";
import { createGasMeter, type GasRecord } from "./chain/gas-meter.ts";
import { createProviderRegistry } from "./chain/registry.ts";
import { createSettlementChain } from "./chain/settlement.ts";
import { watchChannels } from "./chain/watch.ts";
import type { RelayConfig } from "./config.ts";
import { createBilling } from "./flow/billing.ts";
import type {
  Accounts,
  Billing,
  Bills,
  Idempotency,
  Ledger,
  ProviderRegistry,
  Settling,
} from "./flow/ports.ts";
import { startSettling } from "./flow/settling.ts";
import { createBills } from "./store/bills.ts";
import { Books } from "./store/books.ts";
import { IdempotentReplies } from "./store/idempotency.ts";
import { Journal } from "./store/journal.ts";
import { LevelLedger } from "./store/ledger.ts";
import { createBillingStore, createSettlingStore } from "./store/money.ts";

export type MoneyParameters = {
  readonly config: Pick<RelayConfig, "settling">;
  readonly chain: Chain;
  readonly transactions: Transactions;
  readonly db: Database;
  readonly relayId: number;
  readonly log: Log;
};

export type Money = {
  readonly ledger: Ledger;
  readonly idempotency: Idempotency;
  readonly billing: Billing;
  readonly settling: Settling;
  readonly bills: Bills;
  readonly accounts: Accounts;
  readonly registry: ProviderRegistry;
  close(): Promise<void>;
};

/** How often late groups are given up, and expired replies removed. */
const EXPIRE_MS = 500;
const SWEEP_MS = 3_600_000;
const WATCH_MS = { main: 4_000, local: 500 } as const;
const SETTLE_CHECK_MS = { main: 5_000, local: 250 } as const;

/** Opens the relay's books, brings them in step with the chain, and starts following and posting. */
export async function openMoney(parameters: MoneyParameters): Promise<Money> {
  const { chain, transactions, db, relayId, log, config } = parameters;
  const { chainId, contracts, profile } = chain.deployment;
  const separator = domainSeparator({ chainId, verifyingContract: contracts.settlement });
  const protocolNow = () => chain.time.now();
  const windows = await readWindows(chain);
  const journal = new Journal(db);
  const ledger = await LevelLedger.open({ journal, now: Date.now, protocolNow });
  const books = await Books.open(journal);
  const parts = { journal, ledger, books, now: Date.now, finality: 2 * windows.epoch };
  const registry = createProviderRegistry({ chain, protocolNow, now: () => performance.now(), log });
  const accounts = createAccounts({
    chain,
    transactions,
    relayId,
    onChannel: (channel) => ledger.setChannel(channel),
    gas: await openGasMeter(parameters, journal),
  });
  const watcher = await watchChannels({
    chain,
    relayId,
    refreshChannel: (id) => accounts.refreshChannel(id),
    intervalMs: WATCH_MS[profile],
    log,
  });
  for (const userId of await ledger.openUsers()) await accounts.refreshChannel(userId);
  const reconciled = await ledger.reconcile();
  if (reconciled.freed > 0 || reconciled.waiting > 0)
    log.info(reconciled, "Requests from before the restart were brought to an end.");
  const billing = createBilling({
    ...{ relayId, separator, protocolNow, log },
    store: createBillingStore(parts),
    recover: recoverAddress,
    priceOf: (providerId, modelId, version) => registry.priceOf(providerId, modelId, version),
  });
  const settling = startSettling({
    ...{ protocolNow, now: Date.now, log, intervalMs: SETTLE_CHECK_MS[profile] },
    ...{ postWindow: windows.post, epoch: windows.epoch },
    chain: createSettlementChain({ chain, transactions, relayId }),
    store: createSettlingStore(parts),
    refreshChannel: (id) => accounts.refreshChannel(id),
    due: () => dueOf({ config, books, ledger, protocolNow, postWindow: windows.post }),
  });
  const idempotency = new IdempotentReplies(journal, Date.now);
  const timers = [
    setInterval(() => ledger.expire(), EXPIRE_MS),
    setInterval(() => {
      idempotency
        .sweep()
        .catch((error: unknown) => log.warn({ err: error }, "Expired replies could not be removed."));
    }, SWEEP_MS).unref(),
  ];
  return {
    ...{ ledger, idempotency, billing, settling, accounts, registry },
    bills: createBills({ journal, ledger, relayId, separator }),
    close: async () => {
      for (const timer of timers) clearInterval(timer);
      watcher.stop();
      await settling.close();
      await journal.close();
    },
  };
}

async function openGasMeter({ config }: MoneyParameters, journal: Journal) {
  return createGasMeter({
    limit: parseEther(config.settling.strangerGasEth),
    stored: await journal.get<GasRecord>("chain", "gas"),
    save: (record) => journal.put("chain", "gas", record),
    now: Date.now,
  });
}

type DueParts = {
  readonly config: Pick<RelayConfig, "settling">;
  readonly books: Books;
  readonly ledger: LevelLedger;
  readonly protocolNow: () => number;
  readonly postWindow: number;
};

/** The policy's view of the books. By default a receipt waits for a tenth of the time in which it can be posted. */
function dueOf({ config, books, ledger, protocolNow, postWindow }: DueParts) {
  const { amountUsd, channelPercent, maxAgeMs } = config.settling;
  const byUser = new Map<number, bigint>();
  let unsettled = 0n;
  let oldest: number | undefined;
  for (const { leaf, billedAt } of books.unposted()) {
    unsettled += leaf.charge;
    byUser.set(leaf.userId, (byUser.get(leaf.userId) ?? 0n) + leaf.charge);
    if (oldest === undefined || billedAt < oldest) oldest = billedAt;
  }
  const channels = [...byUser].flatMap(([userId, own]) => {
    const channel = ledger.channelOf(userId);
    return channel ? [{ channel, unsettled: own }] : [];
  });
  const maxAge = maxAgeMs === 0 ? postWindow * 100 : maxAgeMs;
  const limits = {
    amount: parseUsd(amountUsd),
    channelPercent,
    maxAgeMs: maxAge,
    settleByMargin: Math.floor(postWindow / 4),
  };
  return {
    unsettled,
    oldestMs: oldest === undefined ? undefined : Date.now() - oldest,
    channels,
    protocolNow: protocolNow(),
    limits,
  };
}
