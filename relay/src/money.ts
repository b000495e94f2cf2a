import type { Chain } from "@aimo/node/chain";
import { readWindows } from "@aimo/node/chain";
import type { Database } from "@aimo/node/data-dir";
import { recoverAddress } from "@aimo/node/fast-crypto";
import type { Log } from "@aimo/node/log";
import { readClock } from "@aimo/node/protocol-time";
import type { Transactions } from "@aimo/node/transactions";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { parseUsd } from "@aimo/protocol/units";
import { type Address, type Hex, parseEther } from "viem";
import { createAccounts } from "./chain/accounts.ts";
import { openCovers } from "./chain/covers.ts";
import { createDemandChain, watchDemands } from "./chain/demands.ts";
import { createGasMeter, type GasRecord } from "./chain/gas-meter.ts";
import { createJudge } from "./chain/judge.ts";
import { createProviderRegistry } from "./chain/registry.ts";
import { createSettlementChain } from "./chain/settlement.ts";
import { watchChannels } from "./chain/watch.ts";
import type { RelayConfig } from "./config.ts";
import type { DueParameters } from "./core/due.ts";
import { createAnswering } from "./flow/answering.ts";
import type { Jobs } from "./flow/batch-ports.ts";
import { createBilling } from "./flow/billing.ts";
import { ProviderCredit } from "./flow/credit.ts";
import { postMargin } from "./flow/next-batch.ts";
import type {
  Accounts,
  Billing,
  Bills,
  Idempotency,
  Ledger,
  ProviderCovers,
  ProviderRegistry,
  SettlementChain,
} from "./flow/ports.ts";
import { type Settling, startSettling } from "./flow/settling.ts";
import { createVoucherGate, type VoucherGate } from "./flow/vouchers.ts";
import { createBills } from "./store/bills.ts";
import { Books } from "./store/books.ts";
import { IdempotentReplies } from "./store/idempotency.ts";
import { JobStore } from "./store/jobs.ts";
import { Journal } from "./store/journal.ts";
import { LevelLedger } from "./store/ledger.ts";
import { createBillingStore, createSettlingStore } from "./store/money.ts";
import { UnpostedReceipts } from "./store/unposted.ts";

export type MoneyParameters = {
  readonly config: Pick<RelayConfig, "settling">;
  readonly chain: Chain;
  readonly transactions: Transactions;
  readonly db: Database;
  readonly relayId: number;
  /** The relay's key: signs what the relay owes. */
  readonly signer: { readonly address: Address; readonly sign: (digest: Uint8Array) => Hex };
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
  readonly covers: ProviderCovers;
  readonly credit: ProviderCredit;
  readonly vouchers: VoucherGate;
  readonly jobs: Jobs;
  close(): Promise<void>;
};

/** How often late groups are given up, and expired replies removed. */
const EXPIRE_MS = 500;
const SWEEP_MS = 3_600_000;
const WATCH_MS = { main: 4_000, local: 500 } as const;
const SETTLE_CHECK_MS = { main: 5_000, local: 250 } as const;

/** Opens the relay's books, brings them in step with the chain, and starts following and posting. */
export async function openMoney(parameters: MoneyParameters): Promise<Money> {
  const { chain, transactions, db, relayId, signer, log, config } = parameters;
  const { chainId, contracts, profile } = chain.deployment;
  const separator = domainSeparator({ chainId, verifyingContract: contracts.settlement });
  const protocolNow = () => chain.time.now();
  const windows = await readWindows(chain);
  const journal = new Journal(db);
  const settlementChain = createSettlementChain({ chain, transactions, relayId });
  const lostBefore = await findLoss(parameters, journal, settlementChain);
  const unposted = await UnpostedReceipts.open(journal);
  const ledger = await LevelLedger.open({ journal, unposted, now: Date.now, protocolNow, lostBefore });
  const books = await Books.open(journal, unposted);
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
  const covers = await openCovers({
    ...{ chain, relayId, log, intervalMs: WATCH_MS[profile] },
    onPaid: (providerId, paid) => books.setPosted(providerId, paid),
  });
  for (const providerId of books.creditors()) covers.watch(providerId);
  for (const userId of await ledger.openUsers()) await accounts.refreshChannel(userId);
  await reconcile(ledger, log);
  const billing = createBilling({
    ...{ relayId, separator, protocolNow, log },
    store: createBillingStore(parts),
    ...{ recover: recoverAddress, signer: signer.address, sign: signer.sign },
    judge: createJudge({ chain, relayId, postWindow: windows.post, now: () => performance.now() }),
    readPaid: (providerId) => covers.readPaid(providerId),
    // Twice the margin: what is billed must reach its batch before it is given up.
    oldestIssuedAt: () => protocolNow() - windows.post + 2 * postMargin(windows.post),
  });
  const bills = createBills({ journal, ledger, relayId, separator });
  const demands = await openDemands(parameters, { journal, bills, separator });
  const settling = startSettling({
    ...{ protocolNow, now: Date.now, log, intervalMs: SETTLE_CHECK_MS[profile] },
    ...{ postWindow: windows.post, epoch: windows.epoch },
    pausedUntil: () => chain.time.pausedUntil(),
    chain: settlementChain,
    store: createSettlingStore(parts),
    refreshChannel: (id) => accounts.refreshChannel(id),
    due: () => dueOf({ config, books, ledger, covers, protocolNow, postWindow: windows.post }),
  });
  const credit = new ProviderCredit({
    covers,
    owedTo: (providerId) => books.unpaidTo(providerId),
    unsignedOf: (providerId) => ledger.unsignedOf(providerId),
  });
  const idempotency = new IdempotentReplies(journal, Date.now);
  const jobs = await JobStore.open(journal);
  const stopSweeping = startSweeping(ledger, idempotency, log);
  return {
    ...{ ledger, idempotency, billing, settling, bills, accounts, registry, covers, credit, jobs },
    vouchers: createVoucherGate({ relayId, separator, recover: recoverAddress, book: ledger.vouchers }),
    close: async () => {
      stopSweeping();
      watcher.stop();
      covers.stop();
      await settling.close();
      await demands.stop();
      await journal.close();
    },
  };
}

/** Gives up late groups, and removes what expired; gives what stops it. */
function startSweeping(ledger: LevelLedger, idempotency: IdempotentReplies, log: Log): () => void {
  const sweep = () =>
    idempotency
      .sweep()
      .catch((error: unknown) => log.warn({ err: error }, "Expired replies were not removed."));
  const timers = [
    setInterval(() => ledger.expire(), EXPIRE_MS),
    setInterval(() => void sweep(), SWEEP_MS).unref(),
  ];
  return () => timers.forEach(clearInterval);
}

async function reconcile(ledger: LevelLedger, log: Log): Promise<void> {
  const ended = await ledger.reconcile();
  if (ended.freed > 0 || ended.waiting > 0)
    log.info(ended, "Requests from before the restart were brought to an end.");
}

/** When the books were begun. `isLost`: others were kept before them. */
type Birth = { readonly at: number; readonly isLost: boolean };

/**
 * Books that begin empty after the relay has posted are not its first. What it told users in channels that were open
 * then it does not know any more, and must not tell them something else. Returns the time, protocol seconds.
 */
async function findLoss(
  { chain, log }: MoneyParameters,
  journal: Journal,
  settlementChain: Pick<SettlementChain, "nextBatchNo">,
): Promise<number | undefined> {
  let birth = await journal.get<Birth>("chain", "birth");
  if (!birth) {
    const isLost = (await journal.isEmpty()) && (await settlementChain.nextBatchNo()) > 0n;
    // By the chain's clock, not this machine's: it is compared with when channels were opened.
    const { clock: at } = await readClock(chain.public, chain.deployment.contracts.clock);
    birth = { at, isLost };
    journal.put("chain", "birth", birth);
    await journal.flushed();
    if (isLost)
      log.warn(
        birth,
        "The books are empty although this relay has posted: channels opened before now are not served any more.",
      );
  }
  return birth.isLost ? birth.at : undefined;
}

type DemandParts = { readonly journal: Journal; readonly bills: Bills; readonly separator: Uint8Array };

/** Answers demands as they come, those of the time in which the node was down first. */
async function openDemands(
  { chain, transactions, relayId, log }: MoneyParameters,
  { journal, bills, separator }: DemandParts,
): Promise<{ stop(): Promise<void> }> {
  const answering = createAnswering({
    ...{ bills, separator, log, chain: createDemandChain({ chain, transactions }) },
    protocolNow: () => chain.time.now(),
    now: () => performance.now(),
  });
  const from = await journal.get<string>("chain", "demands");
  const watching = await watchDemands({
    ...{ chain, relayId, log, intervalMs: WATCH_MS[chain.deployment.profile] },
    onDemand: (demand, block) => answering.add(demand, block),
    // Not awaited: an answer takes as long as the chain takes, and others may be demanded meanwhile.
    onLooked: () => void answering.look(),
    oldestOpen: () => answering.oldestBlock(),
    from: from === undefined ? undefined : BigInt(from),
    save: (next) => journal.put("chain", "demands", `${next}`),
  });
  return {
    async stop() {
      watching.stop();
      // Settling has ended, so no batch waits in this queue; an answer that is not mined is left to the next start.
      transactions.abort();
      await answering.stop();
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
  readonly covers: Pick<ProviderCovers, "coverOf">;
  readonly protocolNow: () => number;
  readonly postWindow: number;
};

/** The policy's view of the books. By default a receipt waits for a tenth of the time in which it can be posted. */
function dueOf({ config, books, ledger, covers, protocolNow, postWindow }: DueParts): DueParameters {
  const { amountUsd, channelPercent, providerPercent, maxAgeMs } = config.settling;
  const { byUser, charged, oldestBilledAt, oldestIssuedAt } = books.totals();
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
    providerPercent,
    receiptAge: Math.floor(postWindow / 2),
  };
  const providers = books.creditors().flatMap((id) => {
    const cover = covers.coverOf(id);
    return cover === undefined ? [] : [{ owed: books.unpaidTo(id), cover }];
  });
  return {
    unsettled: charged,
    oldestMs: oldestBilledAt === undefined ? undefined : Date.now() - oldestBilledAt,
    ...{ channels, providers, oldestIssuedAt },
    protocolNow: protocolNow(),
    limits,
  };
}
