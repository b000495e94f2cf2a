import { dirname, isAbsolute, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { deploymentFault, loadDeployment } from "@aimo/node/deployment-file";
import type { Deployment } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { type Address, isAddress } from "viem";
import type { CommandInput } from "./command.ts";
import type { CliContext } from "./context.ts";
import { loadCredentials } from "./credentials.ts";
import { readIfThere, readJsonIfThere } from "./files.ts";

/** Where a command's settings come from: options, environment, `.env`, the network in this folder, the last login. */
export type Settings = {
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
  /** Wallet of the account, when it is known. */
  readonly owner: Address | undefined;
  /** Id of the relay, when a source other than the relay tells it. */
  readonly relayId: number | undefined;
  /** Key file or keystore of the wallet. */
  readonly walletFile: string | undefined;
  readonly passwordFile: string | undefined;
  /** Key file or keystore of a SIGNED channel's session key. */
  readonly sessionFile: string | undefined;
  /** Throws `config_invalid` when none is configured. */
  rpcUrl(): string;
  /** Throws `config_invalid` when none is configured, or it is damaged. */
  deployment(): Promise<Deployment>;
};

const DEFAULT_BASE_URL = "https://api.aimo.network/v1";
const NETWORK_FOLDER = ".aimo/local";
const NETWORK_FILE = "network.json";

/** Reads the settings. Throws `config_invalid` on files that are damaged. */
export async function loadSettings(input: CommandInput, context: CliContext): Promise<Settings> {
  const environment = await loadEnvironment(context);
  const chosen = input.text("data");
  const network = await loadNetwork(context, chosen);
  // A network that was named on the command line goes before what is set for all commands.
  const ambient = (name: string) => (chosen === undefined ? environment(name) : undefined);
  const credentials = await loadCredentials(context);
  const named = input.text("base-url") ?? ambient("AIMO_BASE_URL");
  const baseUrl = cleanUrl(named ?? network?.relays[0]?.url ?? credentials.last ?? DEFAULT_BASE_URL);
  const relay = network?.relays.find(({ url }) => cleanUrl(url) === baseUrl);
  const localUser = network?.user && cleanUrl(network.user.baseUrl) === baseUrl ? network.user : undefined;
  // Its user's key is for it; a key that is set may be for any of its relays.
  const apiKeyOfEnvironment = (localUser ? ambient : environment)("AIMO_API_KEY");
  const credential =
    apiKeyOfEnvironment === undefined ? (credentials.relays[baseUrl] ?? localUser) : undefined;
  const pathOf = (path: string | undefined) =>
    path === undefined ? undefined : resolve(context.folder, path);
  return {
    baseUrl,
    apiKey: apiKeyOfEnvironment ?? credential?.apiKey,
    owner: ownerOf((localUser ? ambient : environment)("AIMO_OWNER"), credential),
    relayId: relay?.id,
    walletFile: pathOf(input.text("wallet") ?? environment("AIMO_WALLET")) ?? localUser?.keyFile,
    sessionFile: pathOf(input.text("session-key") ?? environment("AIMO_SESSION_KEY")),
    passwordFile: pathOf(input.text("password-file") ?? environment("AIMO_PASSWORD_FILE")),
    rpcUrl() {
      const url = input.text("rpc-url") ?? ambient("AIMO_RPC_URL") ?? network?.rpcUrl;
      if (url) return url;
      throw missing("No RPC endpoint of a chain is configured: use --rpc-url or AIMO_RPC_URL.");
    },
    async deployment() {
      const path = pathOf(input.text("deployment") ?? ambient("AIMO_DEPLOYMENT"));
      if (path) return loadDeployment(path);
      if (network) return network.deployment();
      throw missing(
        "The contracts are not known: use --deployment or AIMO_DEPLOYMENT with the deployment's file.",
      );
    },
  };
}

const missing = (message: string) => new AimoError("config_invalid", { message });

/** The environment over `.env`; an empty variable counts as unset. */
async function loadEnvironment({
  environment,
  folder,
}: CliContext): Promise<(name: string) => string | undefined> {
  const text = await readIfThere(join(folder, ".env"));
  const fromFile: Readonly<Record<string, string | undefined>> = text === undefined ? {} : parseEnv(text);
  return (name) => environment[name]?.trim() || fromFile[name]?.trim() || undefined;
}

function ownerOf(
  named: string | undefined,
  credential: { readonly owner?: Address } | undefined,
): Address | undefined {
  if (named === undefined) return credential?.owner;
  if (isAddress(named, { strict: false })) return named;
  throw missing(`AIMO_OWNER is "${named}", which is no address.`);
}

/** A relay's address ends in /v1, whether or not somebody wrote it. */
export function cleanUrl(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol))
    throw missing(`The relay's address "${text}" is not an http(s) URL such as ${DEFAULT_BASE_URL}.`);
  const path = url.pathname.replace(/\/+$/, "");
  return `${url.origin}${path === "" ? "/v1" : path}`;
}

type NetworkUser = {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly owner?: Address;
  readonly keyFile?: string;
};
type LocalNetworkFile = {
  readonly rpcUrl: string;
  readonly relays: readonly { readonly url: string; readonly id: number }[];
  readonly user: NetworkUser | undefined;
  readonly deployment: () => Promise<Deployment>;
};

/** What a local network wrote down of itself. Fields that are not there are left out; it belongs to the same clone. */
async function loadNetwork(
  { folder }: CliContext,
  chosen: string | undefined,
): Promise<LocalNetworkFile | undefined> {
  const path = join(resolve(folder, chosen ?? NETWORK_FOLDER), NETWORK_FILE);
  const value = await readJsonIfThere(path);
  if (typeof value !== "object" || value === null) {
    if (chosen === undefined) return undefined;
    throw missing(`--data is "${chosen}", where no local network has left its ${NETWORK_FILE}.`);
  }
  const { rpcUrl, relays, user, deployment } = value as Record<string, unknown>;
  const beside = (file: string) => (isAbsolute(file) ? file : join(dirname(path), file));
  return {
    rpcUrl: typeof rpcUrl === "string" ? rpcUrl : "",
    relays: listOf(relays).flatMap(({ url, id }) =>
      typeof url === "string" && typeof id === "number" ? [{ url, id }] : [],
    ),
    user: listOf([user]).map((each) => readUser(each, beside))[0],
    async deployment() {
      if (typeof deployment === "string") return loadDeployment(beside(deployment));
      const fault = deploymentFault(deployment);
      if (fault) throw missing(`${path} holds no deployment: ${fault}.`);
      return deployment as Deployment;
    },
  };
}

function readUser(user: Record<string, unknown>, beside: (file: string) => string): NetworkUser | undefined {
  const { baseUrl, apiKey, address, keyFile } = user;
  if (typeof baseUrl !== "string" || typeof apiKey !== "string") return undefined;
  return {
    baseUrl,
    apiKey,
    ...(typeof address === "string" && isAddress(address) ? { owner: address } : {}),
    ...(typeof keyFile === "string" ? { keyFile: beside(keyFile) } : {}),
  };
}

const listOf = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : [];
