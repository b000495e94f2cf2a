import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { waitForReceipt } from "@aimo/protocol/action";
import { mint } from "@aimo/protocol/actions/test-dollar";
import { AimoError } from "@aimo/protocol/errors";
import { toTokenUnits } from "@aimo/protocol/units";
import { createWalletClient, formatEther, http, isAddress, parseEther } from "viem";
import { readUsd, readWhole, usd } from "../amounts.ts";
import { CHAIN_OPTIONS, type Command, UsageError } from "../command.ts";
import { ask } from "../read.ts";
import { loadSettings } from "../settings.ts";
import { untilStopped } from "../until-stopped.ts";
import { openChain } from "../wallet.ts";

/** What a clone's script for local networks gives; the published package has none. */
type LocalNetworkModule = {
  startLocalNetwork(options: Readonly<Record<string, unknown>>): Promise<{
    readonly rpcUrl: string;
    readonly users: readonly { readonly baseUrl: string; readonly apiKey: string }[];
    close(): Promise<void>;
  }>;
};

async function loadLocalNetwork(): Promise<LocalNetworkModule> {
  // Named at run time: the bundle must not take the development chain in. As a bundle this file has another name, and
  // what lies at that place beside it is somebody else's.
  const url = new URL("../../../scripts/local-network.ts", import.meta.url);
  const isClone = import.meta.url.endsWith("/cli/src/commands/dev.ts") && existsSync(url);
  if (isClone) {
    // The development chain looks for its configuration in the folder it runs in.
    process.chdir(fileURLToPath(new URL("../", url)));
    return (await import(url.href)) as LocalNetworkModule;
  }
  throw new AimoError("config_invalid", {
    message: "A local network needs the development chain, which comes with a clone of the repository only.",
  });
}

export const dev: Command = {
  name: "dev",
  summary: "Run a local network: a chain, two relays, three providers and a funded user",
  description: "In a clone; the same as `npm start`. Ctrl-C drains and closes it.",
  options: {
    "port-base": {
      type: "string",
      value: "PORT",
      default: "8787",
      summary: "first of the ports used; 0: any free ones",
    },
    data: {
      type: "string",
      value: "DIR",
      default: ".aimo/local",
      summary: "folder for keys, ledgers and addresses",
    },
    upstream: {
      type: "string",
      value: "URL",
      summary: "OpenAI-compatible server to put behind another provider",
    },
    model: { type: "string", value: "NAME", summary: "the model of that server" },
    workers: {
      type: "string",
      value: "N",
      default: "1",
      summary: "processes of each relay that serve requests, 1 to 12",
    },
  },
  async run(input, context) {
    const ports = readWhole("--port-base", input.text("port-base") ?? "", [0, 65_000]);
    const workers = readWhole("--workers", input.text("workers") ?? "", [1, 12]);
    const url = input.text("upstream");
    const model = input.text("model");
    if ((url === undefined) !== (model === undefined))
      throw new UsageError("--upstream and --model go together.");
    const dataFolder = resolve(context.folder, input.text("data") ?? "");
    const { startLocalNetwork } = await loadLocalNetwork();
    const network = await startLocalNetwork({
      ports: ports === 0 ? "free" : ports,
      ...{ dataFolder, workers },
      progress: context.note,
      ...(url === undefined ? {} : { upstream: { url, model } }),
    });
    const [user] = network.users;
    const ready = `Ready. AIMO_BASE_URL=${user?.baseUrl} AIMO_API_KEY=${user?.apiKey} (chain ${network.rpcUrl})`;
    const exitCode = await untilStopped({ close: () => network.close(), ready }, context);
    return { text: "", json: { stopped: true }, exitCode };
  },
};

/** Native coin that an account on a local chain gets along: enough for thousands of transactions. */
const GAS_MONEY = parseEther("10");

export const faucet: Command = {
  name: "dev faucet",
  summary: "Give an address test dollars and native coin on a local chain",
  arguments: [{ name: "ADDRESS", summary: "who gets them" }],
  options: {
    ...CHAIN_OPTIONS,
    usd: { type: "string", value: "AMOUNT", default: "100", summary: "test dollars to make" },
  },
  examples: ["aimo dev faucet 0x… --usd 250"],
  async run(input, context) {
    const address = input.argument("ADDRESS") ?? "";
    if (!isAddress(address, { strict: false }))
      throw new UsageError(`ADDRESS is "${address}", which is no address.`);
    const amount = readUsd("--usd", input.text("usd") ?? "");
    const settings = await loadSettings(input, context);
    const chain = await openChain(settings);
    if (chain.deployment.profile !== "local")
      throw new AimoError("wrong_chain", { message: "Test dollars exist on local chains only." });
    const { token } = chain.deployment.contracts;
    const funder = await unlockedAccount(settings.rpcUrl());
    const { deployment } = chain;
    const minted = await mint(funder, { deployment, to: address, amount: toTokenUnits(amount) });
    await waitForReceipt(chain.public, { hash: minted });
    const given = await ask(() => funder.sendTransaction({ chain: null, to: address, value: GAS_MONEY }));
    await waitForReceipt(chain.public, { hash: given });
    const coin = formatEther(GAS_MONEY);
    return {
      text: `${address} got ${usd(amount)} in test dollars and ${coin} of native coin.`,
      json: { address, token, mintedPusd: amount, nativeWei: GAS_MONEY },
    };
  },
};

/** Development chains have accounts that anyone may send from. */
async function unlockedAccount(rpcUrl: string) {
  const transport = http(rpcUrl);
  const addresses = await createWalletClient({ transport })
    .getAddresses()
    .catch(() => []);
  const [account] = addresses;
  if (account) return createWalletClient({ account, transport });
  throw new AimoError("wrong_chain", {
    message: "This chain has no account that anyone may send from: it is no local one.",
  });
}
