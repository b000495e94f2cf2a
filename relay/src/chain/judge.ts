import { asking, type Chain } from "@aimo/node/chain";
import { isSignerValid, priceOf, providerOf, relayOf } from "@aimo/protocol/actions/registry";
import { wasStaked } from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { activitySpan, feeBoundAt, feesOf, judgeReceipt, type ReceiptFacts } from "@aimo/protocol/judgement";
import { zeroAddress } from "viem";
import type { ReceiptCase } from "../core/types.ts";
import type { ReceiptJudge } from "../flow/ports.ts";

export type JudgeParameters = {
  readonly chain: Pick<Chain, "public" | "deployment" | "time">;
  readonly relayId: number;
  /** T_POST in seconds. */
  readonly postWindow: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
};

/** What was read of the chain is good for so long: changes take effect with a grace that is far longer. */
const TTL_MS = 10_000;
/** Providers and price versions remembered; the oldest go. */
const MAX_KEPT = 10_000;

/** Gathers what the chain knows about receipts, from memory where it is fresh, and applies the chain's own judgement. */
export function createJudge({ chain, relayId, postWindow, now }: JudgeParameters): ReceiptJudge {
  const keep = createMemory(now);
  const { public: reader, deployment } = chain;
  const factsOf = async ({ receipt, group, signer }: ReceiptCase): Promise<ReceiptFacts> => {
    const { providerId, modelId, priceVersion, issuedAt } = receipt;
    const span = activitySpan(issuedAt);
    const id = { deployment, role: ROLES.provider, id: providerId };
    const [price, provider, fees, isSigner, isStaked] = await Promise.all([
      keep(`price ${providerId}/${modelId}/${priceVersion}`, () => readPrice(chain, receipt)),
      keep(`provider ${providerId}`, () => readProvider(chain, providerId)),
      keep("fees", () => readFees(chain, relayId)),
      // Answers for one second are shared by all its receipts.
      keep(`signer ${providerId}/${signer}/${group.closedAt}`, () =>
        isSignerValid(reader, { ...id, signer, time: group.closedAt }),
      ),
      keep(`stake ${providerId}/${issuedAt}`, () => wasStaked(reader, { ...id, ...span })),
    ]);
    const facts = { price, provider, wasSigner: isSigner, wasStaked: isStaked, postWindow };
    return { ...facts, feeBps: feeBoundAt(fees, issuedAt) };
  };
  return {
    async judge(cases) {
      // The receipts of a group differ in few of the things that facts depend on.
      const keys = cases.map(keyOf);
      const facts = new Map<string, ReceiptFacts>();
      for (const [index, one] of cases.entries()) {
        const key = keys[index] ?? "";
        if (!facts.has(key)) facts.set(key, await factsOf(one));
      }
      const postedAt = chain.time.now();
      return cases.map(({ receipt, charge, group }, index) => {
        const known = facts.get(keys[index] ?? "");
        if (!known) throw new RangeError("A receipt was judged without facts.");
        const fault = judgeReceipt({ relayId, postedAt, charge, receipt }, group, known);
        return fault && `the chain would not take it (${fault.rule}): ${fault.detail}`;
      });
    },
  };
}

/** Receipts with the same key have the same facts. */
const keyOf = ({ receipt, group, signer }: ReceiptCase): string =>
  `${receipt.providerId}/${receipt.modelId}/${receipt.priceVersion}/${receipt.issuedAt}/${group.closedAt}/${signer}`;

type Keep = <T>(key: string, read: () => Promise<T>) => Promise<T>;

/** Remembers what was read for a while; who asks meanwhile shares the answer. */
function createMemory(now: () => number): Keep {
  const kept = new Map<string, { readonly value: Promise<unknown>; readonly until: number }>();
  return <T>(key: string, read: () => Promise<T>) => {
    const known = kept.get(key);
    if (known && known.until > now()) return known.value as Promise<T>;
    const value = asking("The chain's RPC endpoint", read);
    kept.delete(key);
    kept.set(key, { value, until: now() + TTL_MS });
    // A failure is no answer: the next one asks again.
    value.catch(() => kept.delete(key));
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    return value;
  };
}

type Reader = JudgeParameters["chain"];

/** At the latest block: what nodes act on is older, and a version that exists there exists here too. */
async function readPrice(
  { public: reader, deployment }: Reader,
  { providerId, modelId, priceVersion }: ReceiptCase["receipt"],
): Promise<ReceiptFacts["price"]> {
  const read = (version: number) => priceOf(reader, { deployment, providerId, modelId, version });
  const [{ p0, p1, p2, effectiveFrom }, next] = await Promise.all([
    read(priceVersion),
    read(priceVersion + 1),
  ]);
  if (effectiveFrom === 0) return undefined;
  const effectiveUntil = next.effectiveFrom === 0 ? undefined : next.effectiveFrom;
  return { prices: [p0, p1, p2], effectiveFrom, effectiveUntil };
}

async function readProvider(
  { public: reader, deployment }: Reader,
  providerId: number,
): Promise<ReceiptFacts["provider"]> {
  const { owner, registeredAt, deactivatedAt } = await providerOf(reader, { deployment, providerId });
  return owner === zeroAddress ? undefined : { registeredAt, deactivatedAt };
}

async function readFees({ public: reader, deployment }: Reader, relayId: number) {
  return feesOf(await relayOf(reader, { deployment, relayId }));
}
