import { AimoError } from "@aimo/protocol/errors";
import { Slots } from "../core/slots.ts";
import { chooseOffers } from "./choosing.ts";
import { Run } from "./run.ts";
import type { ReplySink, ServeDependencies, Served, ServeRequest } from "./serve-ports.ts";

/** How often silent streams and overdue requests are looked for. */
const SWEEP_MS = 500;

/** Serves requests: admit, hold, rank, call with fail-over, meter, commit. One per process of a relay. */
export class Serving {
  readonly #dependencies: ServeDependencies;
  readonly #running = new Slots<{ readonly id: number; readonly run: Run }>();
  readonly #sweep: NodeJS.Timeout;

  constructor(dependencies: ServeDependencies) {
    this.#dependencies = dependencies;
    this.#sweep = setInterval(() => this.#tick(), SWEEP_MS);
    this.#sweep.unref();
  }

  /**
   * Serves one request into `sink`. Throws an AimoError when the client has got nothing yet; what fails later is told in
   * the stream. The hold is ended exactly once, whatever happens.
   */
  async serve(request: ServeRequest, sink: ReplySink): Promise<Served> {
    const dependencies = this.#dependencies;
    const opening = dependencies.desk.open(request, {
      choose: () => chooseOffers(dependencies, request),
      onGone: (leave) => {
        sink.onClose = leave;
      },
    });
    const held = opening instanceof Promise ? await opening : opening;
    const run = new Run({ dependencies, request, sink, held });
    const { id } = this.#running.add((id) => ({ id, run }));
    try {
      return { generationId: held.terms.id, billed: await run.go() };
    } finally {
      this.#running.delete(id);
      held.leave(run.usedTokens);
    }
  }

  /** Stops what runs: what was delivered of it is billed. */
  stop(): void {
    for (const { run } of this.#running.all()) run.stop(new AimoError("shutting_down"));
  }

  /** Looks for silent streams and overdue requests no more. Call when nothing runs. */
  close(): void {
    clearInterval(this.#sweep);
  }

  #tick(): void {
    const now = this.#dependencies.now();
    const { totalMs, keepAliveMs } = this.#dependencies.limits;
    for (const { run } of this.#running.all()) {
      if (now - run.startedAt > totalMs)
        run.stop(new AimoError("timeout", { message: `The request took longer than ${totalMs / 1000} s.` }));
      else run.keepAlive(now, keepAliveMs);
    }
  }
}
