/** What a batch may credit a provider with, as totals over all time, pUSD: `most` if there is money for it. */
export type CreditClaim = {
  readonly providerId: number;
  readonly most: bigint;
  /** What the batch's own debits pay for, if none of its rows is skipped. */
  readonly covered: bigint;
  /** What the chain has paid. */
  readonly paid: bigint;
};

/**
 * Credits that cost `missing` pUSD less than all that is claimed: first of what the debits do not pay for, then of the
 * largest, so that few providers wait. What is left out stays owed: it waits for earnings, or is redeemed.
 */
export function cutCredits(claims: readonly CreditClaim[], missing: bigint): Map<number, bigint> {
  const credits = new Map(claims.map(({ providerId, most }) => [providerId, most]));
  let left = missing;
  for (const floorOf of [({ covered }: CreditClaim) => covered, ({ paid }: CreditClaim) => paid]) {
    const spare = (claim: CreditClaim) => (credits.get(claim.providerId) ?? 0n) - floorOf(claim);
    for (const claim of claims.toSorted((a, b) => (spare(a) < spare(b) ? 1 : -1))) {
      const most = spare(claim) < left ? spare(claim) : left;
      if (most <= 0n) continue;
      credits.set(claim.providerId, (credits.get(claim.providerId) ?? 0n) - most);
      left -= most;
    }
  }
  for (const { providerId, paid } of claims)
    if ((credits.get(providerId) ?? 0n) <= paid) credits.delete(providerId);
  return credits;
}

/** What these credits add to what was paid, pUSD. */
export function costOfCredits(claims: readonly CreditClaim[], credits: ReadonlyMap<number, bigint>): bigint {
  return claims.reduce((sum, { providerId, paid }) => sum + (credits.get(providerId) ?? paid) - paid, 0n);
}
