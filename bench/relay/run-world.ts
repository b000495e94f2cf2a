import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadOrCreateKey } from "@aimo/node/keys";
import { waitForReceipt } from "@aimo/protocol/action";
import { fundReserve } from "@aimo/protocol/actions/reserves";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { deployAll } from "../../scripts/deploy.ts";
import { startChain } from "../../scripts/local/chain.ts";
import {
  openChannel,
  registerModel,
  registerProvider,
  registerRelay,
  setPrice,
} from "../../scripts/local/register.ts";
import { ACCOUNT, deposit, faucet, localReader, localWallet } from "../../scripts/local/wallets.ts";
import { MODEL } from "./mock.ts";
import { PRICES, WORLD_FILE, type World } from "./world.ts";

/** A real chain with a relay, a provider and a user on it, for the relay of the bench. Writes `world.json`. */

const [folder = ""] = process.argv.slice(2);
/** Far more than a bench bills, so that no limit of anybody's credit is what is measured. */
const FUNDS = {
  bond: 20_000n * USD,
  stake: 100n * USD,
  reserve: 5_000n * USD,
  channel: 5_000n * USD,
} as const;
const KINDS = ["token", "token", "token"] as const;

const chain = await startChain({ port: 0 });
const rpcUrl = chain.url;
const deployment = await deployAll({
  rpcUrl,
  wallet: localWallet(rpcUrl, ACCOUNT.deployer),
  profile: "local",
  treasury: localWallet(rpcUrl, ACCOUNT.treasury).account.address,
  ...{ protocolFeeBps: 100, minRelayStake: 10n * USD, minProviderStake: 10n * USD },
});
const network = { rpcUrl, deployment };

const relayFolder = join(folder, "relay");
await mkdir(relayFolder, { recursive: true, mode: 0o700 });
const relayKey = await loadOrCreateKey({ path: join(relayFolder, "node.key") });
const relayOwner = localWallet(rpcUrl, ACCOUNT.relayOwner);
await deposit(rpcUrl, deployment, relayOwner, FUNDS.bond + FUNDS.reserve);
const relay = { signerKey: relayKey.privateKey, feeBps: 500, bond: FUNDS.bond };
const relayId = await registerRelay(network, relayOwner, relay);
await faucet(rpcUrl, deployment, relayKey.address, USD);

const providerKey = await loadOrCreateKey({ path: join(folder, "provider.key") });
const providerOwner = localWallet(rpcUrl, ACCOUNT.providerOwner);
await deposit(rpcUrl, deployment, providerOwner, FUNDS.stake);
const provider = { signerKey: providerKey.privateKey, stake: FUNDS.stake };
const providerId = await registerProvider(network, providerOwner, provider);
const modelId = await registerModel(network, providerOwner, MODEL);
await setPrice(network, providerOwner, { providerId, modelId, prices: PRICES, kinds: KINDS });
const reserve = { deployment, relayId, providerId, amount: FUNDS.reserve };
await waitForReceipt(localReader(rpcUrl), { hash: await fundReserve(relayOwner, reserve) });

const user = localWallet(rpcUrl, ACCOUNT.user);
await deposit(rpcUrl, deployment, user, FUNDS.channel);
await openChannel(network, user, { relayId, amount: FUNDS.channel, days: 30 });

const deploymentFile = join(folder, "deployment.json");
await writeFile(deploymentFile, JSON.stringify(deployment));
const relayConfig = join(relayFolder, "relay.toml");
await writeFile(
  relayConfig,
  `key_file = "node.key"
rpc_url = ${JSON.stringify(rpcUrl)}
deployment_file = ${JSON.stringify(deploymentFile)}
data_folder = "data"
log_level = "warn"

[http]
port = 0
requests_per_minute = 10000000

[serving]
max_in_flight_per_account = 4096

[upstream]
connections = 4096

[settling]
amount_usd = "100"
`,
);
const world: World = {
  ...{ rpcUrl, deployment, relayId, relayConfig, relaySigner: relayKey.address, providerId, modelId },
  ...{ providerKey: providerKey.privateKey, user: ACCOUNT.user },
};
await writeFile(join(folder, WORLD_FILE), JSON.stringify(world), { mode: 0o600 });
process.once("SIGTERM", () => void chain.close().finally(() => process.exit(0)));
process.send?.({ rpcUrl });
