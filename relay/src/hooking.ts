import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { AimoError } from "@aimo/protocol/errors";
import type { RelayHooks } from "@aimo/protocol/relay-hooks";
import type { RelayConfig } from "./config.ts";
import { faultOf } from "./core/hook-results.ts";
import type { Tiers } from "./core/tiers.ts";
import { HookedServing } from "./flow/hooked-serving.ts";
import { Hooks, type HooksParameters } from "./flow/hooks.ts";
import { Serving } from "./flow/serve.ts";
import type { ServeDependencies } from "./flow/serve-ports.ts";

const NAMES = ["onRequest", "onResponse", "onFrame"] as const;

/** Reads the module that `hooks.module` names. Undefined: none is set. Throws `config_invalid`. */
export async function loadHooks({ module }: RelayConfig["hooks"]): Promise<RelayHooks | undefined> {
  if (module === "") return undefined;
  const path = resolve(module);
  let exported: Record<string, unknown>;
  try {
    exported = await import(pathToFileURL(path).href);
  } catch (cause) {
    const { reason } = faultOf(cause);
    const message = `hooks.module ${path} cannot be loaded: ${cause instanceof Error ? cause.message : reason}`;
    throw new AimoError("config_invalid", { message, param: "hooks.module", cause });
  }
  const found = NAMES.filter((name) => exported[name] !== undefined);
  const wrong = found.find((name) => typeof exported[name] !== "function");
  if (wrong) throw invalid(`hooks.module ${path} exports ${wrong}, and it is no function.`);
  if (found.length === 0) throw invalid(`hooks.module ${path} exports none of ${NAMES.join(", ")}.`);
  return Object.fromEntries(found.map((name) => [name, exported[name]]));
}

/** Serving as it is configured: without hooks there is nothing of them on the way of a request. */
export async function openServing(
  { hooks: settings, http }: Pick<RelayConfig, "hooks" | "http">,
  dependencies: ServeDependencies & Pick<HooksParameters, "log"> & { readonly tiers: Tiers },
): Promise<Serving> {
  const hooks = await loadHooks(settings);
  if (!hooks) return new Serving(dependencies);
  const { tiers, log } = dependencies;
  const running = new Hooks({
    ...{ hooks, log, tiers, timeLimitMs: settings.timeLimitMs },
    maxBodyBytes: http.maxBodyBytes,
    maxReplyBytes: http.maxReplyBytes,
  });
  return new HookedServing(dependencies, running);
}

const invalid = (message: string) => new AimoError("config_invalid", { message, param: "hooks.module" });
