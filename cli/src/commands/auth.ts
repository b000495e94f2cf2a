import { resolve } from "node:path";
import { AimoError } from "@aimo/protocol/errors";
import { AimoClient } from "@aimo/sdk";
import { type Command, RELAY_OPTIONS, UsageError, WALLET_OPTIONS } from "../command.ts";
import type { CliContext } from "../context.ts";
import { removeCredential, saveCredential } from "../credentials.ts";
import { readIfThere } from "../files.ts";
import { openSession } from "../session.ts";
import { loadSettings, type Settings } from "../settings.ts";

/** Keys are never arguments: arguments are visible to other users of the machine and stay in the shell's history. */
async function readKey(file: string | undefined, context: CliContext): Promise<string> {
  const text = file === undefined ? await askKey(context) : await readIfThere(resolve(context.folder, file));
  const key = text?.trim() ?? "";
  if (/^\S{8,200}$/.test(key)) return key;
  throw new UsageError(file ? `${file} holds no API key.` : "That is no API key: they look like aimo-sk-….");
}

function askKey({ askSecret, readInput }: CliContext): Promise<string> {
  if (askSecret) return askSecret("API key: ");
  if (readInput) return readInput();
  throw new UsageError(
    "There is no terminal to ask for the key: name a file with --key-file, or use --wallet.",
  );
}

async function createKey(settings: Settings, context: CliContext, name: string) {
  const { client, owner } = await openSession(settings, context);
  const { key } = await client.keys.create({ name });
  return { apiKey: key, owner };
}

export const login: Command = {
  name: "auth login",
  summary: "Keep an API key for a relay, or make one with a wallet",
  description:
    "Without --wallet it asks for a key you have (or reads it from standard input or --key-file). With --wallet it\n" +
    "signs in with the wallet (EIP-4361), makes a key and keeps that. Keys are kept in a file that only you can read.",
  options: {
    ...RELAY_OPTIONS,
    ...WALLET_OPTIONS,
    "key-file": { type: "string", value: "FILE", summary: "read the API key from this file" },
    name: { type: "string", value: "NAME", default: "aimo cli", summary: "name of the key that is made" },
  },
  examples: ["aimo auth login", "aimo auth login --wallet owner.key --base-url http://127.0.0.1:8788/v1"],
  async run(input, context) {
    const settings = await loadSettings(input, context);
    const { baseUrl } = settings;
    // A wallet of the environment does not turn a login with a key into one with a wallet.
    const byWallet = input.text("wallet") !== undefined;
    const credential = byWallet
      ? await createKey(settings, context, input.text("name") ?? "aimo cli")
      : { apiKey: await readKey(input.text("key-file"), context) };
    if (!byWallet) await checkKey(baseUrl, credential.apiKey);
    const path = await saveCredential(context, baseUrl, credential);
    return {
      text: `Logged in to ${baseUrl}. The key is kept in ${path}.`,
      json: { baseUrl, credentials: path },
    };
  },
};

export const session: Command = {
  name: "auth session",
  summary: "Sign in with a wallet and print the session's token",
  description:
    "For what an API key cannot do over HTTP: keys, presets, channels. The token stands in for a key there, for a few\n" +
    "minutes; it is kept nowhere.",
  options: { ...RELAY_OPTIONS, ...WALLET_OPTIONS },
  examples: ["export AIMO_SESSION=$(aimo auth session --wallet owner.key)"],
  async run(input, context) {
    const { session: opened } = await openSession(await loadSettings(input, context), context);
    const { token, address, expires_at: expiresAt } = opened;
    context.note(`Valid until ${expiresAt}.`);
    return { text: token, json: { token, address, expiresAt } };
  },
};

export const logout: Command = {
  name: "auth logout",
  summary: "Forget the API key that is kept for a relay",
  description:
    "The key stays valid, for whoever else has it: `aimo keys revoke` ends it. What is in the environment, in `.env` or in\n" +
    "a local network's folder is not touched.",
  options: RELAY_OPTIONS,
  async run(input, context) {
    const { baseUrl } = await loadSettings(input, context);
    const removed = await removeCredential(context, baseUrl);
    const text = removed ? `Forgot the key for ${baseUrl}.` : `No key is kept for ${baseUrl}.`;
    return { text, json: { baseUrl, removed } };
  },
};

/** A key that the relay refuses is not worth keeping. */
async function checkKey(baseURL: string, apiKey: string): Promise<void> {
  try {
    await new AimoClient({ baseURL, apiKey }).credits();
  } catch (cause) {
    if ((cause as { code?: string }).code !== "authentication_failed") throw cause;
    throw new AimoError("authentication_failed", { message: `${baseURL} does not accept this key.`, cause });
  }
}
