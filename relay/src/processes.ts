import type { Address, Hex } from "viem";
import type { RelayConfig } from "./config.ts";

/** What a worker is told first. */
export type WorkerStart = {
  readonly config: Pick<RelayConfig, "http" | "serving" | "upstream" | "tiers" | "hooks" | "logLevel">;
  readonly relayId: number;
  readonly chainId: number;
  readonly settlement: Address;
  /** The node's key: providers open sessions for it alone. */
  readonly privateKey: Hex;
  /** How many processes there are, the parent among them. */
  readonly processes: number;
  /** Where the parent answers what workers do not. */
  readonly mainSocket: string;
  /** What it knows its workers by there. */
  readonly secret: string;
};

/**
 * A program of this folder, to be run by another process or thread: its source, or, in the published package, the file
 * beside the command line (scripts/build.ts). `here`: `import.meta.url` of the caller.
 */
export function programOf(here: string, name: string): URL {
  return here.endsWith(".ts") ? new URL(`./${name}.ts`, here) : new URL(`../relay-${name}.js`, here);
}

/** Processes that send requests to providers: this one too, for batches and what is kept. */
export const processesOf = ({ workers }: Pick<RelayConfig, "workers">): number =>
  workers > 1 ? workers + 1 : 1;

/** The relay's limit on connections to a provider is one for all of its processes. */
export function shareOf(limits: RelayConfig["upstream"], processes: number): RelayConfig["upstream"] {
  return { ...limits, connections: Math.max(1, Math.floor(limits.connections / processes)) };
}
