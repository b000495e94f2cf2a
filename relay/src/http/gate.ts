import type { BlockList } from "node:net";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { Address } from "viem";
import type { RateVerdict } from "../core/rates.ts";
import type { Caller } from "../core/types.ts";
import type { KeyRecord, Keys } from "../flow/ports.ts";
import type { RequestRates } from "../flow/request-rates.ts";
import type { AuthSessions } from "../flow/sign-in-ports.ts";
import { isIn, networksOf } from "./networks.ts";

/** Who calls: a key that may infer and read its account, or a wallet's session that may read and manage. */
export type Principal =
  | { readonly kind: "key"; readonly caller: Caller; readonly record: KeyRecord }
  | { readonly kind: "session"; readonly owner: Address };

/** What is known of a request before anything of it is done. */
export type Arrival = {
  readonly credential: string | undefined;
  readonly ip: string;
  /** Whether it takes one from the limits of who calls; otherwise they are only looked at. */
  readonly isCounted: boolean;
};

export type Judged = {
  /** Who calls, or why that is not known. */
  readonly principal: Principal | AimoError;
  /** The tighter of the caller's limits. */
  readonly verdict: RateVerdict;
};

export type GateParameters = {
  readonly keys: Pick<Keys, "authenticate">;
  readonly sessions: Pick<AuthSessions, "ownerOf">;
  readonly rates: RequestRates;
};

const SESSION_PREFIX = "aimo-st-";

/** Knows callers and counts their requests: one for all of a relay's processes. Nothing here awaits. */
export class Gate {
  readonly #parameters: GateParameters;
  /** Of keys that only some addresses may use. */
  readonly #networks = new WeakMap<readonly string[], BlockList>();

  constructor(parameters: GateParameters) {
    this.#parameters = parameters;
  }

  judge(arrival: Arrival): Judged {
    const principal = this.#authenticate(arrival);
    return { principal, verdict: this.#limit(principal, arrival) };
  }

  #limit(principal: Principal | AimoError, { ip, isCounted }: Arrival): RateVerdict {
    const { rates } = this.#parameters;
    const record = !isAimoError(principal) && principal.kind === "key" ? principal.record : undefined;
    if (record) return isCounted ? rates.takeOfKey(record) : { ...rates.peekOfKey(record), allowed: true };
    const subject = subjectOf(principal, ip);
    return isCounted ? rates.take(subject) : { ...rates.peek(subject), allowed: true };
  }

  #authenticate({ credential, ip }: Arrival): Principal | AimoError {
    if (!credential) return new AimoError("authentication_failed");
    const { keys, sessions } = this.#parameters;
    if (credential.startsWith(SESSION_PREFIX)) {
      const owner = sessions.ownerOf(credential);
      return owner ? { kind: "session", owner } : new AimoError("authentication_failed");
    }
    try {
      const known = keys.authenticate(credential);
      const { allowedIps } = known.record;
      if (allowedIps && allowedIps.length > 0 && !isIn(this.#networksOf(allowedIps), ip))
        return new AimoError("permission_denied", { message: `This key may not be used from ${ip}.` });
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

function subjectOf(principal: Principal | AimoError, ip: string): string {
  if (isAimoError(principal)) return `ip ${ip}`;
  const known = principal as Principal;
  return known.kind === "key" ? known.record.hash : known.owner;
}
