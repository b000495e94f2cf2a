import { createHash } from "node:crypto";
import { MAX_ANNOUNCEMENT_BYTES } from "@aimo/protocol/announcement";
import { toBytes } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import { noise } from "@chainsafe/libp2p-noise";
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import { type GossipSub, gossipsub, StrictNoSign, TopicValidatorResult } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import type { PeerId } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { createLibp2p, type Libp2p } from "libp2p";
import type { Address, Hex } from "viem";
import { addressOfPublicKey } from "./fast-crypto.ts";
import { listenError } from "./listen-error.ts";
import type { Log } from "./log.ts";
import { scoreParameters, scoreThresholds } from "./p2p-score.ts";
import { keepDialing } from "./redial.ts";
import type { Verdict } from "./verdict.ts";

export type P2pParameters<T> = {
  /** The node's key: its PeerId is the public key of its on-chain signer. */
  readonly privateKey: Hex;
  /** Multiaddrs, e.g. `/ip4/127.0.0.1/tcp/0`. Empty: dials only. */
  readonly listen: readonly string[];
  /** Multiaddrs of nodes to stay connected to; dialled again, with back-off, whenever the connection is gone. */
  readonly bootstrap: readonly string[];
  readonly topic: string;
  /** Pure over what the room knows, cheap checks first. Never throws. */
  readonly judge: (data: Uint8Array) => Verdict<T>;
  /** Told of each accepted message, in the same turn as its judgement, so that a judge may rely on it. */
  readonly onAccepted: (value: T) => void;
  /** Told when a peer joins the topic's mesh: a good moment to announce. */
  readonly onPeer?: (peer: string) => void;
  readonly log: Log;
};

export type P2pPeer = { readonly id: string; readonly address: Address | undefined; readonly score: number };

export interface P2p {
  readonly id: string;
  /** Where others can dial this node, with its id. */
  addresses(): string[];
  /** Nodes connected now. */
  peers(): P2pPeer[];
  /**
   * Sends bytes to the topic and returns how many peers they went to. The first call waits for a peer in the mesh (at
   * most `FIRST_PEER_DEADLINE_MS`); nobody there is no error but 0. Throws a RangeError above MAX_ANNOUNCEMENT_BYTES.
   */
  publish(data: Uint8Array): Promise<number>;
  /** Ends every connection, listener and timer. */
  close(): Promise<void>;
}

/** How long the first publish waits for a peer: a graft takes a fraction of a second when there is one. */
export const FIRST_PEER_DEADLINE_MS = 5_000;
/** An AiMo network's gossip is small; more connections cost memory and bring nothing. */
const MAX_CONNECTIONS = 256;
/** Connections per second from one host: a whole local network starts at once from one. */
const MAX_INBOUND_PER_SECOND = 32;
/** One frame may bundle messages that were asked for; this holds 32 of the largest. */
const MAX_FRAME_BYTES = 32 * MAX_ANNOUNCEMENT_BYTES;
const RPC_LIMITS = {
  maxSubscriptions: 16,
  maxMessages: 256,
  maxIhaveMessageIDs: 1_024,
  maxIwantMessageIDs: 1_024,
  maxIdontwantMessageIDs: 1_024,
  maxControlMessages: 64,
  maxPeerInfos: 16,
};

type Node = Libp2p<{ pubsub: GossipSub }>;

/** On-chain address of the node behind a PeerId; undefined when its key is no secp256k1 key. Never throws. */
export function peerAddress(peer: PeerId | string): Address | undefined {
  try {
    const id = typeof peer === "string" ? peerIdFromString(peer) : peer;
    return id.type === "secp256k1" ? addressOfPublicKey(id.publicKey.raw) : undefined;
  } catch {
    // Not a PeerId at all.
    return undefined;
  }
}

/**
 * Joins the gossip network of one topic over TCP, Noise and yamux.
 * Throws `port_in_use` or `config_invalid` when it cannot listen.
 */
export async function startP2p<T>(parameters: P2pParameters<T>): Promise<P2p> {
  const { topic, onPeer, bootstrap, log } = parameters;
  const bootstrapAddresses = bootstrap.map(readAddress);
  parameters.listen.map(readAddress);
  const node = await createNode(parameters);
  const pubsub = node.services.pubsub;
  const stopping = new AbortController();
  pubsub.topicValidators.set(topic, (peer, message) => judgeMessage(parameters, peer, message.data));
  pubsub.addEventListener("gossipsub:graft", ({ detail }) => {
    if (detail.topic !== topic) return;
    log.debug({ peer: detail.peerId }, "peer joined the mesh");
    onPeer?.(detail.peerId);
  });
  const firstPeer = waitForGraft(pubsub, topic, stopping.signal);
  await start(node, parameters);
  pubsub.subscribe(topic);
  const dialing = bootstrapAddresses.map((address) =>
    keepDialing({ node, address, signal: stopping.signal, log }),
  );
  return {
    id: node.peerId.toString(),
    addresses: () => node.getMultiaddrs().map(String),
    peers: () => node.getPeers().map((peer) => describePeer(node, peer)),
    publish: async (data) => {
      if (data.length > MAX_ANNOUNCEMENT_BYTES)
        throw new RangeError(`The message is ${data.length} bytes, above ${MAX_ANNOUNCEMENT_BYTES}.`);
      await firstPeer;
      return publish(pubsub, topic, data, log);
    },
    close: async () => {
      stopping.abort();
      await Promise.all(dialing);
      await node.stop();
    },
  };
}

function createNode<T>({ privateKey, listen, topic }: P2pParameters<T>): Promise<Node> {
  return createLibp2p({
    start: false,
    privateKey: privateKeyFromRaw(toBytes(privateKey)),
    addresses: { listen: [...listen] },
    transports: [tcp({ maxConnections: MAX_CONNECTIONS })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: MAX_INBOUND_PER_SECOND,
      maxIncomingPendingConnections: MAX_INBOUND_PER_SECOND,
    },
    services: {
      identify: identify(),
      pubsub: gossipsub({
        // The announcement signs itself; the forwarder's signature would only cost.
        globalSignaturePolicy: StrictNoSign,
        msgIdFn: ({ data }) => createHash("sha256").update(data).digest().subarray(0, 20),
        allowedTopics: [topic],
        allowPublishToZeroTopicPeers: true,
        ignoreDuplicatePublishError: true,
        maxInboundDataLength: MAX_FRAME_BYTES,
        decodeRpcLimits: RPC_LIMITS,
        scoreParams: scoreParameters(topic),
        scoreThresholds,
      }),
    },
  });
}

function readAddress(address: string): Multiaddr {
  try {
    return multiaddr(address);
  } catch (cause) {
    throw new AimoError("config_invalid", {
      message: `"${address}" is no multiaddr: write it as /ip4/127.0.0.1/tcp/4001.`,
      cause,
    });
  }
}

async function start<T>(node: Node, { listen }: P2pParameters<T>): Promise<void> {
  try {
    await node.start();
  } catch (error) {
    await node.stop();
    const { host, port } = hostAndPort(listen[0]);
    throw listenError(error, { host, port });
  }
}

function hostAndPort(address: string | undefined): { host: string; port: number } {
  const [, , host = "", , port = "0"] = (address ?? "").split("/");
  return { host, port: Number(port) };
}

/** The one place where a verdict becomes libp2p's word, a log line and a side effect. */
function judgeMessage<T>(
  { judge, onAccepted, log }: P2pParameters<T>,
  peer: PeerId,
  data: Uint8Array,
): TopicValidatorResult {
  const verdict: Verdict<T> = data.length > MAX_ANNOUNCEMENT_BYTES ? { reject: "oversize" } : judge(data);
  if ("accept" in verdict) {
    onAccepted(verdict.accept);
    return TopicValidatorResult.Accept;
  }
  if ("ignore" in verdict) {
    log.debug({ peer: peer.toString(), reason: verdict.ignore }, "message ignored");
    return TopicValidatorResult.Ignore;
  }
  log.debug({ peer: peer.toString(), reason: verdict.reject }, "message rejected");
  return TopicValidatorResult.Reject;
}

/** Resolves at the first peer in the topic's mesh, at the deadline, or when stopped; never rejects. */
function waitForGraft(pubsub: GossipSub, topic: string, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      pubsub.removeEventListener("gossipsub:graft", onGraft);
      stopped.removeEventListener("abort", done);
      resolve();
    };
    const onGraft = (event: CustomEvent<{ topic: string }>) => {
      if (event.detail.topic === topic) done();
    };
    const timer = setTimeout(done, FIRST_PEER_DEADLINE_MS);
    pubsub.addEventListener("gossipsub:graft", onGraft);
    stopped.addEventListener("abort", done);
  });
}

async function publish(pubsub: GossipSub, topic: string, data: Uint8Array, log: Log): Promise<number> {
  try {
    return (await pubsub.publish(topic, data)).recipients.length;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("PublishError.")) throw error;
    // Nobody to hear it is no fault of the caller's: the next announcement follows in seconds.
    log.debug({ reason: error.message }, "message not published");
    return 0;
  }
}

function describePeer(node: Node, peer: PeerId): P2pPeer {
  const id = peer.toString();
  // The score is on the class, not on its published interface.
  const { getScore } = node.services.pubsub as GossipSub & { getScore?: (id: string) => number };
  return { id, address: peerAddress(peer), score: getScore?.call(node.services.pubsub, id) ?? 0 };
}
