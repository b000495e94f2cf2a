import { judgeAnnouncement, type SignedAnnouncement } from "@aimo/node/announcements";
import type { Log } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { offersTopic } from "@aimo/protocol/announcement";
import type { Deployment } from "@aimo/protocol/deployment";
import type { Hex } from "viem";
import type { ProviderRegistry } from "../flow/ports.ts";
import { watchLoneliness } from "./lonely.ts";
import type { LiveOffers } from "./offer-book.ts";

export type GossipOptions = {
  readonly privateKey: Hex;
  /** Multiaddrs to listen on, and nodes to stay connected to. */
  readonly listen: readonly string[];
  readonly bootstrap: readonly string[];
  readonly deployment: Deployment;
  readonly registry: ProviderRegistry;
  readonly offers: LiveOffers;
  readonly now: () => number;
  readonly log: Log;
};

/** Announcements of senders not known yet, kept for a second look: a network's providers may all start at once. */
const MAX_WAITING = 256;
/** The registry is read in a few milliseconds to a few seconds; after that the next announcement is near. */
const LOOK_AGAIN_MS = [200, 1_000, 3_000] as const;

/** Hears providers on the offers topic. Throws `port_in_use` or `config_invalid`. */
export async function startGossip(options: GossipOptions): Promise<P2p> {
  const { privateKey, listen, bootstrap, deployment, offers, log } = options;
  const timers = new Set<NodeJS.Timeout>();
  const onAccepted = (signed: SignedAnnouncement) => void offers.accept(signed);
  const lookAgain = (data: Uint8Array, look: number) => {
    const delay = LOOK_AGAIN_MS[look];
    if (delay === undefined || timers.size >= MAX_WAITING) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      const { verdict, wasRefused } = judge(options, data);
      if ("accept" in verdict) onAccepted(verdict.accept);
      else if (wasRefused) lookAgain(data, look + 1);
    }, delay);
    timers.add(timer);
  };
  const p2p = await startP2p<SignedAnnouncement>({
    ...{ privateKey, listen, bootstrap, log, onAccepted, topic: offersTopic(deployment) },
    judge: (data) => {
      const { verdict, wasRefused } = judge(options, data);
      if (wasRefused) lookAgain(data, 0);
      return verdict;
    },
  });
  const stopWatching = watchLoneliness({ p2p, bootstrap, log });
  return {
    ...p2p,
    close: async () => {
      stopWatching();
      for (const timer of timers) clearTimeout(timer);
      await p2p.close();
    },
  };
}

/** `wasRefused`: all is in order but for what the registry says, or does not say yet, of the sender. */
function judge({ deployment, offers, registry, now }: GossipOptions, data: Uint8Array) {
  let wasRefused = false;
  const verdict = judgeAnnouncement(data, {
    deployment,
    now: now(),
    lastSequence: (providerId) => offers.lastSequence(providerId),
    refusal: (providerId, signer) => {
      const refusal = registry.refusal(providerId, signer);
      wasRefused = refusal !== undefined;
      return refusal;
    },
  });
  return { verdict, wasRefused };
}
