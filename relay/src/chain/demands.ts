import { asking, type Chain } from "@aimo/node/chain";
import { followBlocks } from "@aimo/node/follow-blocks";
import type { Transactions } from "@aimo/node/transactions";
import { fraudProofsAbi } from "@aimo/protocol/abi/fraud-proofs";
import * as fraudProofs from "@aimo/protocol/actions/fraud-proofs";
import type { Demand } from "@aimo/protocol/proofs";
import type { DemandChain } from "../flow/ports.ts";

type DemandsParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly transactions: Transactions;
};

/** Demands as whoever answers them sees them. */
export function createDemandChain({ chain, transactions }: DemandsParameters): DemandChain {
  const { public: reader, deployment, readAt: blockTag } = chain;
  return {
    async stateOf(demandId) {
      if (await fraudProofs.isOpen(reader, { deployment, demandId })) return "open";
      return (await fraudProofs.isOpen(reader, { deployment, demandId, blockTag })) ? "closing" : "closed";
    },
    async answer([open, user, leaf, receipt, evidence, request]) {
      const label = `answer to the demand of receipt ${open.leafIndex} in row ${open.row} of batch ${open.batchNo}`;
      const parameters = { deployment, open, user, leaf, receipt, evidence, request, label };
      await fraudProofs.answer(transactions, parameters);
    },
  };
}

export type WatchDemandsParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "readAt">;
  readonly relayId: number;
  /** Told of each demand, of some more than once. */
  readonly onDemand: (demand: Demand, block: bigint) => void;
  readonly onLooked: () => void;
  /** Block of the oldest demand that must be seen again by the next start. */
  readonly oldestOpen: () => bigint | undefined;
  /** First block that was not looked at; undefined: the node starts for the first time. */
  readonly from: bigint | undefined;
  /** Told where the next start has to begin. */
  readonly save: (from: bigint) => void;
  readonly intervalMs: number;
  readonly log: { warn(fields: object, message: string): void };
};

/** Where to begin is written down each so many blocks: looking at some twice is cheap. */
const SAVE_EACH = 50n;

/** Follows demands against a relay from where its last run ended: one that was made meanwhile has to be answered too. */
export function watchDemands(parameters: WatchDemandsParameters): Promise<{ stop(): void }> {
  const { chain, relayId, from, save, intervalMs, log } = parameters;
  const { fraudProofs: address } = chain.deployment.contracts;
  let saved: bigint | undefined;
  return followBlocks({
    ...{ chain, intervalMs, log, what: "Demands" },
    ...(from === undefined ? {} : { from }),
    look: async (range) => {
      const query = { address, abi: fraudProofsAbi, eventName: "Demanded", strict: true } as const;
      const events = await asking("The chain's RPC endpoint", () =>
        chain.public.getContractEvents({ ...query, args: { relayId }, ...range }),
      );
      for (const { args, blockNumber } of events) parameters.onDemand(args.demand, blockNumber);
      parameters.onLooked();
      const next = parameters.oldestOpen() ?? range.toBlock + 1n;
      if (saved !== undefined && next - saved < SAVE_EACH && next >= saved) return;
      saved = next;
      save(next);
    },
  });
}
