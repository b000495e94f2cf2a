import { timingSafeEqual } from "node:crypto";
import { AimoError, type ErrorCode } from "@aimo/protocol/errors";
import type { WellKnown } from "@aimo/protocol/routes";
import type { FastifyPluginAsync } from "fastify";
import { open } from "./schemas.ts";

export type MetaOptions = {
  readonly identity: () => WellKnown;
  readonly admission: { readonly isClosed: boolean; readonly inFlight: number };
  /** Wall-clock second at which a pause of the protocol ends by itself; undefined while it runs. */
  readonly pausedUntil: () => number | undefined;
  /** What whoever reads the metrics must bring; "": nothing. */
  readonly metricsToken: string;
  readonly metrics: {
    readonly contentType: string;
    read(): Promise<string>;
    /** A request that is answered with an error. */
    onRefusal(code: ErrorCode): void;
  };
};

/** Who this relay is and how it does. */
export const metaRoutes: FastifyPluginAsync<MetaOptions> = async (
  app,
  { identity, admission, pausedUntil, metrics, metricsToken },
) => {
  app.get("/health", { schema: open("getHealth", "Whether the relay serves") }, async (_request, reply) => {
    reply.code(admission.isClosed ? 503 : 200);
    const until = pausedUntil();
    // Requests are served during a pause; only nothing is posted.
    const pause = until === undefined ? {} : { posting: "paused", paused_until: until };
    return { status: admission.isClosed ? "draining" : "ok", in_flight: admission.inFlight, ...pause };
  });
  app.get("/.well-known/aimo", { schema: open("getIdentity", "Relay, chain and contracts") }, async () =>
    identity(),
  );
  app.get("/metrics", { schema: { hide: true } }, async ({ headers }, reply) => {
    if (metricsToken !== "" && !isSame(headers.authorization ?? "", `Bearer ${metricsToken}`))
      throw new AimoError("authentication_failed", {
        message: "The metrics of this relay are for those who have its token.",
        hint: "Send `Authorization: Bearer …` with the relay's `http.metrics_token`.",
      });
    return reply.type(metrics.contentType).send(await metrics.read());
  });
  app.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
};

/** In a time that tells nothing of where two texts differ. */
function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
