import type { Chain } from "@aimo/node/chain";
import type { Transactions } from "@aimo/node/transactions";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { encodeFunctionData } from "viem";
import type { SettlementChain } from "../flow/settling.ts";

export type SettlementChainParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly transactions: Transactions;
  readonly relayId: number;
};

/** In-flight volume may reach 8/10 of the bond. Source: protocol section 7. */
const INFLIGHT_NUMERATOR = 8n;
const INFLIGHT_DENOMINATOR = 10n;

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
      return (
        await chain.public.readContract({ ...contract, functionName: "relayAccountOf", args: [relayId] })
      ).batchNo;
    },
    async enlist(providerIds) {
      for (const id of providerIds.filter((one) => !enlisted.has(one))) {
        const account = await chain.public.readContract({
          ...contract,
          functionName: "providerAccountOf",
          args: [relayId, id],
        });
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
      const inflight = await chain.public.readContract({
        ...contract,
        functionName: "inflightOf",
        args: [relayId],
      });
      const bond = await chain.public.readContract({
        address: stakeManager,
        abi: stakeManagerAbi,
        blockTag: chain.readAt,
        functionName: "bondOf",
        args: [ROLES.relay, relayId],
      });
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
    async posted(batchNo) {
      const range = {
        address: settlement,
        abi: settlementAbi,
        args: { relayId, batchNo },
        fromBlock: BigInt(chain.deployment.deployedAtBlock),
        toBlock: chain.readAt,
        strict: true,
      } as const;
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
    },
  };
}
