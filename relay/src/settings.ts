import { LOG_LEVELS } from "@aimo/node/log";
import { Type } from "typebox";
import { TIERS, type Tier } from "./core/tiers.ts";

/**
 * Everything that a relay's operator may set: type, default and meaning in one table. The file (TOML or JSON) and the
 * documentation write names in snake_case; `AIMO_RELAY_HTTP_PORT` sets `http.port`.
 */

const count = (value: number, description: string, [minimum, maximum]: readonly [number, number]) =>
  Type.Integer({ default: value, minimum, maximum, description });
const text = (value: string, description: string) =>
  Type.String({ default: value, maxLength: 4_096, description });
const needed = (description: string) => Type.String({ minLength: 1, maxLength: 4_096, description });
const list = (value: readonly string[], description: string) =>
  Type.Array(Type.String({ maxLength: 1_024 }), { default: [...value], maxItems: 256, description });
const flag = (value: boolean, description: string) => Type.Boolean({ default: value, description });
const usd = (value: string, description: string) =>
  Type.String({ default: value, pattern: USD_PATTERN, description });
/** A plain decimal, as `parseUsd` reads it. */
const USD_PATTERN = "^\\d{1,17}(\\.\\d{1,12})?$";
/** An operator's word on one tier: limits of an account, and whose accounts are in it. */
function tierSettings<T extends Tier>(
  tier: T,
  to: { requests: number; tokens: number; concurrency: number },
) {
  return {
    [`${tier}RequestsPerMinute`]: count(to.requests, `Requests per minute of an account in ${tier}.`, [
      1,
      10 ** 9,
    ]),
    [`${tier}TokensPerMinute`]: count(to.tokens, `Tokens per minute of an account in ${tier}.`, [
      1,
      10 ** 13,
    ]),
    [`${tier}Concurrency`]: count(to.concurrency, `Requests in flight of an account in ${tier}.`, [
      1,
      10 ** 6,
    ]),
    [`${tier}Accounts`]: list([], `Owners' addresses of accounts in ${tier}.`),
  } as {
    [K in `${T}RequestsPerMinute` | `${T}TokensPerMinute` | `${T}Concurrency`]: ReturnType<typeof count>;
  } & { [K in `${T}Accounts`]: ReturnType<typeof list> };
}
/** Providers keep 16 sessions of one relay, each process has one, and those of processes that are gone leave first. */
export const MAX_WORKERS = 12;
const CLOSED = { additionalProperties: false, default: {} };
const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const RelayConfigSchema = Type.Object(
  {
    keyFile: needed("The relay's hot key: a V3 keystore, or 64 hex digits in a file of mode 0600."),
    keyPasswordFile: text("", "File with the keystore's password, where the key is a keystore."),
    rpcUrl: needed("RPC endpoint of the chain."),
    deploymentFile: needed("JSON file with the addresses of the deployment."),
    dataFolder: needed('Where the journal lives; "memory" keeps nothing.'),
    logLevel: Type.Union(
      LOG_LEVELS.map((level) => Type.Literal(level)),
      { default: "info", description: "Least level." },
    ),
    workers: count(
      1,
      "Processes that serve requests; above 1 beside the one that has the books. As many as there are cores.",
      [1, MAX_WORKERS],
    ),
    drainMs: count(10_000, "Time for requests in flight to end when the relay stops.", [0, 600_000]),
    groupWaitMs: count(3_000, "Time for providers' last groups to come when the relay stops.", [0, 60_000]),
    settleWaitMs: count(60_000, "Time for the last batch to be posted when the relay stops.", [0, DAY_MS]),
    http: Type.Object(
      {
        host: text("127.0.0.1", "Address to listen on."),
        port: count(8787, "Port to listen on; 0 takes any.", [0, 65_535]),
        domains: list([], "Authorities that wallets may sign in to; the own address when empty."),
        corsOrigins: list(["*"], 'Origins of web pages that may call; "*" for all.'),
        maxBodyBytes: count(8 * MIB, "Largest request body.", [1_024, 64 * MIB]),
        maxAudioBytes: count(26 * MIB, "Largest form with a recording.", [1_024, 256 * MIB]),
        maxBodiesBytes: count(512 * MIB, "Bodies above 64 KiB in memory together.", [MIB, 64 * GIB]),
        maxReplyBytes: count(32 * MIB, "Largest reply that is not streamed.", [1_024, GIB]),
        headersTimeoutMs: count(10_000, "Time in which a request's headers must be sent.", [1_000, 600_000]),
        requestTimeoutMs: count(30_000, "Time in which a request must be sent.", [1_000, 600_000]),
        readerIdleMs: count(
          60_000,
          "Time without taking a byte of a reply that waits, after which its reader is gone.",
          [1_000, 3_600_000],
        ),
        maxConnections: count(16_384, "Connections; those beyond are closed.", [1, 1_000_000]),
        maxConnectionsPerAddress: count(1_024, "Connections of one address.", [1, 1_000_000]),
        uncountedAddresses: list(
          ["127.0.0.0/8", "::1"],
          "Addresses and networks whose connections are not counted, as those of trusted_proxies are not.",
        ),
        requestsPerMinute: count(
          1_000,
          "Requests per minute of a key without a limit of its own, or of an address.",
          [1, 10_000_000],
        ),
        trustedProxies: list([], "Addresses and networks of proxies whose X-Forwarded-For is believed."),
        metricsToken: text("", "Bearer token that GET /metrics asks for; open to all when empty."),
        authCallsPerMinute: count(30, "Sign-in calls per minute of one address.", [1, 100_000]),
        maxKeptReplyBytes: count(MIB, "Largest reply kept for a repeated Idempotency-Key.", [0, 64 * MIB]),
      },
      CLOSED,
    ),
    serving: Type.Object(
      {
        maxAttempts: count(3, "Providers tried for one request.", [1, 16]),
        hedgeAfterMs: count(
          0,
          "Silence after which a second provider is asked too, for 5 % of the requests at most; 0: never.",
          [0, 600_000],
        ),
        maxInFlight: count(4_096, "Requests in flight.", [1, 1_000_000]),
        maxInFlightPerAccount: count(1_024, "Requests in flight of one account.", [1, 1_000_000]),
        maxWaiting: count(1_024, "Requests that wait for room when all of it is taken.", [0, 100_000]),
        maxWaitMs: count(2_000, "How long they wait at most.", [0, 60_000]),
        shedAtLagMs: count(
          250,
          "Lag of the event loop at which the tier free is refused, pro at twice; 0: never.",
          [0, 60_000],
        ),
        countPercent: count(
          10,
          "Part of the chats whose completion tokens are counted here as well, percent; 0: none.",
          [0, 100],
        ),
        totalMs: count(600_000, "Longest request.", [1_000, DAY_MS]),
        keepAliveMs: count(10_000, "Silence of a stream before a comment fills it.", [1_000, 600_000]),
        stopWaitMs: count(2_000, "Wait for a provider's statement when a stream is cut.", [0, 60_000]),
      },
      CLOSED,
    ),
    cache: Type.Object(
      {
        maxEntries: count(100_000, "Replies kept for X-Aimo-Cache, in memory; 0: none.", [0, 10_000_000]),
        maxEntryBytes: count(MIB, "Largest reply that is kept.", [1_024, 64 * MIB]),
        maxAccountBytes: count(32 * MIB, "Kept replies of one account, bytes.", [1_024, 64 * GIB]),
        maxBytes: count(256 * MIB, "Kept replies of all accounts, bytes.", [1_024, 1_024 * GIB]),
      },
      CLOSED,
    ),
    batches: Type.Object(
      {
        maxFileBytes: count(32 * MIB, "Largest input file of a batch.", [1_024, 512 * MIB]),
        maxLines: count(10_000, "Requests in one batch.", [1, 1_000_000]),
        maxStoredPerAccount: count(256 * MIB, "Files and results of one account, bytes.", [1_024, 64 * GIB]),
        maxStored: count(4 * GIB, "Files of all accounts, bytes.", [1_024, 1_024 * GIB]),
        maxInFlight: count(32, "Requests of batches in flight.", [1, 100_000]),
        maxInFlightPerAccount: count(8, "Requests in flight of one account's batches.", [1, 100_000]),
        roomPercent: count(50, "Batches wait while others use this part of maxInFlight.", [0, 100]),
        keepDays: count(30, "Days that files and ended batches are kept.", [1, 3_650]),
      },
      CLOSED,
    ),
    upstream: Type.Object(
      {
        connections: count(512, "Connections to one provider.", [1, 65_535]),
        connectMs: count(2_000, "Time to connect to a provider.", [10, 60_000]),
        firstByteMs: count(60_000, "Time to the head of a provider's answer.", [100, 3_600_000]),
        idleMs: count(30_000, "Longest silence within an answer.", [100, 3_600_000]),
      },
      CLOSED,
    ),
    tiers: Type.Object(
      {
        default: Type.Union(
          TIERS.map((tier) => Type.Literal(tier)),
          { default: "pro", description: "Tier of accounts that are in no list." },
        ),
        ...tierSettings("free", { requests: 100, tokens: 200_000, concurrency: 64 }),
        ...tierSettings("pro", { requests: 1_000, tokens: 20_000_000, concurrency: 1_024 }),
        ...tierSettings("enterprise", { requests: 10_000, tokens: 1_000_000_000, concurrency: 4_096 }),
      },
      CLOSED,
    ),
    tracing: Type.Object(
      {
        endpoint: Type.String({
          default: "",
          pattern: "^(https?://.{1,2000})?$",
          description:
            "Where traces go by OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces; none when empty.",
        }),
        samplePercent: count(100, "Part of the requests that are traced, percent.", [1, 100]),
      },
      CLOSED,
    ),
    hooks: Type.Object(
      {
        module: text("", "ESM module that looks at requests and replies (docs/hooks.md); none when empty."),
        timeLimitMs: count(1_000, "Time that one of its hooks may take.", [1, 60_000]),
      },
      CLOSED,
    ),
    gossip: Type.Object(
      {
        listen: list(["/ip4/127.0.0.1/tcp/0"], "Multiaddrs to listen on."),
        bootstrap: list([], "Multiaddrs of nodes to stay connected to."),
        allowPlainHttp: flag(
          false,
          "Takes providers without TLS that are not on this machine: closed networks only.",
        ),
      },
      CLOSED,
    ),
    settling: Type.Object(
      {
        amountUsd: usd("1", "Posts when this much is unsettled."),
        channelPercent: count(25, "Posts when this part of a channel is unsettled.", [1, 100]),
        maxAgeMs: count(0, "Posts when a receipt is this old; 0: a tenth of the posting window.", [
          0,
          DAY_MS,
        ]),
        providerPercent: count(50, "Posts when this part of what a provider lends is used.", [1, 100]),
        strangerGasEth: usd("0.05", "Gas for opening channels of others, per day, in whole coins."),
      },
      CLOSED,
    ),
  },
  { additionalProperties: false },
);
