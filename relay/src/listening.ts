import type { AddressInfo } from "node:net";
import { listenError } from "@aimo/node/listen-error";
import { randomHex } from "@aimo/node/random";
import type { FastifyInstance } from "fastify";
import type { RelayConfig } from "./config.ts";
import { buildApp } from "./http/app.ts";
import { Gate } from "./http/gate.ts";
import type { RelayParts, Served } from "./parts.ts";
import { AuthSessionStore } from "./store/auth-sessions.ts";
import { PresetStore } from "./store/presets.ts";
import type { Workers } from "./workers.ts";

/** Too long to be guessed. */
const SECRET_BYTES = 32;

export type ListeningParameters = {
  readonly config: RelayConfig;
  readonly parts: RelayParts;
  readonly served: Served;
  /** Undefined: this process serves clients itself. */
  readonly workers: Workers | undefined;
};

export type Listening = { readonly url: string; close(): Promise<void> };

/** Starts to take clients' connections. Throws `port_in_use` and `config_invalid`. */
export async function startListening(parameters: ListeningParameters): Promise<Listening> {
  const { config, served, workers } = parameters;
  const { rates, keys } = served;
  const { host, port } = config.http;
  const sessions = new AuthSessionStore(Date.now);
  const gate = new Gate({ keys, sessions, rates });
  const close = async () => {
    await workers?.close();
    const closed = app.close();
    app.server.closeAllConnections();
    await closed;
  };
  const workersSecret = workers ? randomHex(SECRET_BYTES) : undefined;
  const addressOf = () => workers?.address ?? (app.server.address() as AddressInfo);
  const app: FastifyInstance = await createApp(parameters, {
    ...{ gate, sessions, workersSecret, addressOf },
  });
  try {
    if (workers && workersSecret !== undefined)
      await workers.start({ app, gate, served, secret: workersSecret });
    else await app.listen({ host, port });
  } catch (error) {
    await close();
    throw listenError(error, { host, port });
  }
  return { url: urlOf(addressOf()), close };
}

type AppParts = {
  readonly gate: Gate;
  readonly sessions: AuthSessionStore;
  readonly workersSecret: string | undefined;
  readonly addressOf: () => AddressInfo;
};

function createApp(
  { config: { http }, parts, served }: ListeningParameters,
  { addressOf, ...doors }: AppParts,
): Promise<FastifyInstance> {
  const { batching, observations, routing } = served;
  const { domains } = http;
  return buildApp({
    ...{ ...parts, ...served, ...batching, ...doors, settings: http, now: Date.now },
    presets: new PresetStore(parts.db, Date.now),
    chainId: parts.deployment.chainId,
    seen: {
      observed: (providerId, model) => observations.read(providerId, model, Date.now()),
      isResting: (offer) => routing.isResting(offer, Date.now()),
    },
    maxKeptBytes: http.maxKeptReplyBytes,
    domains: () => (domains.length > 0 ? domains : ownDomains(addressOf())),
  });
}

/** A relay on loopback is known by its address and as localhost. */
function ownDomains(address: AddressInfo): readonly string[] {
  const { host, port } = new URL(urlOf(address));
  return [host, `localhost:${port}`];
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
