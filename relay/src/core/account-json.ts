import type { GenerationJson } from "@aimo/protocol/generation";
import type { ChannelJson, CreditsJson } from "@aimo/protocol/routes";
import { labelsOf } from "./labels.ts";
import { attemptsJson, toUsdNumber } from "./reply.ts";
import type { ChannelBalance, ChannelOnChain, Generation } from "./types.ts";

/** What an account reads of itself. */

export function channelJson(relayId: number, balance: ChannelBalance, onChain?: ChannelOnChain): ChannelJson {
  return {
    relay: relayId,
    user: balance.userId,
    epoch: balance.epoch,
    mode: balance.voucher === undefined ? "metered" : "signed",
    limit_pusd: balance.limit.toString(),
    charged_pusd: balance.charged.toString(),
    pending_pusd: balance.pending.toString(),
    held_pusd: balance.held.toString(),
    free_pusd: balance.free.toString(),
    settled_pusd: balance.posted.toString(),
    thawing_pusd: balance.thawing.toString(),
    thaw_end: balance.thawEnd,
    ...(balance.voucher === undefined ? {} : { voucher_pusd: balance.voucher.toString() }),
    ...(balance.retired === undefined ? {} : { retired: balance.retired }),
    ...(onChain ? { settle_by: onChain.settleBy, expiry: onChain.expiry } : {}),
  };
}

/** Credits in the vault and in this relay's channel; usage is what the channel was charged in its present epoch. */
export function creditsJson(
  credits: bigint,
  channel: { relayId: number; balance: ChannelBalance | undefined },
): CreditsJson {
  const { relayId, balance } = channel;
  const used = (balance?.charged ?? 0n) + (balance?.pending ?? 0n);
  return {
    data: { total_credits: toUsdNumber(credits + (balance?.limit ?? 0n)), total_usage: toUsdNumber(used) },
    aimo: { credits_pusd: credits.toString(), channel: balance ? channelJson(relayId, balance) : null },
  };
}

export function generationJson(generation: Generation): GenerationJson {
  const { outcome } = generation;
  const { metadata, user, referer, title, clientRequestId } = labelsOf(generation);
  const usage = outcome?.kind === "usage" ? outcome : undefined;
  const charge = generation.state === "unbilled" ? 0n : (usage?.charge ?? 0n);
  const units = usage?.statement.units ?? [0, 0, 0];
  return {
    data: {
      id: generation.id,
      model: usage?.model ?? generation.model,
      route: generation.route,
      streamed: generation.streamed,
      created_at: new Date(generation.createdAt).toISOString(),
      state: generation.state,
      total_cost: toUsdNumber(charge),
      usage: toUsdNumber(charge),
      tokens_prompt: units[0] + units[1],
      tokens_completion: units[2],
      provider_name: usage ? String(usage.providerId) : null,
      finish_reason: usage?.finishReason ?? null,
      cancelled: usage?.cancelled ?? (outcome?.kind === "free" && outcome.reason === "cancelled"),
      latency: usage?.latencyMs ?? null,
      generation_time: usage?.generationMs ?? null,
      metadata: metadata ?? null,
      external_user: user ?? null,
      http_referer: referer ?? null,
      app_title: title ?? null,
      client_request_id: clientRequestId ?? null,
      aimo: {
        cost_pusd: charge.toString(),
        held_pusd: generation.held.toString(),
        user_cumulative_pusd: generation.userCumulative?.toString() ?? null,
        batch_no: generation.batchNo?.toString() ?? null,
        receipt_hash: usage?.statement.receiptHash ?? null,
        nonce: usage?.nonce ?? null,
        body_hash: generation.bodyHash,
        epoch: generation.epoch,
        attempts: attemptsJson(outcome?.attempts ?? []),
        note: generation.note ?? null,
        count_flag: generation.flag
          ? { stated_tokens: generation.flag.stated, counted_tokens: generation.flag.counted }
          : null,
      },
    },
  };
}
