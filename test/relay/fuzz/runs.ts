/** How much is tried: a little in every run of the tests, and as much as one likes with FUZZ_RUNS. */
export const RUNS = Number(process.env["FUZZ_RUNS"] ?? 25);
/** Printed with the tests' titles; FUZZ_SEED repeats a run. */
export const SEED = Number(process.env["FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Longer than any answer takes; what takes longer hangs. */
export const WAIT_MS = 3_000;
