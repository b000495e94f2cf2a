import type { AimoMeta } from "@aimo/protocol/routes";
import { formatUsd } from "@aimo/protocol/units";
import { AimoError } from "../errors.ts";
import type { Ticket } from "./account.ts";
import { readDemand } from "./demand.ts";
import { type PayerParameters, Purse } from "./purse.ts";

/** Pays for requests out of a SIGNED channel. One per client: what is in flight is known in one place. */
export type Payer = { begin(path: string, body: object): Promise<Payment> };

/** One request's way from its first voucher to its charge. */
export type Payment = {
  /**
   * The voucher to send now; undefined while it is not known what the request is held for, since the relay's refusal
   * says so. Throws `voucher_ceiling`.
   */
  voucher(): Promise<string | undefined>;
  /**
   * After a refusal: true when the request can be repeated with another voucher. Throws what forbids signing it. Every
   * other refusal is free.
   */
  correct(error: unknown): Promise<boolean>;
  /** The relay serves: the head of an answer has come. */
  accepted(): void;
  /** The answer has ended. Throws `bill_mismatch` when it cost more than it was held for. */
  end(aimo: AimoMeta | undefined, generationId?: string): void;
  /** Nothing is charged for the request. */
  free(): void;
};

/** A client that is alone with its key is corrected once; others who use it too may come in between. */
const MAX_CORRECTIONS = 4;
/** Waits before a request that was cut off is asked for: the relay waits for the provider's statement. */
const ASK_AFTER_MS = [250, 1_000, 4_000];

export function createPayer(parameters: PayerParameters): Payer {
  const purse = new Purse(parameters);
  return {
    async begin(path, body) {
      await purse.introduced();
      return new RunningPayment(purse, kindOf(path, body), sizeOf(body));
    },
  };
}

class RunningPayment implements Payment {
  readonly #purse: Purse;
  readonly #kind: string;
  readonly #bytes: number;
  readonly #ticket: Ticket;
  #isBounded: boolean;
  #corrections = 0;

  constructor(purse: Purse, kind: string, bytes: number) {
    this.#purse = purse;
    this.#kind = kind;
    this.#bytes = bytes;
    const { account, parameters, estimates } = purse;
    const estimate = estimates.of(kind, bytes);
    this.#ticket = account.begin(estimate ?? 0n);
    // Where an estimate would forbid the request, the relay is asked what it really needs.
    this.#isBounded = estimate !== undefined && account.ahead <= parameters.session.maxAhead;
    if (!this.#isBounded) this.#ticket.max = 0n;
  }

  async voucher(): Promise<string | undefined> {
    if (!this.#isBounded) return undefined;
    try {
      return await this.#purse.voucher();
    } catch (error) {
      this.free();
      throw error;
    }
  }

  async correct(error: unknown): Promise<boolean> {
    if (!(error instanceof AimoError)) {
      this.free();
      return false;
    }
    const demand = readDemand(error);
    if (demand && this.#corrections++ < MAX_CORRECTIONS) {
      try {
        this.#purse.estimates.learn(this.#kind, { bytes: this.#bytes, hold: demand.hold });
        await this.#purse.learn(demand, this.#ticket);
        this.#isBounded = true;
        return true;
      } catch (reason) {
        this.free();
        throw reason;
      } finally {
        this.#purse.introduce();
      }
    }
    // No response: it may be served all the same, and be charged up to its worst.
    if (error.status === 0) this.#purse.account.end(this.#ticket, this.#ticket.max);
    this.free();
    return false;
  }

  accepted(): void {
    this.#purse.introduce();
  }

  end(aimo: AimoMeta | undefined, generationId?: string): void {
    const { account, estimates } = this.#purse;
    if (!aimo) {
      void this.#endUnknown(generationId);
      return;
    }
    const charge = BigInt(aimo.cost_pusd);
    const { provisional } = aimo;
    const hold = provisional?.hold_pusd;
    // METERED: nothing is signed, so nothing is counted.
    if (hold === undefined) {
      account.end(this.#ticket, 0n);
      return;
    }
    estimates.learn(this.#kind, { bytes: this.#bytes, hold: BigInt(hold) });
    const total = provisional && BigInt(provisional.charged_pusd) + BigInt(provisional.pending_pusd);
    account.end(this.#ticket, charge, total);
    if (charge <= BigInt(hold) && account.accounted <= account.signed) return;
    throw new AimoError("bill_mismatch", {
      message: `The relay charged ${formatUsd(charge)} USD for a request that it held ${formatUsd(BigInt(hold))} USD for.`,
      requestId: aimo.request_id,
    });
  }

  free(): void {
    this.#purse.account.end(this.#ticket, 0n);
    this.#purse.introduce();
  }

  /** An answer that was cut off: counted at its worst until the relay says what it was charged. */
  async #endUnknown(generationId: string | undefined): Promise<void> {
    const { account } = this.#purse;
    const { max } = this.#ticket;
    const charge = generationId === undefined ? undefined : await this.#ask(generationId);
    account.end(this.#ticket, charge !== undefined && charge < max ? charge : max);
  }

  async #ask(generationId: string): Promise<bigint | undefined> {
    for (const delay of ASK_AFTER_MS) {
      await new Promise((resolve) => {
        const timer: { unref?(): void } = setTimeout(resolve, delay);
        // Nobody's program waits for this.
        timer.unref?.();
      });
      const charge = await this.#purse.parameters.chargeOf(generationId).catch(() => undefined);
      if (charge !== undefined) return charge;
    }
    return undefined;
  }
}

/** All but its size that a request's hold depends on. */
function kindOf(path: string, body: object): string {
  const { model, models, max_tokens, max_completion_tokens, n, provider } = body as Record<string, unknown>;
  return JSON.stringify([path, model, models, max_tokens, max_completion_tokens, n, provider]);
}

const sizeOf = (body: object): number => new TextEncoder().encode(JSON.stringify(body)).length;
