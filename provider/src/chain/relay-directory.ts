import { relayOf } from "@aimo/protocol/actions/registry";
import { isActive } from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { zeroAddress } from "viem";
import type { RelayDirectory, RelayOnChain } from "../flow/ports.ts";
import type { ChainReader } from "./sender.ts";

/** How long an answer of the chain is good for, also "no such relay". Below the recheck of open sessions. */
const TTL_MS = 10_000;
/** Answers kept; anyone may ask for any id, so the oldest go. */
const MAX_KEPT = 1_024;

type Kept = { readonly answer: Promise<RelayOnChain | undefined>; readonly until: number };

/** Relays as the chain has them, cached. `now`: monotonic milliseconds. */
export function createRelayDirectory(client: ChainReader, now: () => number): RelayDirectory {
  const kept = new Map<number, Kept>();
  return {
    relayOf: (relayId) => {
      const known = kept.get(relayId);
      if (known && known.until > now()) return known.answer;
      const answer = readRelay(client, relayId);
      // A failure is no answer: the next one asks again.
      answer.catch(() => kept.delete(relayId));
      kept.delete(relayId);
      kept.set(relayId, { answer, until: now() + TTL_MS });
      const [oldest] = kept.keys();
      if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
      return answer;
    },
  };
}

async function readRelay(client: ChainReader, relayId: number): Promise<RelayOnChain | undefined> {
  const { public: reader, readAt: blockTag, deployment } = client;
  const [relay, bonded] = await Promise.all([
    relayOf(reader, { deployment, relayId, blockTag }),
    isActive(reader, { deployment, role: ROLES.relay, id: relayId, blockTag }),
  ]);
  if (relay.signer === zeroAddress) return undefined;
  return { relayId, signer: relay.signer, active: relay.deactivatedAt === 0, bonded };
}
