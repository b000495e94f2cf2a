import { toHex } from "@aimo/protocol/bytes";
import { usageDigest } from "@aimo/protocol/receipts";
import type { UsageStatement } from "@aimo/protocol/session";
import { mostOutput } from "@aimo/protocol/unit-bounds";
import { costOf, type Units } from "@aimo/protocol/units";
import { CLOCK_TOLERANCE_SECONDS } from "@aimo/protocol/windows";
import type { Hex } from "viem";
import type { Delivered } from "./meter.ts";
import type { Offer } from "./types.ts";

export type Judgement = {
  readonly statement: UsageStatement;
  readonly attempt: Hex;
  readonly requestHash: Hex;
  readonly offer: Offer;
  readonly relayId: number;
  readonly separator: Uint8Array;
  /** Most units that were held for. */
  readonly worst: Units;
  readonly delivered: Delivered;
  /** Protocol seconds at which the attempt was sent. */
  readonly sentAt: number;
};

export type Verdict =
  | { readonly ok: true; readonly cost: bigint }
  | { readonly ok: false; readonly why: string };

const refuse = (why: string): Verdict => ({ ok: false, why });

/** Holds a provider's statement against what the relay saw itself. Never throws. */
export function judgeStatement(judgement: Judgement): Verdict {
  const { statement, attempt, offer } = judgement;
  const { units } = statement;
  if (statement.attempt !== attempt) return refuse("It is about another attempt.");
  const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= 0;
  if (!Array.isArray(units) || units.length !== 3 || !units.every(isCount))
    return refuse("Its units are no counts.");
  if (typeof statement.cost !== "string" || !/^\d{1,20}$/.test(statement.cost))
    return refuse("Its cost is no number.");
  if (judgement.delivered.bytes === 0 && statement.cost !== "0") return refuse("Nothing was delivered.");
  const wrong = judgeUnits(judgement) ?? judgeContent(judgement);
  if (wrong) return refuse(wrong);
  const cost = BigInt(statement.cost);
  const most = costOf(units, offer.price.prices);
  if (cost > most) return refuse(`Its cost ${cost} pUSD is above units x price, ${most} pUSD.`);
  return isOwnDigest(judgement, cost)
    ? { ok: true, cost }
    : refuse("Its receipt hash is not that of its numbers.");
}

function judgeUnits({ statement: { units }, worst, delivered, offer }: Judgement): string | undefined {
  const prompt = units[0] + units[1];
  if (prompt > worst[0]) return `It counts ${prompt} prompt units; at most ${worst[0]} are possible.`;
  if (units[2] > worst[2]) return `It counts ${units[2]} output units; at most ${worst[2]} were allowed.`;
  const kind = offer.price.kinds[2];
  if (units[2] <= mostOutput(kind, delivered, offer.model.hiddenReasoning === true)) return undefined;
  return kind === "image"
    ? `It counts ${units[2]} images; ${delivered.count} were delivered.`
    : `It counts ${units[2]} completion tokens; ${delivered.bytes} bytes were delivered.`;
}

function judgeContent({ statement, delivered, sentAt }: Judgement): string | undefined {
  if (statement.responseHash !== delivered.responseHash)
    return "Its response hash is not that of the content.";
  const { issuedAt } = statement;
  const isNear = Number.isInteger(issuedAt) && Math.abs(issuedAt - sentAt) <= CLOCK_TOLERANCE_SECONDS;
  return isNear ? undefined : `It was issued at ${issuedAt}; the request was sent at ${sentAt}.`;
}

function isOwnDigest(
  { statement, offer, relayId, requestHash, separator }: Judgement,
  cost: bigint,
): boolean {
  const digest = usageDigest(separator, {
    relayId,
    providerId: offer.providerId,
    modelId: offer.model.modelId,
    priceVersion: offer.price.version,
    issuedAt: statement.issuedAt,
    units: statement.units,
    cost,
    requestHash,
    responseHash: statement.responseHash,
  });
  return toHex(digest) === statement.receiptHash;
}
