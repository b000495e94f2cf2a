/** What several rounds say together: a mean, and the interval in which the true one lies. */

export type Estimate = {
  readonly mean: number;
  /** Half of the width of the 95 % confidence interval; 0 when there is one round only. */
  readonly plusMinus: number;
};

/** Two-sided 95 % quantiles of Student's t by degrees of freedom, from 1. Source: any table of it. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/** Of the normal distribution, to which t converges. */
const Z_95 = 1.96;
const DIGITS = 4;

/** Mean and confidence interval of one figure per round. Throws a RangeError on none. */
export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  if (count === 0) throw new RangeError("There are no rounds to estimate from.");
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count === 1) return { mean: rounded(mean), plusMinus: 0 };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const quantile = T_95[count - 2] ?? Z_95;
  return { mean: rounded(mean), plusMinus: rounded(quantile * Math.sqrt(variance / count)) };
}

/** The value below which that part of all values lies; NaN of none. */
export function quantileOf(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** As many digits as a measurement has meaning. */
const rounded = (value: number): number => Number(value.toPrecision(DIGITS));

/** Least-squares slope of values over times in milliseconds, per minute, to three decimals. */
export function slopePerMinute(points: readonly (readonly [ms: number, value: number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [time, value] = [mean(([ms]) => ms), mean(([, each]) => each)];
  const covariance = mean(([ms, each]) => (ms - time) * (each - value));
  const variance = mean(([ms]) => (ms - time) ** 2);
  return Math.round((covariance / variance) * 60_000 * 1_000) / 1_000;
}
