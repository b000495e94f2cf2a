import { createPeerScoreParams, createTopicScoreParams, type PeerScoreParams } from "@libp2p/gossipsub/score";

/** How a peer's messages move its score. One rejected message stops gossip to it, a second one silences it. */
const INVALID_WEIGHT = -30;
const DECAY_INTERVAL_MS = 1_000;
/** Junk is forgotten (down to 1 %) in ten minutes, so a node that was misconfigured can come back. */
const INVALID_DECAY = 0.01 ** (1 / 600);

/**
 * Below `gossipThreshold` a peer gets no gossip, below `publishThreshold` no messages of ours, below
 * `graylistThreshold` nothing it sends is read.
 */
export const scoreThresholds = {
  gossipThreshold: -10,
  publishThreshold: -50,
  graylistThreshold: -80,
  acceptPXThreshold: 10,
  opportunisticGraftThreshold: 1,
};

/** Peer scores of a network with one quiet topic. */
export function scoreParameters(topic: string): PeerScoreParams {
  return createPeerScoreParams({
    decayInterval: DECAY_INTERVAL_MS,
    topicScoreCap: 20,
    // Local networks run every node on one address.
    IPColocationFactorWhitelist: new Set(["127.0.0.1", "::1"]),
    topics: {
      [topic]: createTopicScoreParams({
        topicWeight: 1,
        timeInMeshWeight: 0.01,
        timeInMeshQuantum: 1_000,
        timeInMeshCap: 600,
        firstMessageDeliveriesWeight: 0.5,
        firstMessageDeliveriesDecay: 0.95,
        firstMessageDeliveriesCap: 20,
        // A quiet topic gives honest peers nothing to deliver; silence must not cost them score.
        meshMessageDeliveriesWeight: 0,
        meshFailurePenaltyWeight: 0,
        invalidMessageDeliveriesWeight: INVALID_WEIGHT,
        invalidMessageDeliveriesDecay: INVALID_DECAY,
      }),
    },
  });
}
