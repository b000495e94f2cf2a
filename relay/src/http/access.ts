import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";
import type { Address } from "viem";
import { RateLimiter } from "../core/gcra.ts";
import type { Caller } from "../core/types.ts";
import type { Accounts, KeyRecord, Keys } from "../flow/ports.ts";
import type { AuthSessions } from "../flow/sign-in-ports.ts";

/** Who calls: a key that may infer and read its account, or a wallet's session that may read and manage. */
export type Principal =
  | { readonly kind: "key"; readonly caller: Caller; readonly record: KeyRecord }
  | { readonly kind: "session"; readonly owner: Address };

export type AccessDependencies = {
  readonly keys: Pick<Keys, "authenticate">;
  readonly sessions: Pick<AuthSessions, "ownerOf">;
  readonly accounts: Pick<Accounts, "userIdOf">;
  /** Requests per minute of one key, session or, without either, address. */
  readonly requestsPerMinute: number;
  readonly now: () => number;
};

const SESSION_PREFIX = "aimo-st-";
/** Longer than any key or token of ours; a longer header is refused before it is hashed. */
const MAX_CREDENTIAL_LENGTH = 256;
/** Owners whose user id is remembered; an id never changes once assigned. */
const MAX_KNOWN_OWNERS = 10_000;

/** Authenticates and limits. Nothing here awaits, but for the user id of a wallet. */
export class Access {
  readonly #dependencies: AccessDependencies;
  readonly #limiter: RateLimiter;
  readonly #principals = new WeakMap<FastifyRequest, Principal | AimoError>();
  readonly #userIds = new Map<string, number>();

  constructor(dependencies: AccessDependencies) {
    this.#dependencies = dependencies;
    this.#limiter = new RateLimiter(dependencies.requestsPerMinute, 60_000);
  }

  /** A hook for every route of /v1: knows the caller, and counts the request against its limit. */
  readonly onRequest = (
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void => {
    const principal = this.#authenticate(credentialOf(request));
    this.#principals.set(request, principal);
    const { now } = this.#dependencies;
    const verdict = this.#limiter.take(subjectOf(principal, request), now());
    reply.header("x-ratelimit-limit", verdict.limit);
    reply.header("x-ratelimit-remaining", verdict.remaining);
    reply.header("x-ratelimit-reset", Math.ceil((now() + verdict.resetMs) / 1000));
    if (verdict.allowed) done();
    else
      throw new AimoError("rate_limit_exceeded", {
        message: `More than ${verdict.limit} requests in a minute.`,
        retryAfterSeconds: Math.ceil(verdict.retryMs / 1000),
      });
  };

  /** Throws `authentication_failed`. */
  principal(request: FastifyRequest): Principal {
    const principal = this.#principals.get(request) ?? new AimoError("authentication_failed");
    if (isAimoError(principal)) throw principal;
    return principal as Principal;
  }

  /** For inference: a key. Throws `authentication_failed` or `permission_denied`. */
  key(request: FastifyRequest): Extract<Principal, { kind: "key" }> {
    const principal = this.principal(request);
    if (principal.kind === "key") return principal;
    throw new AimoError("permission_denied", {
      message: "A sign-in session manages keys; send an API key here.",
    });
  }

  /** For management: a wallet's session. Throws `authentication_failed` or `permission_denied`. */
  owner(request: FastifyRequest): Address {
    const principal = this.principal(request);
    if (principal.kind === "session") return principal.owner;
    throw new AimoError("permission_denied", {
      message: "An API key cannot do this; sign in with the wallet.",
    });
  }

  /** The account to read. Throws as `principal` does, and `chain_unavailable`. 0: the wallet has never deposited. */
  async account(request: FastifyRequest): Promise<{ userId: number; owner: Address }> {
    const principal = this.principal(request);
    if (principal.kind === "key") return principal.record;
    return { owner: principal.owner, userId: await this.userIdOf(principal.owner) };
  }

  async userIdOf(owner: Address): Promise<number> {
    const known = this.#userIds.get(owner);
    if (known) return known;
    const userId = await this.#dependencies.accounts.userIdOf(owner);
    if (userId === 0) return 0;
    const [oldest] = this.#userIds.keys();
    if (this.#userIds.size >= MAX_KNOWN_OWNERS && oldest) this.#userIds.delete(oldest);
    this.#userIds.set(owner, userId);
    return userId;
  }

  #authenticate(credential: string | undefined): Principal | AimoError {
    if (!credential) return new AimoError("authentication_failed");
    const { keys, sessions } = this.#dependencies;
    if (credential.startsWith(SESSION_PREFIX)) {
      const owner = sessions.ownerOf(credential);
      return owner ? { kind: "session", owner } : new AimoError("authentication_failed");
    }
    try {
      return { kind: "key", ...keys.authenticate(credential) };
    } catch (error) {
      if (isAimoError(error)) return error;
      throw error;
    }
  }
}

/** A bearer token, or the header in which clients of Anthropic's API send their key. */
function credentialOf({ headers }: FastifyRequest): string | undefined {
  const { authorization = "" } = headers;
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization.slice(0, MAX_CREDENTIAL_LENGTH)) ?? [];
  if (token !== undefined) return token;
  const key = headers["x-api-key"];
  return typeof key === "string" && key.length <= MAX_CREDENTIAL_LENGTH ? key : undefined;
}

function subjectOf(principal: Principal | AimoError, request: FastifyRequest): string {
  if (isAimoError(principal)) return `ip ${request.ip}`;
  const known = principal as Principal;
  return known.kind === "key" ? known.record.hash : known.owner;
}
