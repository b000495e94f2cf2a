import { toHex } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import { type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import type { UsageStatement } from "@aimo/protocol/session";
import { costOf } from "@aimo/protocol/units";
import type { Hex } from "viem";
import type { PreparedBody } from "../core/client-body.ts";
import type { Exposure } from "../core/exposure.ts";
import { usableVersion } from "../core/prices.ts";
import { Slots } from "../core/slots.ts";
import type { PriceVersion, ServedModel } from "../core/types.ts";
import { statedUnits } from "../core/usage.ts";
import { worstCaseCost } from "../core/worst-case.ts";
import { AudioJob } from "./audio-job.ts";
import { inputOf, prepare } from "./input.ts";
import { Job, type JobEvents } from "./job.ts";
import { JobTable } from "./job-table.ts";
import type {
  Catalogue,
  CountTokens,
  FlowLog,
  InferRequest,
  ProtocolClock,
  Reply,
  Upstream,
} from "./ports.ts";
import { createCounter } from "./prompt-count.ts";
import type { ReceiptBook } from "./receipt-book.ts";
import type { Counter, JsonAnswer } from "./response.ts";

export type ServingModules = {
  readonly providerId: number;
  readonly separator: Uint8Array;
  readonly catalogue: Catalogue;
  /** By the name in the configuration. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly exposure: Exposure;
  readonly receipts: Pick<ReceiptBook, "add">;
  readonly clock: ProtocolClock;
  readonly countTokens: CountTokens;
  /** Requests at once, over all models. */
  readonly maxConcurrency: number;
  readonly log: FlowLog;
};

type Price = { readonly model: ServedModel; readonly version: PriceVersion; readonly issuedAt: number };

/** Admits requests and sees each one through to its receipt. Nothing is awaited before the upstream is called. */
export class Serving {
  readonly #m: ServingModules;
  readonly #jobs = new JobTable();
  readonly #models = new Map<number, Slots>();
  readonly #all: Slots;
  #stopping = false;
  /** Told when a slot was taken or given back. */
  onSlots: () => void = () => {};

  constructor(modules: ServingModules) {
    this.#m = modules;
    this.#all = new Slots(modules.maxConcurrency);
  }

  /** Free slots and median time to first token of a model, for the announcement. */
  loadOf(modelId: number): { readonly freeSlots: number; readonly latencyMs: number } {
    const free = this.#stopping ? 0 : Math.min(this.#all.free, this.#slotsOf(modelId).free);
    return { freeSlots: free, latencyMs: this.#slotsOf(modelId).latencyMs };
  }

  /**
   * Starts a request. Throws before anything was spent: `shutting_down`, `model_not_found`, `model_unavailable` (price
   * not in force), `invalid_request`, `rate_limit_exceeded` (all slots busy), `credit_limit_reached`.
   */
  serve(request: InferRequest, reply: Reply): void {
    if (this.#stopping) throw new AimoError("shutting_down");
    const price = this.#priceOf(request);
    const { model, version } = price;
    const upstream = this.#m.upstreams.get(model.upstream);
    if (!upstream)
      throw new AimoError("internal_error", { message: `No upstream is named ${model.upstream}.` });
    const { prepared, body, recording } = prepare(request, model, upstream.vendor);
    const worst = worstCaseCost(model, version.prices, prepared.ask);
    const slots = this.#takeSlot(model.modelId);
    try {
      this.#jobs.refuseTwin(request.relayId, request.attempt);
      this.#m.exposure.reserve(request.relayId, worst);
    } catch (error) {
      this.#giveSlot(slots);
      throw error;
    }
    const input = inputOf(prepared, recording);
    this.#start({ request, price, prepared, worst, slots, upstream, body, input }, reply);
  }

  /** What the relay got of an attempt before it was cut; undefined when nothing is owed or the attempt is not known. */
  abort(relayId: number, attempt: Hex, frames: number): UsageStatement | undefined {
    return this.#jobs.of(relayId, attempt)?.abort(frames);
  }

  /** Admits nothing more; resolves when all has ended. Those still running at the deadline are broken off, for free. */
  async drain(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    this.onSlots();
    await this.#jobs.drain(deadlineMs);
  }

  #priceOf(request: InferRequest): Price {
    const { catalogue, clock } = this.#m;
    const { model: name, route, priceVersion } = request;
    const model = /^\d{1,10}$/.test(name) ? catalogue.byId(Number(name)) : catalogue.bySlug(name);
    if (model?.route !== route)
      throw new AimoError("model_not_found", {
        message: `This provider does not serve model ${name} on ${route}.`,
        param: "model",
      });
    const issuedAt = clock();
    const version = usableVersion(model.versions, priceVersion, issuedAt);
    if (version) return { model, version, issuedAt };
    throw new AimoError("model_unavailable", {
      message: `Price version ${priceVersion} of ${model.slug} is not in force.`,
      param: "price",
      details: { versions: model.versions.map((one) => String(one.version)) },
    });
  }

  #slotsOf(modelId: number): Slots {
    const known = this.#models.get(modelId);
    if (known) return known;
    const made = new Slots(this.#m.maxConcurrency);
    this.#models.set(modelId, made);
    return made;
  }

  #takeSlot(modelId: number): Slots {
    const slots = this.#slotsOf(modelId);
    if (this.#all.take()) {
      slots.take();
      this.onSlots();
      return slots;
    }
    // No queue: the relay has other providers, and a wait it cannot see would cost it more than a refusal.
    throw new AimoError("rate_limit_exceeded", {
      message: `All ${this.#all.limit} slots of this provider are busy (max_concurrency).`,
      retryAfterSeconds: 1,
    });
  }

  #giveSlot(slots: Slots): void {
    slots.give();
    this.#all.give();
    this.onSlots();
  }

  #start(admitted: Admitted, reply: Reply): void {
    const { request, prepared, upstream, price, body, input } = admitted;
    const { route, relayId, attempt } = request;
    const id = request.id ?? `gen-${attempt.slice(2)}`;
    const { continuousUsage } = upstream.vendor;
    const countedBy = continuousUsage === "none" ? "in_all" : continuousUsage;
    const about = { route, streamed: prepared.streamed, id, slug: price.model.slug, countedBy } as const;
    const count = createCounter(body, price.model.contextTokens, this.#m.countTokens, input);
    const events = this.#eventsOf(admitted, () => job, count.forget);
    const job: AnyJob =
      route === "speech" ? new AudioJob(reply, count, events) : new Job(about, reply, count, events);
    this.#jobs.add(relayId, attempt, job);
    job.begin(upstream.call(route, prepared, job));
  }

  #eventsOf(admitted: Admitted, job: () => AnyJob, forgetBody: () => void): JobEvents {
    // Only what is small is kept: these closures live on while the stream is remembered, the body must not.
    const { price, worst, slots } = admitted;
    const { streamed, ask } = admitted.prepared;
    const { relayId, attempt, requestHash } = admitted.request;
    const request = { relayId, attempt, requestHash };
    const began = performance.now();
    const receipts = new Map<UsageStatement, Receipt>();
    let reserved: bigint | undefined = worst;
    const settle = (cost: bigint) => {
      if (reserved === undefined) this.#m.exposure.restore(relayId, cost);
      else this.#m.exposure.replace(relayId, reserved, cost);
      reserved = undefined;
      forgetBody();
      this.#jobs.ended(relayId, attempt, job(), streamed);
    };
    return {
      onFirst: () => slots.note(performance.now() - began),
      onUpstreamDone: () => this.#giveSlot(slots),
      state: (answer) => {
        const made = this.#receiptOf(request, price, {
          ...answer,
          units: statedUnits(answer, price.model, ask),
        });
        receipts.set(made.statement, made);
        return made.statement;
      },
      onBilled: (statement) => {
        const made = receipts.get(statement);
        if (!made) throw new RangeError("The statement is of another job.");
        settle(made.receipt.cost);
        this.#m.receipts.add(made.receipt, made.digest);
      },
      onFree: (reason) => {
        settle(0n);
        const code = reason === "cancelled" ? reason : reason.code;
        this.#m.log.debug(
          { relayId, attempt, model: price.model.slug, code },
          "A request ended without a receipt.",
        );
      },
      onHungUp: () => this.#jobs.awaitAbort(job()),
    };
  }

  #receiptOf(
    request: RequestNames,
    price: Price,
    { units, responseHash, details }: Pick<JsonAnswer, "units" | "responseHash" | "details">,
  ): Receipt {
    const receipt: UsageReceipt = {
      relayId: request.relayId,
      providerId: this.#m.providerId,
      modelId: price.model.modelId,
      priceVersion: price.version.version,
      issuedAt: price.issuedAt,
      units,
      cost: costOf(units, price.version.prices),
      requestHash: request.requestHash,
      responseHash,
    };
    const digest = usageDigest(this.#m.separator, receipt);
    const statement = {
      attempt: request.attempt,
      issuedAt: price.issuedAt,
      units,
      cost: receipt.cost.toString(),
      responseHash,
      receiptHash: toHex(digest),
      ...(details ? { details } : {}),
    };
    return { receipt, digest, statement };
  }
}

type AnyJob = Job | AudioJob;
type RequestNames = Pick<InferRequest, "relayId" | "attempt" | "requestHash">;
type Admitted = {
  readonly request: InferRequest;
  readonly price: Price;
  readonly prepared: PreparedBody;
  readonly worst: bigint;
  readonly slots: Slots;
  readonly upstream: Upstream;
  readonly body: string;
  readonly input: Counter["input"];
};
type Receipt = {
  readonly receipt: UsageReceipt;
  readonly digest: Uint8Array;
  readonly statement: UsageStatement;
};
