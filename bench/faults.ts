import { performance } from "node:perf_hooks";
import { BEFORE_FIRST_BYTE } from "./faults/before-first-byte.ts";
import { type Fault, resetScripts, type Test, testOf } from "./faults/fault.ts";
import { IN_STREAM } from "./faults/in-stream.ts";
import { LIMITS, startFaultNetwork } from "./faults/network.ts";
import { Tally } from "./faults/tally.ts";

/** Sixteen ways in which providers fail gateways, each with what the relay owes its user then. */
export const FAULTS: readonly Fault[] = [...BEFORE_FIRST_BYTE, ...IN_STREAM];

/** Brings one fault about, and holds the bill to the pUSD. Throws when anything is not as it should be. */
export async function runFault(fault: Fault, test: Test): Promise<void> {
  resetScripts(test.network);
  await fault.run(test);
  await test.tally.expectBooked();
}

/** All of them, with the time limits of service, against a real relay on a real chain. */
export async function benchFaults(
  progress: (text: string) => void,
): Promise<Readonly<Record<string, unknown>>> {
  progress("deploying the contracts, starting a relay and six providers");
  const network = await startFaultNetwork(LIMITS);
  const faults: { name: string; passed: boolean; seconds: number; error?: string }[] = [];
  try {
    const tally = new Tally(network);
    const test = testOf(network, tally);
    for (const fault of FAULTS) {
      progress(fault.name);
      const began = performance.now();
      const error = await runFault(fault, test).then(
        () => undefined,
        (cause: unknown) => String(cause instanceof Error ? cause.message : cause),
      );
      const seconds = Math.round((performance.now() - began) / 100) / 10;
      faults.push({ name: fault.name, passed: error === undefined, seconds, ...(error ? { error } : {}) });
    }
    const settled = await tally.expectSettled().then(
      () => "equal",
      (cause: unknown) => String(cause),
    );
    return {
      passed: settled === "equal" ? faults.filter(({ passed }) => passed).length : 0,
      total: faults.length,
      requests: tally.requests,
      chargedPusd: `${tally.charged}`,
      /** What the chain took from the user and paid to the providers, against the sums of the answers. */
      settled,
      faults,
    };
  } finally {
    await network.close();
  }
}
