import { AimoError } from "@aimo/protocol/errors";
import { parseVoucher } from "@aimo/protocol/vouchers";
import type { Shedding } from "../core/shedding.ts";
import type { Tiers } from "../core/tiers.ts";
import type { ChannelBalance, Outcome } from "../core/types.ts";
import type { BegunTry, Desk, Held, HeldTerms, OpenOptions, OpenRequest } from "../flow/serve-ports.ts";
import { signerOf, type VoucherSignatures } from "../flow/vouchers.ts";
import type { Link } from "./link.ts";
import type { MainNews, MainQuestions, WorkerNews, WorkerQuestions } from "./messages.ts";

export type WorkerLink = Link<WorkerQuestions, WorkerNews, MainQuestions, MainNews>;

export type RemoteDeskParameters = {
  readonly link: WorkerLink;
  readonly tiers: Tiers;
  /** Of this process; the main one judges its own load. */
  readonly shedding: Shedding;
  readonly signatures: VoucherSignatures;
};

/** The desk of a process without books: asks the one that has them. */
export class RemoteDesk implements Desk {
  readonly #parameters: RemoteDeskParameters;
  #nextTicket = 1;

  constructor(parameters: RemoteDeskParameters) {
    this.#parameters = parameters;
  }

  async open({ caller, ...request }: OpenRequest, { choose, onGone }: OpenOptions): Promise<Held> {
    const { link, tiers, shedding } = this.#parameters;
    const tier = tiers.tierOf(caller.owner);
    if (shedding.refuses(tier))
      throw new AimoError("overloaded", {
        message: `The relay is under load and serves the tier ${tier} later.`,
        retryAfterSeconds: 1,
      });
    const offers = choose();
    const ticket = this.#nextTicket++;
    onGone(() => link.tell("gone", ticket));
    const answer = await link.ask("open", {
      ...{ ticket, keyHash: caller.keyHash },
      ...{ ask: request.ask, bodyHash: request.bodyHash, route: request.route },
      ...{ voucher: request.voucher, signer: this.#signerOf(caller.userId, request.voucher) },
      labels: request.labels,
      offers: offers.map(({ providerId, model, price }) => ({
        ...{ providerId, modelId: model.modelId, priceVersion: price.version },
      })),
    });
    const chosen = answer.offers.flatMap((at) => (typeof at === "number" ? (offers[at] ?? []) : [at]));
    return new RemoteHeld(link, ticket, { ...answer, offers: chosen });
  }

  /** Recovery is the dearest part of a request that pays by voucher: it is done here, so that the books only compare. */
  #signerOf(userId: number, text: string | undefined) {
    const voucher = text === undefined ? undefined : parseVoucher(text);
    return voucher && signerOf(this.#parameters.signatures, userId, voucher);
  }
}

class RemoteHeld implements Held {
  readonly terms: HeldTerms;
  readonly #link: WorkerLink;
  readonly #ticket: number;

  constructor(link: WorkerLink, ticket: number, terms: HeldTerms) {
    this.#link = link;
    this.#ticket = ticket;
    this.terms = terms;
  }

  begin({ offer, maxTokens, requestHash }: BegunTry): () => void {
    const ticket = this.#ticket;
    this.#link.tell("begin", { ticket, at: this.terms.offers.indexOf(offer), maxTokens, requestHash });
    // After what this turn commits: a group of receipts waits for the end, and then finds the charge.
    return () => void setImmediate(() => this.#link.tell("end", { ticket, requestHash }));
  }

  commit(outcome: Outcome): Promise<ChannelBalance | undefined> {
    return this.#link.ask("commit", { ticket: this.#ticket, outcome });
  }

  leave(usedTokens: number): void {
    this.#link.tell("leave", { ticket: this.#ticket, usedTokens });
  }
}
