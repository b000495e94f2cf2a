import type { BlockList } from "node:net";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";
import type { Address } from "viem";
import { Rates, type RateVerdict } from "../core/rates.ts";
import type { Tiers } from "../core/tiers.ts";
import type { Caller } from "../core/types.ts";
import type { Accounts, KeyRecord, Keys } from "../flow/ports.ts";
import type { AuthSessions } from "../flow/sign-in-ports.ts";
import { isIn, networksOf } from "./networks.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who calls, or why that is not known. Set before anything else is done with a request. */
    principal: Principal | AimoError | null;
  }
}

/** Who calls: a key that may infer and read its account, or a wallet's session that may read and manage. */
export type Principal =
  | { readonly kind: "key"; readonly caller: Caller; readonly record: KeyRecord }
  | { readonly kind: "session"; readonly owner: Address };

export type AccessDependencies = {
  readonly keys: Pick<Keys, "authenticate">;
  readonly sessions: Pick<AuthSessions, "ownerOf">;
  readonly accounts: Pick<Accounts, "userIdOf">;
  /** Requests per minute of one key that has no limit of its own, session or, without either, address. */
  readonly requestsPerMinute: number;
  readonly tiers: Tiers;
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
  readonly #rates = new Rates();
  /** Of keys that only some addresses may use. */
  readonly #networks = new WeakMap<readonly string[], BlockList>();
  readonly #userIds = new Map<string, number>();

  constructor(dependencies: AccessDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * A hook for every request: knows the caller, and counts what goes to /v1 against its limits. Every reply says what is
   * left of the tighter of them.
   */
  readonly onRequest = (
    request: FastifyRequest,
    reply: FastifyReply,
    done: HookHandlerDoneFunction,
  ): void => {
    const principal = this.#authenticate(request);
    request.principal = principal;
    const now = this.#dependencies.now();
    const isCounted = request.url.startsWith("/v1/") && request.method !== "OPTIONS";
    const verdict = this.#limit(request, principal, { now, isCounted });
    reply.header("x-ratelimit-limit", verdict.limit);
    reply.header("x-ratelimit-remaining", verdict.remaining);
    reply.header("x-ratelimit-reset", Math.ceil((now + verdict.resetMs) / 1000));
    if (verdict.allowed) done();
    else
      throw new AimoError("rate_limit_exceeded", {
        message: `More than ${verdict.limit} requests in a minute.`,
        retryAfterSeconds: Math.ceil(verdict.retryMs / 1000),
      });
  };

  /** Throws `authentication_failed`. */
  principal(request: FastifyRequest): Principal {
    const principal = request.principal ?? new AimoError("authentication_failed");
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

  /** Takes one request from each limit that the caller has, or, where one is used up, from none. */
  #limit(
    request: FastifyRequest,
    principal: Principal | AimoError,
    { now, isCounted }: { now: number; isCounted: boolean },
  ): RateVerdict {
    const rates = this.#rates;
    const { requestsPerMinute, tiers } = this.#dependencies;
    const subject = subjectOf(principal, request);
    const isKey = !isAimoError(principal) && principal.kind === "key";
    const own = (isKey ? principal.record.requestsPerMinute : undefined) ?? requestsPerMinute;
    if (!isCounted) return { ...rates.peek(subject, own, { now }), allowed: true };
    if (!isKey) return rates.take(subject, own, { now });
    const { caller } = principal;
    const account = `account ${caller.userId}`;
    const ofAccount = tiers.limitsOf(tiers.tierOf(caller.owner)).requestsPerMinute;
    const whole = rates.peek(account, ofAccount, { now });
    if (!whole.allowed) return whole;
    const ofKey = rates.take(subject, own, { now });
    if (!ofKey.allowed) return ofKey;
    const taken = rates.take(account, ofAccount, { now });
    return taken.remaining < ofKey.remaining ? taken : ofKey;
  }

  #authenticate(request: FastifyRequest): Principal | AimoError {
    const credential = credentialOf(request);
    if (!credential) return new AimoError("authentication_failed");
    const { keys, sessions } = this.#dependencies;
    if (credential.startsWith(SESSION_PREFIX)) {
      const owner = sessions.ownerOf(credential);
      return owner ? { kind: "session", owner } : new AimoError("authentication_failed");
    }
    try {
      const known = keys.authenticate(credential);
      const { allowedIps } = known.record;
      if (allowedIps && allowedIps.length > 0 && !isIn(this.#networksOf(allowedIps), request.ip))
        return new AimoError("permission_denied", {
          message: `This key may not be used from ${request.ip}.`,
        });
      return { kind: "key", ...known };
    } catch (error) {
      if (isAimoError(error)) return error;
      throw error;
    }
  }

  #networksOf(texts: readonly string[]): BlockList {
    const known = this.#networks.get(texts) ?? networksOf(texts);
    this.#networks.set(texts, known);
    return known;
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
