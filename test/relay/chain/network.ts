import { connectChain } from "@aimo/node/chain";
import { silentLog } from "@aimo/node/log";
import { createTransactions } from "@aimo/node/transactions";
import { toHex, uint } from "@aimo/protocol/bytes";
import { isAimoError } from "@aimo/protocol/errors";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { createTestClient, type Hex, http } from "viem";
import { hardhat } from "viem/chains";
import { createAccounts } from "../../../relay/src/chain/accounts.ts";
import { createSettlementChain } from "../../../relay/src/chain/settlement.ts";
import type { SettlementChain } from "../../../relay/src/flow/ports.ts";
import { startSettling } from "../../../relay/src/flow/settling.ts";
import { deployAll } from "../../../scripts/deploy.ts";
import { startChain } from "../../../scripts/local/chain.ts";
import { openChannel, registerProvider, registerRelay } from "../../../scripts/local/register.ts";
import { ACCOUNT, deposit, faucet, localWallet } from "../../../scripts/local/wallets.ts";
import {
  billAll,
  callerOf,
  type Disk,
  openWorld,
  type Signer,
  serveOne,
  signerOf,
  startOf,
} from "../store/books-world.ts";

/** E and T_POST of local deployments, seconds. */
export const EPOCH = 5;
const POST_WINDOW = 60;
const MIN_STAKE = 10n * PUSD_PER_USD;

export type TestNetwork = Awaited<ReturnType<typeof startTestNetwork>>;

/** The real contracts on a Hardhat chain in this process, and a clock that goes with it when it travels. */
export async function startTestNetwork() {
  const server = await startChain({ port: 0 });
  const rpcUrl = server.url;
  const deployment = await deployAll({
    ...{ rpcUrl, wallet: localWallet(rpcUrl, ACCOUNT.deployer), profile: "local", protocolFeeBps: 100 },
    treasury: localWallet(rpcUrl, ACCOUNT.treasury).account.address,
    ...{ minRelayStake: MIN_STAKE, minProviderStake: MIN_STAKE },
  });
  const test = createTestClient({ chain: hardhat, transport: http(rpcUrl), mode: "hardhat" });
  let ahead = 0;
  let keys = 0;
  let users = 0;
  let relays = 0;
  let providers = 0;
  const freshKey = (): Hex => toHex(uint(77_000 + ++keys, 32));
  const network = { rpcUrl, deployment };
  const clock = {
    get ms() {
      return Date.now() + ahead;
    },
    set ms(_: number) {
      throw new Error("This clock goes with the chain: use travel.");
    },
  };
  return {
    ...network,
    clock,
    freshKey,
    async travel(seconds: number) {
      ahead += seconds * 1_000;
      await test.increaseTime({ seconds });
      await test.mine({ blocks: 1 });
    },
    async addRelay(bond: bigint) {
      const owner = localWallet(rpcUrl, ACCOUNT.relayOwner + relays++);
      const key = freshKey();
      await deposit(rpcUrl, deployment, owner, bond + PUSD_PER_USD);
      const id = await registerRelay(network, owner, { signerKey: key, feeBps: 500, bond });
      await faucet(rpcUrl, deployment, signerOf(id, key).signer, PUSD_PER_USD);
      return signerOf(id, key);
    },
    async addProvider() {
      const owner = localWallet(rpcUrl, ACCOUNT.providerOwner + providers++);
      const key = freshKey();
      await deposit(rpcUrl, deployment, owner, MIN_STAKE);
      return signerOf(await registerProvider(network, owner, { signerKey: key, stake: MIN_STAKE }), key);
    },
    /** A wallet with credits, and with a channel unless `relayId` is undefined. */
    async addUser(credits: bigint, relayId?: number) {
      const wallet = localWallet(rpcUrl, ACCOUNT.user + users++);
      await deposit(rpcUrl, deployment, wallet, credits);
      if (relayId !== undefined) await openChannel(network, wallet, { relayId, amount: credits, days: 30 });
      return wallet;
    },
    close: () => server.close(),
  };
}

export type Relay = Awaited<ReturnType<typeof startMoney>>;
export type MoneyOptions = {
  readonly relay: Signer;
  readonly disk: Disk;
  /** Stands between settling and the chain: throws where the node is to crash. */
  readonly wrap?: (chain: SettlementChain) => SettlementChain;
  readonly gasLimit?: bigint;
  readonly lostBefore?: number;
  /** Between two looks at a batch that was sent. */
  readonly intervalMs?: number;
};

/** Books, billing and settling of a relay over a disk, as after a start of its node; posts only when asked. */
export async function startMoney(
  network: TestNetwork,
  { relay, disk, wrap, gasLimit = 10n ** 18n, lostBefore, intervalMs = 3_600_000 }: MoneyOptions,
) {
  const { rpcUrl, deployment, clock } = network;
  const connect = { rpcUrl, deployment, privateKey: relay.key, now: () => clock.ms };
  const chain = await connectChain(connect);
  const log = silentLog();
  const transactions = createTransactions({ chain, log });
  const { chainId, contracts } = deployment;
  const real = createSettlementChain({ chain, transactions, relayId: relay.id });
  const separator = domainSeparator({ chainId, verifyingContract: contracts.settlement });
  const world = await openWorld(disk.db, clock, {
    ...{ relayId: relay.id, separator, finality: 2 * EPOCH, key: relay.key },
    protocolNow: () => chain.time.now(),
    ...(lostBefore === undefined ? {} : { lostBefore }),
    readPaid: async (providerId) => (await real.paidTo([providerId])).get(providerId) ?? 0n,
  });
  let gasSpent = 0n;
  const add = (wei: bigint) => {
    gasSpent += wei;
  };
  const accounts = createAccounts({
    ...{ chain, transactions, relayId: relay.id },
    onChannel: (channel) => world.ledger.setChannel(channel),
    gas: { limit: gasLimit, spentToday: () => gasSpent, add },
  });
  for (const userId of await world.ledger.openUsers()) await accounts.refreshChannel(userId);
  await world.ledger.reconcile();
  const logged: { fields: object; message: string }[] = [];
  const note = (fields: object, message: string) => void logged.push({ fields, message });
  const settling = startSettling({
    ...{ protocolNow: world.protocolNow, now: world.now, postWindow: POST_WINDOW, epoch: EPOCH },
    pausedUntil: () => chain.time.pausedUntil(),
    ...{ chain: wrap ? wrap(real) : real, store: world.store, intervalMs },
    refreshChannel: (userId) => accounts.refreshChannel(userId),
    due: () => ({
      ...{ unsettled: 0n, oldestMs: undefined, channels: [], protocolNow: 0 },
      ...{ providers: [], oldestIssuedAt: undefined },
      limits: {
        ...{ amount: 1n, channelPercent: 100, maxAgeMs: 1, settleByMargin: 1 },
        ...{ providerPercent: 100, receiptAge: 1 },
      },
    }),
    log: { info: () => {}, warn: note, error: note },
  });
  return { ...world, accounts, settling, chain, transactions, real, logged, gasSpent: () => gasSpent };
}

/** A user with a channel that the relay knows. */
export async function addPayer(network: TestNetwork, money: Relay, credits = 5n * PUSD_PER_USD) {
  const wallet = await network.addUser(credits, money.relayId);
  const userId = await money.accounts.userIdOf(wallet.account.address);
  await money.accounts.refreshChannel(userId);
  return { wallet, userId };
}

/** Serves and bills one request; returns its id. */
export async function billOne(
  money: Relay,
  userId: number,
  { provider, cost, charge }: { readonly provider: Signer; readonly cost: bigint; readonly charge: bigint },
): Promise<string> {
  const epoch = money.ledger.channelOf(userId)?.epoch ?? 0;
  const used = serveOne(money, userId, { provider, cost, charge, epoch });
  await billAll(money, [used], provider);
  return used.id;
}

export const stateOf = async (money: Relay, id: string) => (await money.ledger.generationOf(id))?.state;

/** The code with which a request on the user's channel is refused; undefined when it is served. */
export function refusalOf(money: Relay, userId: number): unknown {
  const epoch = money.ledger.channelOf(userId)?.epoch ?? 0;
  try {
    money.ledger.hold(startOf(money, userId, epoch), callerOf(userId), 1n);
    return undefined;
  } catch (error) {
    return isAimoError(error) ? error.code : error;
  }
}
