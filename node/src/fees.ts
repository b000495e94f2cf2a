/** What a transaction offers per gas, in wei (EIP-1559). */
export type Fees = { readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint };

/**
 * Fees of a replacement: each at least 12.5 % above the last (nodes ask for 10 %), and at least what the market asks for
 * now. Undefined when that would go above the limit: then the last offer has to stand.
 */
export function raiseFees(last: Fees, market: Fees, limit: bigint): Fees | undefined {
  const maxFeePerGas = highest(raised(last.maxFeePerGas), market.maxFeePerGas);
  const maxPriorityFeePerGas = highest(raised(last.maxPriorityFeePerGas), market.maxPriorityFeePerGas);
  if (maxFeePerGas <= limit)
    return { maxFeePerGas, maxPriorityFeePerGas: lowest(maxPriorityFeePerGas, maxFeePerGas) };
  // The market may ask for more than the limit; the limit itself still replaces when it is high enough.
  const capped = { maxFeePerGas: limit, maxPriorityFeePerGas: raised(last.maxPriorityFeePerGas) };
  const isReplacement =
    capped.maxFeePerGas >= raised(last.maxFeePerGas) && capped.maxPriorityFeePerGas <= capped.maxFeePerGas;
  return isReplacement ? capped : undefined;
}

/** The market's fees, cut to the limit. */
export function capFees({ maxFeePerGas, maxPriorityFeePerGas }: Fees, limit: bigint): Fees {
  const capped = lowest(maxFeePerGas, limit);
  return { maxFeePerGas: capped, maxPriorityFeePerGas: lowest(maxPriorityFeePerGas, capped) };
}

/** 12.5 % more, rounded up, so that a fee of 1 wei grows too. */
function raised(fee: bigint): bigint {
  return (fee * 9n + 7n) / 8n || 1n;
}

const highest = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const lowest = (a: bigint, b: bigint): bigint => (a < b ? a : b);
