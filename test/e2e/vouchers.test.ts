import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { silentLog } from "@aimo/node/log";
import { userIdOf } from "@aimo/protocol/actions/credit-vault";
import { reserveOf } from "@aimo/protocol/actions/reserves";
import { channelOf, providerAccountOf } from "@aimo/protocol/actions/settlement";
import { balanceOf } from "@aimo/protocol/actions/test-dollar";
import { fromTokenUnits, PUSD_PER_USD as USD } from "@aimo/protocol/units";
import type { VoucherFile } from "@aimo/provider/store/voucher-files";
import { expect } from "chai";
import { deployAll } from "../../scripts/deploy.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { DEMO_PROVIDERS, type LocalProvider, startLocalProvider } from "../../scripts/local/providers.ts";
import { type Network, openChannel } from "../../scripts/local/register.ts";
import { type LocalRelay, prepareLocalRelay, startLocalRelay } from "../../scripts/local/relays.ts";
import { fundReserves, RESERVE } from "../../scripts/local/reserves.ts";
import { createKey } from "../../scripts/local/sign-in.ts";
import { ACCOUNT, deposit, localReader, localWallet } from "../../scripts/local/wallets.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const REDEEM_AFTER_SECONDS = 3;
/** Long enough that the relay never posts by itself. */
const NEVER_MS = 86_400_000;
const DEADLINE_MS = 60_000;
const POLL_MS = 200;
/** Price of a picture, pUSD. */
const PICTURE = 4_000_000_000n;

/** A real provider, and a relay in a process of its own that is killed with unpaid vouchers given out. */
describe("e2e/vouchers of a relay that was killed", function () {
  this.timeout(180_000);
  let chain: LocalChain;
  let network: Network;
  let folder: string;
  let hub: LocalRelay;
  let provider: LocalProvider;
  let relay: Awaited<ReturnType<typeof prepareLocalRelay>>;
  let child: ChildProcess | undefined;

  before(async () => {
    chain = await startChain({ port: 0 });
    const rpcUrl = chain.url;
    const treasury = localWallet(rpcUrl, ACCOUNT.treasury).account.address;
    const deployment = await deployAll({
      ...{ rpcUrl, wallet: localWallet(rpcUrl, ACCOUNT.deployer), profile: "local", treasury },
      ...{ protocolFeeBps: 100, minRelayStake: 10n * USD, minProviderStake: 10n * USD },
    });
    network = { rpcUrl, deployment };
    folder = await mkdtemp(join(tmpdir(), "aimo-vouchers-"));
    const deploymentFile = join(folder, "deployment.json");
    await writeFile(deploymentFile, JSON.stringify(deployment));
    const common = { ...network, folder, deploymentFile, port: 0, log: silentLog() };
    hub = await startLocalRelay({ ...common, index: 0, bootstrap: [] });
    const [plan] = DEMO_PROVIDERS;
    if (!plan) throw new Error("A plan for a provider expected.");
    const bootstrap = hub.p2p;
    provider = await startLocalProvider({
      ...{ ...common, index: 0, plan, bootstrap, redeemAfterSeconds: REDEEM_AFTER_SECONDS },
    });
    relay = await prepareLocalRelay({ ...common, index: 1, bootstrap, maxAgeMs: NEVER_MS });
    await fundReserves(network, relay, [provider]);
  });
  after(async () => {
    child?.kill("SIGKILL");
    await hub?.close();
    await provider?.close();
    await chain.close();
    await rm(folder, { recursive: true, force: true });
  });

  const startRelayProcess = async (): Promise<string> => {
    const args = ["cli/src/main.ts", "relay", "start", "--config", relay.configFile];
    child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
    if (!child.stderr) throw new Error("The relay has no stderr.");
    for await (const line of createInterface({ input: child.stderr })) {
      const url = /listens on (http\S+)\.$/.exec(line)?.[1];
      if (url) return url;
    }
    throw new Error("The relay ended before it listened.");
  };
  const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await wait(POLL_MS)) {
      const found = await look();
      if (found !== undefined) return found;
    }
    throw new Error(`Waited in vain for ${what}.`);
  };
  const drawPicture = (url: string, apiKey: string) =>
    fetch(`${url}/v1/images/generations`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ model: "demo-image", prompt: "a red house", size: "256x256" }),
    });
  const tokensOf = async (index: number) => {
    const account = localWallet(network.rpcUrl, index).account.address;
    const { deployment } = network;
    return fromTokenUnits(await balanceOf(localReader(network.rpcUrl), { deployment, account }));
  };

  it("are redeemed from its reserve by the provider alone, to its owner, up to the last receipt", async () => {
    const { deployment, rpcUrl } = network;
    const reader = localReader(rpcUrl);
    const pair = { deployment, relayId: relay.id, providerId: provider.id };
    expect((await reserveOf(reader, pair)).amount).to.equal(RESERVE);
    const url = await startRelayProcess();
    const user = localWallet(rpcUrl, ACCOUNT.user);
    await deposit(rpcUrl, deployment, user, 10n * USD);
    await openChannel(network, user, { relayId: relay.id, amount: 5n * USD, days: 30 });
    const apiKey = await createKey(url, user, "vouchers");
    const ownerHad = await tokensOf(provider.ownerIndex);
    await until("a first picture", async () => ((await drawPicture(url, apiKey)).ok ? true : undefined));
    // In all above what the provider bothers to redeem, and far below what the relay would post at.
    const answers = await Promise.all(Array.from({ length: 4 }, () => drawPicture(url, apiKey)));
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200]);
    const owed = 5n * PICTURE;
    const file = join(folder, `provider-${provider.name}`, "data-vouchers", `relay-${relay.id}.json`);
    await until("a voucher over all five", async () => {
      const text = await readFile(file, "utf8").catch(() => "{}");
      return (JSON.parse(text) as VoucherFile).cumulative === `${owed}` ? true : undefined;
    });
    // Without a chance to say goodbye.
    const gone = child && once(child, "exit");
    child?.kill("SIGKILL");
    await gone;
    const paid = await until("the redemption", async () => {
      const account = await providerAccountOf(reader, pair);
      return account.paid === owed ? account.paid : undefined;
    });
    expect((await tokensOf(provider.ownerIndex)) - ownerHad).to.equal(paid);
    expect((await reserveOf(reader, pair)).amount).to.equal(RESERVE - paid);
    // Nothing was posted: the relay is the one who pays for its own death.
    const userId = await userIdOf(reader, { deployment, owner: user.account.address });
    const channel = await channelOf(reader, { deployment, relayId: relay.id, userId });
    expect(channel.spent).to.equal(0n);
  });
});
