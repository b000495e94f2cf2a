import { resolve } from "node:path";
import { loadOrCreateKey } from "@aimo/node/keys";
import { createLog } from "@aimo/node/log";
import { signersOf } from "@aimo/protocol/actions/registry";
import { ROLES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { MAX_WORKERS } from "@aimo/protocol/session";
import { type Address, formatEther } from "viem";
import { readSum, readWhole, usd } from "../amounts.ts";
import {
  CHAIN_OPTIONS,
  type Command,
  type CommandInput,
  type OptionSpec,
  WALLET_OPTIONS,
} from "../command.ts";
import type { CliContext } from "../context.ts";
import { readIfThere } from "../files.ts";
import { ask } from "../read.ts";
import { bondNode, type Role, registerNode } from "../register.ts";
import { loadSettings } from "../settings.ts";
import { untilStopped } from "../until-stopped.ts";
import { loadSecretKey, openWallet, type Wallet } from "../wallet.ts";

/** What relays and providers do alike: register, put something behind their name, run. */

const OPTIONS = { ...CHAIN_OPTIONS, ...WALLET_OPTIONS };
const MAX_FEE_BPS = 2_000;

const SIGNER_OPTIONS = {
  signer: { type: "string", value: "FILE", summary: "the node's own key file; made when it is missing" },
  "signer-password-file": { type: "string", value: "FILE", summary: "file with the password of that key" },
} as const satisfies Record<string, OptionSpec>;

async function signerKey(input: CommandInput, context: CliContext, role: Role) {
  const path = resolve(context.folder, input.text("signer") ?? `${role}.key`);
  const password = input.text("signer-password-file");
  if (password !== undefined) return loadSecretKey(path, resolve(context.folder, password), context);
  const key = await loadOrCreateKey({
    path,
    ...(context.askSecret ? { password: { prompt: context.askSecret } } : {}),
  });
  if (key.created) context.note(`Made the node's key in ${path}: back it up.`);
  return key;
}

function registerCommand(role: Role, more: Readonly<Record<string, OptionSpec>>): Command {
  return {
    name: `${role} register`,
    summary: `Register your wallet as the owner of a ${role}`,
    description: "The wallet owns the registration and stays cold; the node signs with a key of its own.",
    options: { ...OPTIONS, ...SIGNER_OPTIONS, ...more },
    examples: [`aimo ${role} register --wallet owner.key --signer ${role}.key`],
    async run(input, context) {
      const fee = input.text("fee-bps");
      const feeBps = fee === undefined ? 0 : readWhole("--fee-bps", fee, [0, MAX_FEE_BPS]);
      const wallet = await openWallet(await loadSettings(input, context), context);
      const signer = await signerKey(input, context, role);
      const id = await registerNode(wallet, { role, signerKey: signer.privateKey, feeBps });
      const gas = await gasOf(wallet, role, signer.address);
      return {
        text: `Registered ${role} ${id}, owner ${wallet.account.address}, signer ${signer.address}.${gas.text}`,
        json: { role, id, owner: wallet.account.address, signer: signer.address, signerWei: gas.wei },
      };
    },
  };
}

function bondCommand(role: Role, name: string, what: string): Command {
  return {
    name,
    summary: `Put credits behind your ${role}, depositing what is missing`,
    arguments: [{ name: "AMOUNT", summary: "USD, e.g. 100" }],
    options: OPTIONS,
    async run(input, context) {
      const amount = readSum("AMOUNT", input.argument("AMOUNT") ?? "");
      const wallet = await openWallet(await loadSettings(input, context), context);
      const { id, active, minimum } = await bondNode(wallet, role, amount);
      const short = active < minimum ? ` It needs at least ${usd(minimum)} to work.` : "";
      const signer = await signerOf(wallet, role, id);
      const gas = await gasOf(wallet, role, signer);
      return {
        text: `The ${what} of ${role} ${id} is ${usd(active)}.${short}${gas.text}`,
        json: { role, id, activePusd: active, minimumPusd: minimum, signer, signerWei: gas.wei },
      };
    },
  };
}

/** The node's key pays gas, from an account of its own that nobody thinks of. Says so while it has little. */
async function gasOf({ chain }: Wallet, role: Role, signer: Address) {
  const wei = await ask(() => chain.public.getBalance({ address: signer }));
  if (wei >= ADVISED_GAS_WEI) return { wei, text: "" };
  const what = role === "relay" ? "the gas of every batch" : "the gas when it redeems a relay's voucher";
  const local = chain.deployment.profile === "local" ? ` (\`aimo dev faucet ${signer}\` here)` : "";
  const text =
    `\nThe signer ${signer} pays ${what} and has ${formatEther(wei)} of the chain's native coin: ` +
    `send it ${formatEther(ADVISED_GAS_WEI)} or more before \`aimo ${role} start\`${local}.`;
  return { wei, text };
}

async function signerOf({ chain }: Wallet, role: Role, id: number): Promise<Address> {
  const { public: reader, deployment } = chain;
  return (await signersOf(reader, { deployment, role: ROLES[role], id })).current.key;
}

/** Below this a node warns at its start. */
const ADVISED_GAS_WEI = 10n ** 16n;

type StartOptions = {
  readonly path: string;
  /** Processes that serve; as the configuration says when undefined. */
  readonly workers: number | undefined;
};
/** Starts a node with its configuration file and resolves when it runs. */
type Start = (options: StartOptions) => Promise<{
  readonly url: string;
  readonly p2pAddresses: readonly string[];
  close(): Promise<void>;
}>;

function startCommand(role: Role, start: Start, more: Readonly<Record<string, OptionSpec>> = {}): Command {
  return {
    name: `${role} start`,
    summary: `Run your ${role} until Ctrl-C`,
    description:
      "Ctrl-C finishes what is in flight and closes; a second one leaves at once. Logs are JSON lines. The page\n" +
      "docs/running-a-node.md goes from a wallet to a node that serves, and docs/reference/settings.md has every setting.",
    options: {
      config: {
        type: "string",
        value: "FILE",
        default: `${role}.toml`,
        summary: "configuration of the node",
      },
      ...more,
    },
    async run(input, context) {
      const workers = "workers" in more ? input.text("workers") : undefined;
      const path = resolve(context.folder, input.text("config") ?? `${role}.toml`);
      if ((await readIfThere(path)) === undefined) throw noConfiguration(role, path);
      const node = await start({
        path,
        workers: workers === undefined ? undefined : readWhole("--workers", workers, [1, MAX_WORKERS]),
      });
      const [dialled] = node.p2pAddresses;
      const gossip = dialled === undefined ? "" : `\nOthers bootstrap with ${dialled}.`;
      const ready = `The ${role} listens on ${node.url}.${gossip}`;
      const exitCode = await untilStopped({ close: () => node.close(), ready }, context);
      return { text: "", json: { role, stopped: true }, exitCode };
    },
  };
}

const noConfiguration = (role: Role, path: string) =>
  new AimoError("config_invalid", {
    message: `There is no configuration ${path}.`,
    hint: `Write one as docs/running-a-node.md shows, or name yours: \`aimo ${role} start --config FILE\`.`,
  });

// Loaded when they are started: the other commands should not wait for libp2p and the databases.
async function startProviderNode({ path }: StartOptions) {
  const { loadConfig } = await import("@aimo/provider/config");
  const { startProvider } = await import("@aimo/provider/node");
  return startProvider(await loadConfig(path), { log: createLog({ level: "info", name: "provider" }) });
}

async function startRelayNode({ path, workers }: StartOptions) {
  const { loadConfig } = await import("@aimo/relay/config");
  const { startRelay } = await import("@aimo/relay/node");
  return startRelay(await loadConfig({ file: path, overrides: workers === undefined ? {} : { workers } }), {
    log: createLog({ level: "info", name: "relay" }),
  });
}

export const relayRegister = registerCommand("relay", {
  "fee-bps": {
    type: "string",
    value: "N",
    default: "500",
    summary: "what the relay adds to providers' prices, in hundredths of a percent",
  },
});
export const relayBond = bondCommand("relay", "relay bond", "bond");
export const relayStart = startCommand("relay", startRelayNode, {
  workers: {
    type: "string",
    value: "N",
    summary: `processes that serve requests, 1 to ${MAX_WORKERS}; one for each core (default: the configuration's, 1)`,
  },
});
export const providerRegister = registerCommand("provider", {});
export const providerStake = bondCommand("provider", "provider stake", "stake");
export const providerStart = startCommand("provider", startProviderNode);
