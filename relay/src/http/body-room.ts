import { AimoError } from "@aimo/protocol/errors";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { keyOf } from "./access.ts";
import { onDeparture } from "./departure.ts";

/** Bodies up to here are not counted: connections are, and nearly all requests are smaller. */
const SMALL_BYTES = 64 * 1024;
/** One account has at most this part of the room, so that it cannot take all of it from the others. */
const ACCOUNT_PART = 4;
const MIB = 1024 * 1024;

/**
 * Bounds the large bodies that are in memory together, for the routes of a plugin: a body stays until its answer has
 * ended, since another provider may be asked for it. Each takes what it says it is before it is read. One alone always
 * finds room.
 */
export function boundBodies(app: FastifyInstance, maxBytes: number): void {
  const room = new BodyRoom(maxBytes);
  app.addHook("preParsing", (request, reply, payload, done) => {
    const bytes = announcedBytes(request);
    if (bytes > SMALL_BYTES) {
      const { userId } = keyOf(request).caller;
      const refusal = room.take(userId, bytes);
      if (refusal) return done(refusal);
      onDeparture(reply, () => room.leave(userId, bytes));
    }
    done(null, payload);
  });
}

/** What the body may come to: without a length that is the route's limit; above that it is refused unread. */
function announcedBytes({ headers, routeOptions: { bodyLimit = 0 } }: FastifyRequest): number {
  const length = headers["content-length"];
  if (length === undefined) return headers["transfer-encoding"] === undefined ? 0 : bodyLimit;
  return Number(length) > bodyLimit ? 0 : Number(length);
}

/** How much of the room is taken, and by whom. */
export class BodyRoom {
  readonly #maxBytes: number;
  readonly #byAccount = new Map<number, number>();
  #taken = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  take(userId: number, bytes: number): AimoError | undefined {
    const own = this.#byAccount.get(userId) ?? 0;
    const most = this.#maxBytes / ACCOUNT_PART;
    if (own > 0 && own + bytes > most)
      return new AimoError("rate_limit_exceeded", {
        message: `Bodies above 64 KiB of one account come to ${most / MIB} MiB at a time; ${bytes} bytes more are too many.`,
        retryAfterSeconds: 1,
      });
    if (this.#taken > 0 && this.#taken + bytes > this.#maxBytes)
      return new AimoError("overloaded", {
        message: `Bodies above 64 KiB come to ${this.#maxBytes / MIB} MiB at a time; ${bytes} bytes more are too many.`,
        retryAfterSeconds: 1,
      });
    this.#byAccount.set(userId, own + bytes);
    this.#taken += bytes;
    return undefined;
  }

  leave(userId: number, bytes: number): void {
    const own = (this.#byAccount.get(userId) ?? 0) - bytes;
    if (own > 0) this.#byAccount.set(userId, own);
    else this.#byAccount.delete(userId);
    this.#taken -= bytes;
  }
}
