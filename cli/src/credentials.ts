import { join } from "node:path";
import { AimoError } from "@aimo/protocol/errors";
import type { Address } from "viem";
import type { CliContext } from "./context.ts";
import { readJsonIfThere, refuseReadableByOthers, writePrivate } from "./files.ts";

/** What `aimo auth login` keeps of one relay. */
export type Credential = {
  readonly apiKey: string;
  /** Wallet that the key's account belongs to, when it is known. */
  readonly owner?: Address;
};
/** One key for each relay, by base URL; `last` is the relay of the latest login. */
export type Credentials = { readonly last?: string; readonly relays: Readonly<Record<string, Credential>> };

export const credentialsPath = ({ configFolder }: Pick<CliContext, "configFolder">): string =>
  join(configFolder, "credentials.json");

/** Throws `config_invalid` when the file is damaged or readable by others. */
export async function loadCredentials(context: Pick<CliContext, "configFolder">): Promise<Credentials> {
  const path = credentialsPath(context);
  const value = await readJsonIfThere(path);
  if (value === undefined) return { relays: {} };
  await refuseReadableByOthers(path);
  const { relays, last } = value as Partial<Credentials>;
  const isRight =
    typeof relays === "object" && Object.values(relays).every(({ apiKey }) => typeof apiKey === "string");
  if (!isRight)
    throw new AimoError("config_invalid", { message: `${path} is damaged: delete it and log in again.` });
  return { relays, ...(typeof last === "string" ? { last } : {}) };
}

/** Forgets the key for a relay; false when there was none. */
export async function removeCredential(
  context: Pick<CliContext, "configFolder">,
  baseUrl: string,
): Promise<boolean> {
  const { relays, last } = await loadCredentials(context);
  if (!Object.hasOwn(relays, baseUrl)) return false;
  const { [baseUrl]: _gone, ...rest } = relays;
  const next: Credentials = { ...(last === undefined || last === baseUrl ? {} : { last }), relays: rest };
  await writePrivate(credentialsPath(context), `${JSON.stringify(next, null, 2)}\n`);
  return true;
}

/** Keeps a key for a relay, in a file of mode 0600. */
export async function saveCredential(
  context: Pick<CliContext, "configFolder">,
  baseUrl: string,
  credential: Credential,
): Promise<string> {
  const { relays } = await loadCredentials(context);
  const path = credentialsPath(context);
  const next: Credentials = { last: baseUrl, relays: { ...relays, [baseUrl]: credential } };
  await writePrivate(path, `${JSON.stringify(next, null, 2)}\n`);
  return path;
}
