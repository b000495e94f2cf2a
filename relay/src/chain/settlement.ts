import { asking, type Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import * as settlement from "@aimo/protocol/actions/settlement";
import { bondOf } from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import type { PostedBatch } from "../core/batch.ts";
import type { SettlementChain } from "../flow/ports.ts";

export type SettlementChainParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly transactions: Transactions;
  readonly relayId: number;
};

/** In-flight volume may reach 8/10 of the bond. Source: protocol section 7. */
const INFLIGHT_NUMERATOR = 8n;
const INFLIGHT_DENOMINATOR = 10n;
/** RPC servers refuse longer ranges of events. */
const MAX_BLOCKS = 2_000n;
const READS_AT_ONCE = 16;

/** The settlement contract as this relay's poster sees it. */
export function createSettlementChain({
  chain,
  transactions,
  relayId,
}: SettlementChainParameters): SettlementChain {
  const { public: reader, deployment, readAt: blockTag } = chain;
  const enlisted = new Set<number>();
  return {
    nextBatchNo: async () => (await settlement.relayAccountOf(reader, { deployment, relayId })).batchNo,
    // Straight from the chain: viem keeps the last number for a while.
    blockNumber: async () => (await ask(() => chain.public.getBlock({ blockTag: chain.readAt }))).number,
    async isPending() {
      const { address } = transactions;
      const [mined, known] = await ask(() =>
        Promise.all([
          chain.public.getTransactionCount({ address, blockTag: "latest" }),
          chain.public.getTransactionCount({ address, blockTag: "pending" }),
        ]),
      );
      return known > mined || transactions.queued() > 0;
    },
    async enlist(providerIds) {
      for (const id of providerIds.filter((one) => !enlisted.has(one))) {
        const pair = { deployment, relayId, providerId: id };
        const account = await settlement.providerAccountOf(reader, pair);
        if (!account.enlisted)
          await settlement.enlist(transactions, { ...pair, label: `enlist provider ${id}` });
        enlisted.add(id);
      }
    },
    paidTo: (providerIds) => readPaid({ chain, relayId }, providerIds),
    funds: () => readFunds({ chain, relayId }),
    async room() {
      const [inflight, bond] = await Promise.all([
        settlement.inflightOf(reader, { deployment, relayId, blockTag }),
        bondOf(reader, { deployment, role: ROLES.relay, id: relayId, blockTag }),
      ]);
      const limit = (bond.active * INFLIGHT_NUMERATOR) / INFLIGHT_DENOMINATOR;
      const used = inflight.cur + inflight.prev;
      return limit > used ? limit - used : 0n;
    },
    async post({ header, rows }) {
      const label = `post batch ${header.batchNo}`;
      await settlement.post(transactions, { deployment, relayId, header, rows, label });
    },
    async cancel() {
      // The queue gives out the oldest nonce that is not mined, and outbids what has it.
      await transactions.send({ to: transactions.address, data: "0x", label: "cancellation of a batch" });
    },
    abandon: () => transactions.abort(),
    async posted(batchNo, since) {
      const last = (await ask(() => chain.public.getBlock({ blockTag: chain.readAt }))).number;
      for (let fromBlock = since; fromBlock <= last; fromBlock += MAX_BLOCKS) {
        const end = fromBlock + MAX_BLOCKS - 1n;
        const range = { fromBlock, toBlock: end < last ? end : last };
        const found = await ask(() => readPosted({ chain, relayId }, batchNo, range));
        if (found) return found;
      }
      return undefined;
    },
  };
}

type Reading = Pick<SettlementChainParameters, "chain" | "relayId">;

async function readPaid(
  { chain, relayId }: Reading,
  providerIds: readonly number[],
): Promise<ReadonlyMap<number, bigint>> {
  const { public: reader, deployment } = chain;
  const paid = new Map<number, bigint>();
  for (let first = 0; first < providerIds.length; first += READS_AT_ONCE)
    await Promise.all(
      providerIds.slice(first, first + READS_AT_ONCE).map(async (id) => {
        const account = await settlement.providerAccountOf(reader, { deployment, relayId, providerId: id });
        paid.set(id, account.paid);
      }),
    );
  return paid;
}

async function readFunds({ chain, relayId }: Reading) {
  const { public: reader, deployment } = chain;
  const [account, feeBps] = await Promise.all([
    settlement.relayAccountOf(reader, { deployment, relayId }),
    settlement.PROTOCOL_FEE_BPS(reader, { deployment }),
  ]);
  const { earned, pendingCur, pendingPrev, float } = account;
  return { own: earned + pendingCur + pendingPrev + float, feeBps };
}

async function readPosted(
  { chain, relayId }: Pick<SettlementChainParameters, "chain" | "relayId">,
  batchNo: bigint,
  blocks: { readonly fromBlock: bigint; readonly toBlock: bigint },
): Promise<PostedBatch | undefined> {
  const address = chain.deployment.contracts.settlement;
  const range = { address, abi: settlementAbi, args: { relayId, batchNo }, ...blocks, strict: true } as const;
  const [event] = await chain.public.getContractEvents({ ...range, eventName: "Posted" });
  if (!event) return undefined;
  const skipped = await chain.public.getContractEvents({ ...range, eventName: "RowSkipped" });
  const { postedAt, receiptsRoot } = event.args;
  return {
    transaction: event.transactionHash,
    postedAt,
    receiptsRoot,
    skipped: skipped.map(({ args }) => args.userId),
  };
}

const ask = <T>(read: () => Promise<T>): Promise<T> => asking("The chain's RPC endpoint", read);
