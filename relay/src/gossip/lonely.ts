import type { Log } from "@aimo/node/log";
import type { P2p } from "@aimo/node/p2p";

/** Nodes of a network dial each other within seconds, and again every minute or so. */
const LOOK_MS = 30_000;

export type LonelyParameters = {
  readonly p2p: Pick<P2p, "peers" | "addresses">;
  readonly bootstrap: readonly string[];
  readonly log: Pick<Log, "info" | "warn">;
  /** Calls it again and again until it is stopped by what it returns. */
  readonly every?: (look: () => void) => () => void;
};

/**
 * Says that nobody is connected: a relay that hears no provider has nothing to sell, and nothing else tells why. Once
 * for each time that it is alone. Returns what stops it.
 */
export function watchLoneliness({ p2p, bootstrap, log, every = everyLook }: LonelyParameters): () => void {
  if (bootstrap.length === 0)
    log.info(
      { addresses: p2p.addresses() },
      "No gossip.bootstrap is set: this relay hears only nodes that dial it.",
    );
  let isTold = false;
  return every(() => {
    const isAlone = p2p.peers().length === 0;
    if (isAlone && !isTold)
      log.warn(
        { bootstrap, addresses: p2p.addresses() },
        "No node is connected, so no provider is heard: set gossip.bootstrap, or name one of these addresses to others.",
      );
    isTold = isAlone;
  });
}

function everyLook(look: () => void): () => void {
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
