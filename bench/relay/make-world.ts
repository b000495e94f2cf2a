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
import { FEE_BPS, PRICES, type ProviderIdentity, type World } from "./world.ts";

/** Far more than a bench bills, so that no limit of anybody's credit is what is measured. */
const FUNDS = {
  bond: 20_000n * USD,
  stake: 100n * USD,
  reserve: 5_000n * USD,
  channel: 5_000n * USD,
} as const;
const KINDS = ["token", "token", "token"] as const;
const CHANNEL_DAYS = 30;

export type WorldOptions = {
  /** What the user puts into its channel, pUSD. */
  readonly channel?: bigint;
  /** The relay's configuration below its keys and paths, as TOML. */
  readonly settings: string;
};

/** No limit of a tier is what a bench or a test of this world is about. */
const WIDE_TIER = `
[tiers]
default = "enterprise"
enterprise_requests_per_minute = 10000000
enterprise_tokens_per_minute = 1000000000000
`;

/** A real chain in this process with a relay, a provider and a user on it. */
export async function makeWorld(
  folder: string,
  { channel = FUNDS.channel, settings }: WorldOptions,
): Promise<{ readonly world: World; close(): Promise<void> }> {
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
  await deposit(rpcUrl, deployment, relayOwner, FUNDS.bond);
  const relay = { signerKey: relayKey.privateKey, feeBps: FEE_BPS, bond: FUNDS.bond };
  const relayId = await registerRelay(network, relayOwner, relay);
  await faucet(rpcUrl, deployment, relayKey.address, USD);

  const modelOwner = localWallet(rpcUrl, ACCOUNT.providerOwner);
  const modelId = await registerModel(network, modelOwner, MODEL);
  const provider = await addProvider({ ...network, relayId, modelId }, folder, 0);

  const signing = await loadOrCreateKey({ path: join(folder, "session.key") });
  for (const [index, key] of [
    [ACCOUNT.user, {}],
    [ACCOUNT.user + 1, { sessionKey: signing.address }],
  ] as const) {
    const user = localWallet(rpcUrl, index);
    await deposit(rpcUrl, deployment, user, channel);
    await openChannel(network, user, { relayId, amount: channel, days: CHANNEL_DAYS, ...key });
  }

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
${settings}
${WIDE_TIER}`,
  );
  const world = {
    ...{ rpcUrl, deployment, deploymentFile, relayId, relayConfig, modelId, ...provider },
    ...{ relaySigner: relayKey.address, user: ACCOUNT.user },
    ...{ signedUser: ACCOUNT.user + 1, sessionKey: signing.privateKey },
  };
  return { world, close: () => chain.close() };
}

/** Registers a provider of the model, staked and with a reserve of the relay's. Each `index` has an owner of its own. */
export async function addProvider(
  world: Pick<World, "rpcUrl" | "deployment" | "relayId" | "modelId">,
  folder: string,
  index: number,
): Promise<ProviderIdentity> {
  const { rpcUrl, deployment, modelId } = world;
  const { privateKey } = await loadOrCreateKey({ path: join(folder, `provider-${index}.key`) });
  const owner = localWallet(rpcUrl, ACCOUNT.providerOwner + index);
  await deposit(rpcUrl, deployment, owner, FUNDS.stake);
  const providerId = await registerProvider(world, owner, { signerKey: privateKey, stake: FUNDS.stake });
  await setPrice(world, owner, { providerId, modelId, prices: PRICES, kinds: KINDS });
  await addReserve(world, providerId);
  return { providerId, providerKey: privateKey };
}

/** Sets money of the relay's owner aside for a provider, so that it lends what a bench serves between two posts. */
export async function addReserve(
  { rpcUrl, deployment, relayId }: Pick<World, "rpcUrl" | "deployment" | "relayId">,
  providerId: number,
): Promise<void> {
  const owner = localWallet(rpcUrl, ACCOUNT.relayOwner);
  await deposit(rpcUrl, deployment, owner, FUNDS.reserve);
  const hash = await fundReserve(owner, { deployment, relayId, providerId, amount: FUNDS.reserve });
  await waitForReceipt(localReader(rpcUrl), { hash });
}
