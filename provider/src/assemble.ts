import type { Database } from "@aimo/node/data-dir";
import { isSignedBy, sign } from "@aimo/node/fast-crypto";
import type { NodeKey } from "@aimo/node/keys";
import type { Log } from "@aimo/node/log";
import { toBytes } from "@aimo/protocol/bytes";
import type { Deployment } from "@aimo/protocol/deployment";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { Exposure } from "./core/exposure.ts";
import { Covers } from "./flow/covers.ts";
import type {
  Catalogue,
  CountTokens,
  ProtocolClock,
  RelayDirectory,
  ReservesChain,
  Upstream,
  VoucherFiles,
} from "./flow/ports.ts";
import { ReceiptBook } from "./flow/receipt-book.ts";
import { Redeeming } from "./flow/redeeming.ts";
import { Serving } from "./flow/serving.ts";
import { startHttpServer } from "./http/server.ts";
import { Sessions } from "./http/sessions.ts";
import { createJournal } from "./store/journal.ts";

export type AssembleOptions = {
  readonly providerId: number;
  readonly deployment: Deployment;
  readonly key: NodeKey;
  readonly listen: { readonly host: string; readonly port: number };
  /** pUSD that a relay may leave unpaid above its reserve. */
  readonly creditLimit: bigint;
  /** Protocol seconds after which a voucher that the relay leaves unpaid is redeemed, from this many pUSD on. */
  readonly redeemAfterSeconds: number;
  readonly redeemLeast: bigint;
  readonly maxConcurrency: number;
  readonly maxBodyBytes: number;
};
export type AssembleModules = {
  readonly relays: RelayDirectory;
  readonly reserves: ReservesChain;
  readonly files: VoucherFiles;
  readonly catalogue: Catalogue;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly db: Database;
  readonly clock: ProtocolClock;
  readonly countTokens: CountTokens;
  readonly log: Log;
};

/** What serves relays, without what finds and announces. */
export type Assembled = {
  readonly url: string;
  readonly serving: Serving;
  readonly sessions: Sessions;
  readonly receipts: ReceiptBook;
  readonly covers: Covers;
  readonly redeeming: Redeeming;
  /** Finishes requests in flight within `deadlineMs`, closes groups, hands them out, and closes. */
  close(deadlineMs: number): Promise<void>;
};

/** Registered relays are asked for again this often, so that one that left or rotated its key is soon out. */
const RECHECK_MS = 15_000;

/** On stopping, relays that listen get this long to acknowledge the last groups: a round trip and a disk write. */
const ACK_WAIT_MS = 1_000;

/** Puts the serving part together and starts listening. Throws `port_in_use`, `config_invalid`, `data_corrupt`. */
export async function assemble(options: AssembleOptions, modules: AssembleModules): Promise<Assembled> {
  const { providerId, deployment, key } = options;
  const { log, clock, catalogue, upstreams, countTokens } = modules;
  const { chainId, contracts } = deployment;
  const separator = domainSeparator({ chainId, verifyingContract: contracts.settlement });
  const privateKey = toBytes(key.privateKey);
  const exposure = new Exposure(options.creditLimit);
  const receipts = new ReceiptBook({
    providerId,
    separator,
    sign: (digest) => sign(digest, privateKey),
    isSignedBy,
    files: modules.files,
    journal: createJournal(modules.db),
    exposure,
    clock,
    now: Date.now,
    log,
  });
  const covers = new Covers({ chain: modules.reserves, exposure });
  const redeeming = await openDebts(options, modules, { receipts, covers });
  const sessions = new Sessions({
    chainId,
    providerId,
    privateKey,
    relays: {
      relayOf: async (relayId) => {
        const relay = await modules.relays.relayOf(relayId);
        if (relay) await covers.follow(relayId);
        return relay;
      },
    },
    now: () => performance.now(),
  });
  const serving = new Serving({
    providerId,
    separator,
    catalogue,
    upstreams,
    exposure,
    receipts,
    clock,
    countTokens,
    maxConcurrency: options.maxConcurrency,
    log,
  });
  const http = await listenOrClose(receipts, () =>
    startHttpServer({ sessions, serving, receipts, maxBodyBytes: options.maxBodyBytes, log }, options.listen),
  );
  const recheck = setInterval(() => {
    sessions.recheck().catch((error: unknown) => log.warn({ err: error }, "Relays could not be checked."));
  }, RECHECK_MS).unref();
  return {
    url: http.url,
    serving,
    ...{ sessions, receipts, covers, redeeming },
    close: async (deadlineMs) => {
      clearInterval(recheck);
      await serving.drain(deadlineMs);
      await receipts.flush();
      await receipts.acknowledged(Math.min(deadlineMs, ACK_WAIT_MS));
      await http.close();
      await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
      await receipts.close();
    },
  };
}

type Books = { readonly receipts: ReceiptBook; readonly covers: Covers };

/** Takes up what relays owed when the node stopped, with what the chain has paid of it since. */
async function openDebts(
  { redeemAfterSeconds, redeemLeast }: AssembleOptions,
  { reserves, clock, log }: AssembleModules,
  { receipts, covers }: Books,
): Promise<Redeeming> {
  const debts = await receipts.open();
  const relayIds = receipts.totals().map(({ relayId }) => relayId);
  try {
    await Promise.all(relayIds.map((relayId) => covers.follow(relayId)));
  } catch (error) {
    await receipts.close();
    throw error;
  }
  return new Redeeming({
    vouchers: () => receipts.vouchers(),
    chain: reserves,
    write: (entry) => receipts.write(entry),
    onRedeemed: (relayId) => covers.refresh([relayId]),
    ...{ debts, clock, log, afterSeconds: redeemAfterSeconds, least: redeemLeast },
  });
}

/** The journal must not stay open behind a port that was taken. */
async function listenOrClose<T>(receipts: ReceiptBook, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    await receipts.close();
    throw error;
  }
}
