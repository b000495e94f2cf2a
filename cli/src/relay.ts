import { join } from "node:path";
import { AimoError } from "@aimo/protocol/errors";
import type { WellKnown } from "@aimo/protocol/routes";
import { AimoClient, type AimoClientOptions } from "@aimo/sdk";
import { readWhole } from "./amounts.ts";
import type { CliContext } from "./context.ts";
import { writePrivate } from "./files.ts";
import type { Settings } from "./settings.ts";
import { loadSecretKey } from "./wallet.ts";

/** A client of the configured relay. Throws `authentication_failed` when no key is configured. */
export function openClient(
  { baseUrl, apiKey }: Settings,
  options: Pick<AimoClientOptions, "records" | "session"> = {},
): AimoClient {
  if (apiKey === undefined)
    throw new AimoError("authentication_failed", {
      message: `There is no API key for ${baseUrl}: set AIMO_API_KEY or run \`aimo auth login\`.`,
    });
  return new AimoClient({ baseURL: baseUrl, apiKey, ...options });
}

/** What signs vouchers of a SIGNED channel: the key in a file, if one is named. Throws `config_invalid`. */
export async function loadSession(path: string | undefined, context: CliContext) {
  if (path === undefined) return {};
  const { privateKey } = await loadSecretKey(path, undefined, context);
  return { session: { key: privateKey } };
}

/** The relay that is meant: the one named, or that of the base URL. Throws `wrong_chain` when that is on another chain. */
export async function relayIdOf(settings: Settings, named?: string): Promise<number> {
  if (named !== undefined) return readWhole("--relay", named, [1, 2 ** 32 - 1]);
  if (settings.relayId !== undefined) return settings.relayId;
  const identity = await new AimoClient({ baseURL: settings.baseUrl, apiKey: "" }).wellKnown();
  const { relay, chain }: Partial<WellKnown> & Pick<WellKnown, "relay"> = identity;
  const { chainId, genesisHash } = await settings.deployment();
  // Its id means another relay there.
  if (chain && (chain.id !== chainId || chain.genesis_hash.toLowerCase() !== genesisHash.toLowerCase()))
    throw new AimoError("wrong_chain", {
      message: `Relay ${relay.id} at ${settings.baseUrl} is on chain ${chain.id} (${chain.genesis_hash}), the deployment on ${chainId} (${genesisHash}).`,
      hint: "Name the network's folder with --data, or its chain with --rpc-url and --deployment.",
    });
  return relay.id;
}

/** File in which this command line keeps what it asked of a relay, so that bills can be checked against it. */
export function recordsPath({ configFolder }: CliContext, baseUrl: string): string {
  const name = new URL(baseUrl).host.replaceAll(/[^a-zA-Z0-9.-]/g, "_");
  return join(configFolder, "records", `${name}.jsonl`);
}

/** The file, ready to be appended to. */
export async function prepareRecords(context: CliContext, baseUrl: string): Promise<string> {
  const path = recordsPath(context, baseUrl);
  const { access } = await import("node:fs/promises");
  await access(path).catch(() => writePrivate(path, ""));
  return path;
}
