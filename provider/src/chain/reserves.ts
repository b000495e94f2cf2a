import type { Chain } from "@aimo/node/chain";
import { followBlocks } from "@aimo/node/follow-blocks";
import type { Transactions } from "@aimo/node/transactions";
import { reservesAbi } from "@aimo/protocol/abi/reserves";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { ownerOf, relayOf } from "@aimo/protocol/actions/registry";
import {
  creditLimitOf,
  redeemProviderVoucher,
  reserveOf,
  setCreditLimit,
} from "@aimo/protocol/actions/reserves";
import { providerAccountOf } from "@aimo/protocol/actions/settlement";
import { bondOf } from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { parseEventLogs } from "viem";
import type { ReservesChain } from "../flow/ports.ts";
import { askChain, type ChainReader, type ChainSender } from "./sender.ts";

export type ReservesParameters = {
  readonly chain: ChainReader;
  /** Anyone may redeem to the owner: the node's own key pays the gas. */
  readonly transactions: Transactions;
  readonly providerId: number;
};

/** The relays' reserves for one provider. */
export function createReserves({ chain, transactions, providerId }: ReservesParameters): ReservesChain {
  const { public: reader, deployment } = chain;
  return {
    async fundsOf(relayId, at) {
      const blockTag = at ?? chain.readAt;
      const pair = { deployment, relayId, providerId, blockTag };
      const [reserve, { paid }, leaving] = await Promise.all([
        reserveOf(reader, pair),
        providerAccountOf(reader, pair),
        readLeaving(chain, relayId),
      ]);
      const { amount, thawing } = reserve;
      const why = thawing > 0n ? "it takes its reserve back" : leaving;
      return { reserve: amount - thawing, redeemable: amount, paid, leaving: why };
    },
    async redeem(relayId, { cumulative, signature }) {
      const to = await ownerOf(reader, { deployment, role: ROLES.provider, id: providerId });
      const voucher = { relayId, providerId, cumulative };
      const label = `redemption of relay ${relayId}'s voucher`;
      const request = redeemProviderVoucher.request({ deployment, voucher, signature, to, label });
      const { logs } = await transactions.send(request);
      const paid = parseEventLogs({ abi: reservesAbi, eventName: "ProviderVoucherRedeemed", logs });
      return paid.reduce((sum, { args }) => sum + args.paidNow, 0n);
    },
  };
}

/** Why a relay may be gone soon, at the block that nodes act on. */
async function readLeaving(chain: ChainReader, relayId: number): Promise<string | undefined> {
  const { public: reader, deployment, readAt: blockTag } = chain;
  const [relay, bond] = await Promise.all([
    relayOf(reader, { deployment, relayId, blockTag }),
    bondOf(reader, { deployment, role: ROLES.relay, id: relayId, blockTag }),
  ]);
  if (relay.deactivatedAt !== 0) return "it has left the network";
  return bond.unbonding > 0n ? "it takes its bond back" : undefined;
}

export type WatchReservesParameters = {
  readonly chain: ChainReader & Pick<Chain, "time">;
  readonly providerId: number;
  /** Told which relays' numbers have changed. */
  readonly onChange: (relayIds: ReadonlySet<number>) => Promise<void>;
  readonly intervalMs: number;
  readonly log: { warn(fields: object, message: string): void };
};

/** Follows what changes reserves and payments: events name the relay, the numbers are read from storage. */
export function watchReserves(parameters: WatchReservesParameters): Promise<{ stop(): void }> {
  const { chain, providerId, onChange, intervalMs, log } = parameters;
  const { reserves, settlement } = chain.deployment.contracts;
  return followBlocks({
    ...{ chain, intervalMs, log, what: "Reserves" },
    look: async (range) => {
      const [changes, posts] = await askChain(() =>
        Promise.all([
          chain.public.getContractEvents({ address: reserves, abi: reservesAbi, strict: true, ...range }),
          chain.public.getContractEvents({
            ...{ address: settlement, abi: settlementAbi, eventName: "Posted", strict: true },
            ...range,
          }),
        ]),
      );
      const touched = new Set(posts.map(({ args }) => args.relayId));
      for (const { args } of changes)
        if ("relayId" in args && args.providerId === providerId) touched.add(args.relayId);
      await onChange(touched);
    },
  });
}

/** pUSD that a provider says it serves a relay above the reserve. */
export function readCreditLimit(chain: ChainReader, providerId: number): Promise<bigint> {
  const { public: reader, deployment, readAt: blockTag } = chain;
  return creditLimitOf(reader, { deployment, providerId, blockTag });
}

/** Says so on-chain, for relays to read. The sender must own the provider. Throws `transaction_failed`. */
export async function publishCreditLimit(
  { deployment, transactions }: ChainSender,
  providerId: number,
  limit: bigint,
): Promise<void> {
  const label = `credit limit of provider ${providerId}`;
  await setCreditLimit(transactions, { deployment, providerId, limit, label });
}
