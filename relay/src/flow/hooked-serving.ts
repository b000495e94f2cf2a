import { HookSink } from "./hook-sink.ts";
import type { Hooks } from "./hooks.ts";
import { Serving } from "./serve.ts";
import type { ReplySink, ServeDependencies, Served, ServeRequest } from "./serve-ports.ts";

/** Serving with an operator's hooks before and behind it: for clients and for lines of batches alike. */
export class HookedServing extends Serving {
  readonly #hooks: Hooks;

  constructor(dependencies: ServeDependencies, hooks: Hooks) {
    super(dependencies);
    this.#hooks = hooks;
  }

  /** As `Serving.serve`, which it may refuse. The reply may still be with a hook: see `Served.rest`. */
  override async serve(request: ServeRequest, sink: ReplySink): Promise<Served> {
    const changed = await this.#hooks.request(request);
    const { seesReplies, seesFrames } = this.#hooks;
    if (!seesReplies && !seesFrames) return super.serve(changed, sink);
    const hooked = new HookSink(sink, this.#hooks, changed);
    const served = await super.serve(changed, hooked);
    return hooked.rest ? { ...served, rest: hooked.rest } : served;
  }
}
