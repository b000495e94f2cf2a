import type { Database } from "@aimo/node/data-dir";
import type { Log } from "@aimo/node/log";
import type { Deployment } from "@aimo/protocol/deployment";
import type { WellKnown } from "@aimo/protocol/routes";
import type { Address, Hex } from "viem";
import type { Batching } from "./batching.ts";
import type { Observations } from "./core/observations.ts";
import type { RoutingState } from "./core/routing-state.ts";
import type { Tiers } from "./core/tiers.ts";
import type { Admission } from "./flow/admission.ts";
import type { ReplyCache } from "./flow/cache-ports.ts";
import type { BooksDesk } from "./flow/desk.ts";
import type { RequestRates } from "./flow/request-rates.ts";
import type { Serving } from "./flow/serve.ts";
import type { LiveOffers } from "./gossip/offer-book.ts";
import type { RelayMetrics } from "./metrics.ts";
import type { Money } from "./money.ts";
import type { KeyStore } from "./store/keys.ts";
import type { TokenCounter } from "./token-counter.ts";
import type { Tracing } from "./tracing.ts";
import type { InFlight } from "./upstream/in-flight.ts";
import type { Providers } from "./upstream/providers.ts";

/** What a relay is put together from, once its chain is connected and its money is open. */
export type RelayParts = Omit<Money, "close"> & {
  readonly relayId: number;
  readonly privateKey: Hex;
  readonly deployment: Deployment;
  readonly db: Database;
  /** The relay's own fee in force, and what `/.well-known/aimo` says. */
  readonly feeBps: () => number;
  readonly identity: () => WellKnown;
  readonly verifyOnChain?: (wallet: {
    address: Address;
    message: string;
    signature: Hex;
  }) => Promise<boolean>;
  /** Protocol seconds. */
  readonly protocolNow: () => number;
  /** Wall-clock second at which a pause ends by itself; undefined while the protocol runs. */
  readonly pausedUntil: () => number | undefined;
  readonly log: Log;
};

/** Told of each hold and of how it ended. */
export type Observers = Pick<RelayMetrics, "onHold" | "onCommit"> & Pick<Tracing, "close">;

/** What a relay serves with. */
export type Rooms = {
  readonly offers: LiveOffers;
  readonly upstream: Providers;
  readonly metrics: RelayMetrics;
  readonly observers: Observers;
  readonly routing: RoutingState;
  readonly observations: Observations;
  readonly tiers: Tiers;
  readonly rates: RequestRates;
  readonly admission: Admission;
  readonly counts: TokenCounter;
};

/** All that answers requests. */
export type Served = Rooms & {
  readonly desk: BooksDesk;
  readonly inFlight: InFlight;
  readonly serving: Serving;
  readonly keys: KeyStore;
  readonly batching: Batching;
  readonly cache: ReplyCache;
};
