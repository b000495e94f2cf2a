import { asking, type Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { encodeFunctionData } from "viem";
import type { PostedBatch, SettlementChain } from "../flow/ports.ts";

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

/** The settlement contract as this relay's poster sees it. */
export function createSettlementChain({
  chain,
  transactions,
  relayId,
}: SettlementChainParameters): SettlementChain {
  const { settlement, stakeManager } = chain.deployment.contracts;
  const contract = { address: settlement, abi: settlementAbi, blockTag: chain.readAt } as const;
  const enlisted = new Set<number>();
  return {
    async nextBatchNo() {
      const latest = { ...contract, blockTag: "latest" } as const;
      const read = { ...latest, functionName: "relayAccountOf", args: [relayId] } as const;
      return (await ask(() => chain.public.readContract(read))).batchNo;
    },
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
        const read = { ...contract, functionName: "providerAccountOf", args: [relayId, id] } as const;
        const account = await ask(() => chain.public.readContract({ ...read, blockTag: "latest" }));
        if (!account.enlisted) {
          const data = encodeFunctionData({
            abi: settlementAbi,
            functionName: "enlist",
            args: [relayId, id],
          });
          await transactions.send({ to: settlement, data, label: `enlist provider ${id}` });
        }
        enlisted.add(id);
      }
    },
    async room() {
      const { readAt: blockTag } = chain;
      const bonds = { address: stakeManager, abi: stakeManagerAbi, blockTag } as const;
      const [inflight, bond] = await ask(() =>
        Promise.all([
          chain.public.readContract({ ...contract, functionName: "inflightOf", args: [relayId] }),
          chain.public.readContract({ ...bonds, functionName: "bondOf", args: [ROLES.relay, relayId] }),
        ]),
      );
      const limit = (bond.active * INFLIGHT_NUMERATOR) / INFLIGHT_DENOMINATOR;
      const used = inflight.cur + inflight.prev;
      return limit > used ? limit - used : 0n;
    },
    async post({ header, rows }) {
      const data = encodeFunctionData({
        abi: settlementAbi,
        functionName: "post",
        args: [relayId, header, rows],
      });
      await transactions.send({ to: settlement, data, label: `post batch ${header.batchNo}` });
    },
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
