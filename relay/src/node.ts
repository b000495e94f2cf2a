import { type Chain, connectChain } from "@aimo/node/chain";
import { type Database, openData } from "@aimo/node/data-dir";
import { loadDeployment } from "@aimo/node/deployment-file";
import { initFastCrypto, sign } from "@aimo/node/fast-crypto";
import { loadKey } from "@aimo/node/keys";
import { type LifecycleOptions, startClosable } from "@aimo/node/lifecycle";
import type { Log } from "@aimo/node/log";
import { followTime } from "@aimo/node/protocol-time";
import { createTransactions } from "@aimo/node/transactions";
import { toBytes } from "@aimo/protocol/bytes";
import type { Deployment } from "@aimo/protocol/deployment";
import { assemble, waitForGroups } from "./assemble.ts";
import { MINIMUM_GAS_WEI, requireGas } from "./chain/gas-check.ts";
import { openRelayIdentity, type RelayIdentity } from "./chain/relay-identity.ts";
import type { RelayConfig } from "./config.ts";
import { tuneHeap } from "./heap.ts";
import { openMoney } from "./money.ts";

export type RelayNode = {
  readonly relayId: number;
  /** Base URL, with the port that was taken. */
  readonly url: string;
  /** Where providers and other relays dial it. */
  readonly p2pAddresses: readonly string[];
  /** Posts everything billed so far; resolves when it is confirmed. */
  settle(): Promise<void>;
  /** Stops admitting, ends what is in flight, waits for the last groups, posts, and closes everything. */
  close(): Promise<void>;
};

/** How often the relay's own entry is read again. */
const REFRESH_MS = { main: 60_000, local: 5_000 } as const;

/**
 * Starts a relay. Throws the errors of its parts: `config_invalid`, `chain_unavailable`, `wrong_chain`,
 * `wrong_deployment`, `clock_skew`, `not_registered`, `not_bonded`, `low_gas`, `data_…`, `port_in_use`.
 */
export function startRelay(config: RelayConfig, options: LifecycleOptions): Promise<RelayNode> {
  return startClosable((started) => start(config, options.log, started), options);
}

async function start(
  config: RelayConfig,
  log: Log,
  started: AsyncDisposableStack,
): Promise<Omit<RelayNode, "close">> {
  await initFastCrypto();
  tuneHeap();
  const deployment = await loadDeployment(config.deploymentFile);
  const password = config.keyPasswordFile === "" ? {} : { password: { file: config.keyPasswordFile } };
  const key = await loadKey({ path: config.keyFile, ...password });
  const { privateKey, address } = key;
  const chain = await connectChain({ rpcUrl: config.rpcUrl, deployment, privateKey });
  const identity = await openRelayIdentity(chain, address);
  await requireGas({ chain, signer: address, log });
  started.defer(keepFresh(chain, identity, log));
  started.defer(followTime({ ...chain, log }));
  const db = await openDatabase(config, deployment);
  started.defer(() => db.close());
  const { relayId } = identity;
  const transactions = createTransactions({
    ...{ chain, log, minimumBalance: MINIMUM_GAS_WEI },
    onLowBalance: ({ address: account, balance, minimum }) =>
      log.warn({ account, balance: balance.toString(), minimum: minimum.toString() }, "gas runs low"),
  });
  started.defer(() => transactions.close());
  const keyBytes = toBytes(privateKey);
  const signer = { address, sign: (digest: Uint8Array) => sign(digest, keyBytes) };
  const money = await openMoney({ config, chain, transactions, db, relayId, signer, log });
  started.defer(() => money.close());
  const assembled = await assemble(config, {
    ...{ relayId, privateKey, deployment, db, log, ...money },
    feeBps: () => identity.feeBps(),
    identity: () => identity.wellKnown(),
    verifyOnChain: (wallet) => chain.public.verifyMessage(wallet),
    protocolNow: () => chain.time.now(),
    pausedUntil: () => chain.time.pausedUntil(),
  });
  started.defer(() => assembled.close());
  const { url, p2pAddresses } = assembled;
  log.info({ relayId, url }, "relay serves");
  return {
    relayId,
    url,
    p2pAddresses,
    settle: async () => {
      await waitForGroups(money.ledger, config.groupWaitMs);
      await money.settling.settleNow();
    },
  };
}

function openDatabase({ dataFolder }: RelayConfig, deployment: Deployment): Promise<Database> {
  const { chainId, genesisHash, contracts } = deployment;
  return openData({
    location: dataFolder === "memory" ? "memory" : { folder: dataFolder },
    identity: { chainId, genesisHash, settlement: contracts.settlement },
  });
}

/** Reads now and then what may change on-chain; gives what stops it. */
function keepFresh(chain: Chain, identity: RelayIdentity, log: Log): () => void {
  const timer = setInterval(() => {
    identity.refresh().catch((error: unknown) => log.warn({ err: error }, "chain was not read again"));
  }, REFRESH_MS[chain.deployment.profile]);
  timer.unref();
  return () => clearInterval(timer);
}
