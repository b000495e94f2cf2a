import { performance } from "node:perf_hooks";

const WARM_UP_MS = 200;
const MEASURE_MS = 1_000;

/** Calls per second of a synchronous function, after a warm-up. */
export function rateOf(call: () => unknown): number {
  run(call, WARM_UP_MS);
  return run(call, MEASURE_MS);
}

function run(call: () => unknown, milliseconds: number): number {
  const started = performance.now();
  let calls = 0;
  for (let now = started; now - started < milliseconds; now = performance.now()) {
    for (let i = 0; i < 16; i++) call();
    calls += 16;
  }
  return Math.round((calls * 1000) / (performance.now() - started));
}
