import { encodeAnnouncement } from "@aimo/node/announcements";
import { createLog } from "@aimo/node/log";
import { startP2p } from "@aimo/node/p2p";
import { MAX_ANNOUNCEMENT_LIFE_MS, offersTopic } from "@aimo/protocol/announcement";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { MODEL } from "./mock.ts";
import type { World } from "./world.ts";

const ANNOUNCE_MS = 5_000;

type AnnouncingParameters = {
  /** The provider in it is the one that announces. */
  readonly world: Pick<World, "deployment" | "modelId" | "providerId" | "providerKey">;
  readonly port: number;
  /** Multiaddrs of the relay. */
  readonly bootstrap: readonly string[];
  readonly maxOutputTokens?: number;
};

/** Tells by gossip, again and again, that a mock on this machine serves the bench's model. */
export async function startAnnouncing(parameters: AnnouncingParameters): Promise<{ close(): Promise<void> }> {
  const { world, port, bootstrap, maxOutputTokens = 4_096 } = parameters;
  const { deployment, providerId, providerKey, modelId } = world;
  const p2p = await startP2p<never>({
    ...{ privateKey: providerKey, listen: [], bootstrap, topic: offersTopic(deployment) },
    judge: () => ({ ignore: "a provider passes nothing on" }),
    onAccepted: () => {},
    onPeer: () => void announce(),
    log: createLog({ level: "warn", name: "bench-provider" }),
  });
  const timer = setInterval(() => void announce(), ANNOUNCE_MS);

  async function announce(): Promise<void> {
    if (p2p.peers().length === 0) return;
    const now = Date.now();
    const offer = {
      ...{ modelId, slug: MODEL, priceVersion: 1, route: "chat" as const, contextTokens: 8_192 },
      ...{ maxOutputTokens, freeSlots: 4_096, queued: 0, latencyMs: 1 },
      description: "The bench's mock.",
    };
    const { chainId, contracts } = deployment;
    const announcement = {
      ...{ version: PROTOCOL_VERSION, chainId, settlement: contracts.settlement },
      ...{ providerId, endpoint: `http://127.0.0.1:${port}`, region: "local", models: [offer] },
      ...{ sequence: now, issuedAt: now, expiresAt: now + MAX_ANNOUNCEMENT_LIFE_MS },
    };
    await p2p.publish(encodeAnnouncement(announcement, providerKey));
  }
  return {
    close: async () => {
      clearInterval(timer);
      await p2p.close();
    },
  };
}
