import { AimoError, ERRORS, isAimoError } from "@aimo/protocol/errors";
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";
import type { Address } from "viem";
import type { Accounts } from "../flow/ports.ts";
import type { Arrival, Judged, Principal } from "./gate.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who calls, or why that is not known. Set before anything else is done with a request. */
    principal: Principal | AimoError | null;
  }
}

type Judge = (arrival: Arrival) => Judged | Promise<Judged>;

export type AdmitOptions = {
  /** `Gate.judge`, here or in another process. */
  readonly judge: Judge;
  readonly now: () => number;
  /** Whether a request takes one from its caller's limits. */
  readonly isCounted: (request: FastifyRequest) => boolean;
};

/** Longer than any key or token of ours; a longer header is refused before it is hashed. */
const MAX_CREDENTIAL_LENGTH = 256;
/** Owners whose user id is remembered; an id never changes once assigned. */
const MAX_KNOWN_OWNERS = 10_000;

/** What a reply says of its caller's limit. */
export const LIMIT_HEADERS = {
  limit: "x-ratelimit-limit",
  remaining: "x-ratelimit-remaining",
  reset: "x-ratelimit-reset",
} as const;

/** A hook for every request: knows the caller and counts. Every reply says what is left of the tighter limit. */
export function admitting({ judge, now, isCounted }: AdmitOptions) {
  const take = (request: FastifyRequest, reply: FastifyReply, { principal, verdict }: Judged): void => {
    request.principal = isUnknown(principal) ? new AimoError(principal.code, whyUnknown(request)) : principal;
    reply.header(LIMIT_HEADERS.limit, verdict.limit);
    reply.header(LIMIT_HEADERS.remaining, verdict.remaining);
    reply.header(LIMIT_HEADERS.reset, Math.ceil((now() + verdict.resetMs) / 1000));
    if (verdict.allowed) return;
    throw new AimoError("rate_limit_exceeded", {
      message: `More than ${verdict.limit} requests in a minute.`,
      retryAfterSeconds: Math.ceil(verdict.retryMs / 1000),
    });
  };
  return (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void => {
    const credential = credentialOf(request);
    const judged = judge({ credential, ip: request.ip, isCounted: isCounted(request) });
    if (!(judged instanceof Promise)) {
      take(request, reply, judged);
      done();
      return;
    }
    judged.then((known) => take(request, reply, known)).then(() => done(), done);
  };
}

/** Who calls. Throws `authentication_failed`, and `permission_denied` for a key from a foreign address. */
export function principalOf(request: FastifyRequest): Principal {
  const principal = request.principal ?? new AimoError("authentication_failed", whyUnknown(request));
  if (isAimoError(principal)) throw principal;
  return principal as Principal;
}

/** For inference: a key. Throws as `principalOf` does. */
export function keyOf(request: FastifyRequest): Extract<Principal, { kind: "key" }> {
  const principal = principalOf(request);
  if (principal.kind === "key") return principal;
  throw new AimoError("permission_denied", {
    message: "A sign-in session manages keys; send an API key here.",
    hint: "Make a key with `aimo keys create`, or POST /v1/keys with this session, and send that.",
  });
}

/** Whom requests concern. Nothing here awaits, but for the user id of a wallet. */
export class Access {
  readonly #accounts: Pick<Accounts, "userIdOf">;
  readonly #userIds = new Map<string, number>();

  constructor(accounts: Pick<Accounts, "userIdOf">) {
    this.#accounts = accounts;
  }

  /** For management: a wallet's session. Throws `authentication_failed` or `permission_denied`. */
  owner(request: FastifyRequest): Address {
    const principal = principalOf(request);
    if (principal.kind === "session") return principal.owner;
    throw new AimoError("permission_denied", {
      message: "An API key cannot do this; it needs a session of the account's wallet.",
      hint: "Sign in with `aimo auth session`, or by POST /v1/auth/nonce and /v1/auth/siwe, and send that token.",
    });
  }

  /** The account to read. Throws as `principalOf`, and `chain_unavailable`. 0: the wallet has never deposited. */
  async account(request: FastifyRequest): Promise<{ userId: number; owner: Address }> {
    const principal = principalOf(request);
    if (principal.kind === "key") return principal.record;
    return { owner: principal.owner, userId: await this.userIdOf(principal.owner) };
  }

  async userIdOf(owner: Address): Promise<number> {
    const known = this.#userIds.get(owner);
    if (known) return known;
    const userId = await this.#accounts.userIdOf(owner);
    if (userId === 0) return 0;
    const [oldest] = this.#userIds.keys();
    if (this.#userIds.size >= MAX_KNOWN_OWNERS && oldest) this.#userIds.delete(oldest);
    this.#userIds.set(owner, userId);
    return userId;
  }
}

/** Where nothing better is known than that nobody is known. A key's owner is told of an expired one. */
const isUnknown = (principal: Principal | AimoError): principal is AimoError =>
  isAimoError(principal) && principal.message === ERRORS.authentication_failed.message;

/** What is wrong with how a request says who calls. Whether there ever was such a key is not said. */
function whyUnknown(request: FastifyRequest): { readonly message: string } {
  if (credentialOf(request) !== undefined)
    return { message: "The API key or session is unknown, expired or revoked." };
  if (request.headers.authorization === undefined)
    return { message: "The request has no API key: it has no header Authorization." };
  return { message: "The header Authorization is not of the form `Bearer aimo-sk-…`." };
}

/** A bearer token, or the header in which clients of Anthropic's API send their key. */
function credentialOf({ headers }: FastifyRequest): string | undefined {
  const { authorization = "" } = headers;
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization.slice(0, MAX_CREDENTIAL_LENGTH)) ?? [];
  if (token !== undefined) return token;
  const key = headers["x-api-key"];
  return typeof key === "string" && key.length <= MAX_CREDENTIAL_LENGTH ? key : undefined;
}
