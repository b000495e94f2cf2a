import { AimoClient, type Session } from "@aimo/sdk";
import type { Address } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { CliContext } from "./context.ts";
import type { Settings } from "./settings.ts";
import { loadWalletKey } from "./wallet.ts";

/** Signs in to the configured relay with the wallet: a client that may manage keys and channels. */
export async function openSession(
  settings: Settings,
  context: CliContext,
): Promise<{ readonly client: AimoClient; readonly owner: Address; readonly session: Session }> {
  const account = privateKeyToAccount((await loadWalletKey(settings, context)).privateKey);
  context.note(`Signing in to ${settings.baseUrl} as ${account.address}…`);
  // An API key in the environment has no part in this.
  const session = await new AimoClient({ baseURL: settings.baseUrl, apiKey: "" }).signIn(account);
  const client = new AimoClient({ baseURL: settings.baseUrl, apiKey: session.token });
  return { client, owner: account.address, session };
}
