import { setTimeout as sleep } from "node:timers/promises";
import type { PeerId } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Libp2p } from "libp2p";
import type { Log } from "./log.ts";

export type RedialParameters = {
  readonly node: Pick<Libp2p, "dial" | "getConnections" | "addEventListener" | "removeEventListener">;
  readonly address: Multiaddr;
  readonly signal: AbortSignal;
  readonly log: Log;
};

/** First and longest pause between two tries. A dead bootstrap node costs one try per half a minute. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
const DIAL_DEADLINE_MS = 10_000;

/** Keeps one connection to an address until the signal says stop; resolves then, and never rejects. */
export async function keepDialing({ node, address, signal, log }: RedialParameters): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const connection = await node.dial(address, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_DEADLINE_MS)]),
      });
      pauseMs = FIRST_PAUSE_MS;
      log.debug({ address: address.toString() }, "bootstrap node connected");
      await untilDisconnected(node, connection.remotePeer, signal);
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      log.debug({ address: address.toString(), pauseMs, reason }, "bootstrap node not reached");
    }
    // Jitter, so that nodes that lost the same peer do not come back as one.
    await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

/** Resolves when the last connection to a peer is gone, or when stopped. */
function untilDisconnected(node: RedialParameters["node"], peer: PeerId, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      node.removeEventListener("peer:disconnect", onDisconnect);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const onDisconnect = (event: CustomEvent<PeerId>) => {
      if (event.detail.equals(peer)) done();
    };
    node.addEventListener("peer:disconnect", onDisconnect);
    signal.addEventListener("abort", done);
    // It may be gone already, between the dial and here.
    if (signal.aborted || node.getConnections(peer).length === 0) done();
  });
}
