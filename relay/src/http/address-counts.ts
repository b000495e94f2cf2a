import type { BlockList } from "node:net";
import { isIn, networksOf } from "./networks.ts";

export type ConnectionLimits = {
  /** Connections of one address: those beyond it are refused by name, those beyond twice as many closed. */
  readonly maxConnectionsPerAddress: number;
  /** Addresses and networks whose connections are not counted: proxies, and the operator's own. */
  readonly uncountedAddresses: readonly string[];
  readonly trustedProxies: readonly string[];
};

export type ConnectionVerdict = "take" | "refuse" | "close";

/** Connections that are open, by address. */
export class AddressCounts {
  readonly #most: number;
  readonly #uncounted: BlockList;
  readonly #counts = new Map<string, number>();

  constructor({ maxConnectionsPerAddress, uncountedAddresses, trustedProxies }: ConnectionLimits) {
    this.#most = maxConnectionsPerAddress;
    this.#uncounted = networksOf([...uncountedAddresses, ...trustedProxies]);
  }

  /** A connection comes: counted, unless it is to be closed. An empty address is no client's. */
  enter(address: string): ConnectionVerdict {
    if (!this.#isCounted(address)) return "take";
    const count = (this.#counts.get(address) ?? 0) + 1;
    if (count > 2 * this.#most) return "close";
    this.#counts.set(address, count);
    return count > this.#most ? "refuse" : "take";
  }

  /** One that was counted has ended. */
  leave(address: string): void {
    if (!this.#isCounted(address)) return;
    const left = (this.#counts.get(address) ?? 1) - 1;
    if (left > 0) this.#counts.set(address, left);
    else this.#counts.delete(address);
  }

  #isCounted(address: string): boolean {
    return address !== "" && !isIn(this.#uncounted, address);
  }
}
