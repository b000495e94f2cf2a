import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadOrCreateKey } from "@aimo/node/keys";
import type { Log } from "@aimo/node/log";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { loadConfig } from "@aimo/relay/config";
import { startRelay } from "@aimo/relay/node";
import { type Network, registerRelay } from "./register.ts";
import { ACCOUNT, deposit, faucet, localPrivateKey, localWallet } from "./wallets.ts";

export type LocalRelay = {
  readonly id: number;
  /** Account of the local mnemonic that owns it. */
  readonly ownerIndex: number;
  readonly url: string;
  /** Multiaddrs that providers and other relays dial. */
  readonly p2p: readonly string[];
  readonly feeBps: number;
  /** Posts all that is billed and resolves when it is confirmed. */
  settle(): Promise<void>;
  close(): Promise<void>;
};

export type StartLocalRelayOptions = Network & {
  readonly folder: string;
  readonly deploymentFile: string;
  readonly index: number;
  readonly port: number;
  readonly bootstrap: readonly string[];
  /** When it posts; its own age limit otherwise. */
  readonly maxAgeMs?: number;
  /** Processes that serve; 1 by default. */
  readonly workers?: number;
  readonly log: Log;
};

const BOND = 100n * PUSD_PER_USD;
const FEE_BPS = 500;

const MAX_AGE_MS = 3_000;

/** Registers and bonds a relay: its own key, its own data, its configuration on disk as TOML. */
export async function prepareLocalRelay(
  options: Omit<StartLocalRelayOptions, "log">,
): Promise<Pick<LocalRelay, "id" | "ownerIndex"> & { readonly configFile: string }> {
  const { rpcUrl, deployment, index } = options;
  const ownerIndex = ACCOUNT.relayOwner + index;
  const owner = localWallet(rpcUrl, ownerIndex);
  const folder = join(options.folder, `relay-${index + 1}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const key = await loadOrCreateKey({ path: join(folder, "node.key") });
  // So that its operator can try what owners do, such as `aimo relay reserve`.
  await writeFile(join(folder, "owner.key"), localPrivateKey(ownerIndex), { mode: 0o600 });
  await deposit(rpcUrl, deployment, owner, BOND);
  const id = await registerRelay(options, owner, { signerKey: key.privateKey, feeBps: FEE_BPS, bond: BOND });
  // The signer posts, so it needs gas.
  await faucet(rpcUrl, deployment, key.address, PUSD_PER_USD);
  const configFile = join(folder, "relay.toml");
  await writeFile(configFile, tomlOf(options));
  return { id, ownerIndex, configFile };
}

/** Prepares a relay and starts its node in this process. */
export async function startLocalRelay(options: StartLocalRelayOptions): Promise<LocalRelay> {
  const { index, log } = options;
  const { id, ownerIndex, configFile } = await prepareLocalRelay(options);
  const node = await startRelay(await loadConfig({ file: configFile, environment: {} }), {
    log: log.child({ node: `relay-${index + 1}` }),
  });
  return {
    ...{ id, ownerIndex },
    url: node.url,
    p2p: node.p2pAddresses,
    feeBps: FEE_BPS,
    settle: () => node.settle(),
    close: () => node.close(),
  };
}

function tomlOf(options: Omit<StartLocalRelayOptions, "log">): string {
  const { rpcUrl, deploymentFile, port, bootstrap, maxAgeMs = MAX_AGE_MS, workers = 1 } = options;
  return `# A relay of a local AiMo network.
key_file = "node.key"
rpc_url = ${JSON.stringify(rpcUrl)}
deployment_file = ${JSON.stringify(deploymentFile)}
data_folder = "data"
log_level = "warn"
workers = ${workers}

[http]
port = ${port}

[gossip]
bootstrap = ${JSON.stringify(bootstrap)}

[settling]
max_age_ms = ${maxAgeMs}
`;
}
