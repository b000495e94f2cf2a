import { AimoError, type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import { expectedTokens, planHold } from "../core/estimate.ts";
import { RateLimiter } from "../core/gcra.ts";
import { Slots } from "../core/slots.ts";
import type { Caller, ChannelBalance } from "../core/types.ts";
import type { TokenGrant } from "./admission.ts";
import { chooseOffers } from "./choosing.ts";
import { Run } from "./run.ts";
import type { ReplySink, ServeDependencies, Served, ServeRequest } from "./serve-ports.ts";

/** An account whose balance is short is read from the chain again, but not more often than this. */
const REFRESH_INTERVAL_MS = 1_000;
/** How often silent streams and overdue requests are looked for. */
const SWEEP_MS = 500;
/** Refusals that news of the channel may lift. */
const CHANNEL_ERRORS: ReadonlySet<ErrorCode> = new Set([
  "channel_exhausted",
  "channel_retired",
  "voucher_invalid",
  "insufficient_credits",
]);
/** What the channel covers is unknown before it is read: enough to make every hold fail with numbers. */
const NOTHING: Pick<ChannelBalance, "epoch" | "free"> = { epoch: 0, free: 0n };

/** A request that is held for. */
type Held = { readonly run: Run; readonly id: string; readonly tokens: TokenGrant };

/** Serves requests: admit, hold, rank, call with fail-over, meter, commit. One per relay. */
export class Serving {
  readonly #dependencies: ServeDependencies;
  readonly #running = new Slots<{ readonly id: number; readonly run: Run }>();
  readonly #refreshing = new Map<number, Promise<unknown>>();
  readonly #refreshes = new RateLimiter(1, REFRESH_INTERVAL_MS);
  readonly #sweep: NodeJS.Timeout;

  constructor(dependencies: ServeDependencies) {
    this.#dependencies = dependencies;
    this.#sweep = setInterval(() => this.#tick(), SWEEP_MS);
    this.#sweep.unref();
  }

  get inFlight(): number {
    return this.#dependencies.admission.inFlight;
  }

  get waiting(): number {
    return this.#dependencies.admission.waiting;
  }

  get draining(): boolean {
    return this.#dependencies.admission.isClosed;
  }

  /**
   * Serves one request into `sink`. Throws an AimoError when the client has got nothing yet; what fails later is told in
   * the stream. The hold is ended exactly once, whatever happens.
   */
  async serve(request: ServeRequest, sink: ReplySink): Promise<Served> {
    const { admission } = this.#dependencies;
    const { isBackground = false } = request;
    const onGone = (leave: () => void) => {
      sink.onClose = leave;
    };
    const room = admission.enter(request.caller, { isBackground, onGone });
    if (room) await room;
    try {
      const held = this.#hold(request, sink) ?? (await this.#holdAfterRefresh(request, sink));
      const { id } = this.#running.add((id) => ({ id, run: held.run }));
      try {
        return { generationId: held.id, billed: await held.run.go() };
      } finally {
        this.#running.delete(id);
        held.tokens.used(held.run.usedTokens);
      }
    } finally {
      admission.leave(request.caller);
    }
  }

  /** Admits nothing more; waits for what runs, stops it at the deadline, and waits for that. */
  async drain(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const { run } of this.#running.all()) run.stop(new AimoError("shutting_down"));
    }, deadlineMs);
    await this.#dependencies.admission.close();
    clearTimeout(timer);
    clearInterval(this.#sweep);
  }

  /** Holds with what the ledger knows. Undefined when the chain may know better. */
  #hold(request: ServeRequest, sink: ReplySink, mayRefresh = true): Held | undefined {
    try {
      return this.#tryHold(request, sink);
    } catch (error) {
      const isShort = isAimoError(error) && CHANNEL_ERRORS.has(error.code);
      if (!isShort || !mayRefresh) throw error;
      const { userId } = request.caller;
      // Of several that come while the chain is asked, all wait for its answer; only the asking is limited.
      if (this.#refreshing.has(userId)) return undefined;
      if (this.#refreshes.take(String(userId), this.#dependencies.now()).allowed) return undefined;
      throw error;
    }
  }

  async #holdAfterRefresh(request: ServeRequest, sink: ReplySink): Promise<Held> {
    const { userId } = request.caller;
    let refreshing = this.#refreshing.get(userId);
    if (!refreshing) {
      refreshing = this.#dependencies.accounts
        .refreshChannel(userId)
        .finally(() => this.#refreshing.delete(userId));
      this.#refreshing.set(userId, refreshing);
    }
    await refreshing;
    return this.#tryHold(request, sink);
  }

  #tryHold(request: ServeRequest, sink: ReplySink): Held {
    const { admission, ledger, vouchers, randomHex, feeBps: feeNow, now } = this.#dependencies;
    const { ask, caller, bodyHash, route } = request;
    const offers = chooseOffers(this.#dependencies, request);
    const { epoch, free } = ledger.balanceOf(caller.userId) ?? NOTHING;
    const feeBps = feeNow();
    const { hold, maxTokens, clamped } = planHold({ ask, offers, free: this.#freeOf(caller, free), feeBps });
    const id = `gen-${randomHex(12).slice(2)}`;
    const start = {
      ...{ id, userId: caller.userId, keyHash: caller.keyHash, epoch, model: ask.model, route },
      ...{ streamed: ask.stream, createdAt: now(), bodyHash, labels: request.labels },
    };
    const tokens = admission.takeTokens(caller, expectedTokens(ask, maxTokens));
    try {
      vouchers.admit(caller.userId, request.voucher, hold);
      ledger.hold(start, caller, hold);
    } catch (error) {
      tokens.used(0);
      throw error;
    }
    const dependencies = this.#dependencies;
    return {
      ...{ id, tokens },
      run: new Run({ dependencies, request, sink, id, epoch, offers, hold, maxTokens, clamped, feeBps }),
    };
  }

  /** What both the channel and the key's own limit still allow. */
  #freeOf({ keyHash, limit, limitReset }: Caller, free: bigint): bigint {
    if (limit === undefined) return free;
    const usage = this.#dependencies.ledger.usageOfKey(keyHash);
    const left = limit - usage[limitReset ?? "total"] - usage.held;
    return left < free ? (left > 0n ? left : 0n) : free;
  }

  #tick(): void {
    const now = this.#dependencies.now();
    const { totalMs, keepAliveMs } = this.#dependencies.limits;
    this.#dependencies.admission.sweep();
    for (const { run } of this.#running.all()) {
      if (now - run.startedAt > totalMs)
        run.stop(new AimoError("timeout", { message: `The request took longer than ${totalMs / 1000} s.` }));
      else run.keepAlive(now, keepAliveMs);
    }
  }
}
