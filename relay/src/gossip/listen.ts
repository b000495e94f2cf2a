import { judgeAnnouncement, type SignedAnnouncement } from "@aimo/node/announcements";
import type { Log } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { offersTopic } from "@aimo/protocol/announcement";
import type { Deployment } from "@aimo/protocol/deployment";
import type { Hex } from "viem";
import type { Offer } from "../core/types.ts";
import type { ProviderRegistry } from "../flow/ports.ts";
import type { LiveOffers } from "./offer-book.ts";

export type GossipOptions = {
  readonly privateKey: Hex;
  /** Multiaddrs to listen on, and nodes to stay connected to. */
  readonly listen: readonly string[];
  readonly bootstrap: readonly string[];
  readonly deployment: Deployment;
  readonly registry: ProviderRegistry;
  readonly offers: LiveOffers;
  /** Told of each offer that was announced or renewed. */
  readonly onOffer: (offer: Offer) => void;
  readonly now: () => number;
  readonly log: Log;
};

/** Hears providers on the offers topic. Throws `port_in_use` or `config_invalid`. */
export function startGossip(options: GossipOptions): Promise<P2p> {
  const { privateKey, listen, bootstrap, deployment, registry, offers, onOffer, now, log } = options;
  const context = {
    deployment,
    lastSequence: (providerId: number) => offers.lastSequence(providerId),
    refusal: registry.refusal.bind(registry),
  };
  return startP2p<SignedAnnouncement>({
    ...{ privateKey, listen, bootstrap, log },
    topic: offersTopic(deployment),
    judge: (data) => judgeAnnouncement(data, { ...context, now: now() }),
    onAccepted: (signed) => offers.accept(signed).forEach(onOffer),
  });
}
