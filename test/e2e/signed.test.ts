import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { silentLog } from "@aimo/node/log";
import { userIdOf } from "@aimo/protocol/actions/credit-vault";
import { channelOf } from "@aimo/protocol/actions/settlement";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { parseVoucher } from "@aimo/protocol/vouchers";
import { loadConfig } from "@aimo/relay/config";
import { startRelay } from "@aimo/relay/node";
import { AimoClient, type RequestRecord, verifyBill } from "@aimo/sdk";
import { expect } from "chai";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { deployAll } from "../../scripts/deploy.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { DEMO_PROVIDERS, type LocalProvider, startLocalProvider } from "../../scripts/local/providers.ts";
import { type Network, openChannel } from "../../scripts/local/register.ts";
import { type LocalRelay, prepareLocalRelay, startLocalRelay } from "../../scripts/local/relays.ts";
import { fundReserves } from "../../scripts/local/reserves.ts";
import { createKey } from "../../scripts/local/sign-in.ts";
import { ACCOUNT, deposit, localReader, localWallet } from "../../scripts/local/wallets.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const IN_FLIGHT = 64;
/** Long enough that the relay never posts by itself. */
const NEVER_MS = 86_400_000;
const DEADLINE_MS = 60_000;
const POLL_MS = 100;
const MESSAGES = [{ role: "user" as const, content: "How does a market settle?" }];

/** A user whose session key pays request by request, and a relay of two workers that is killed under it. */
describe("e2e/a signed channel", function () {
  this.timeout(180_000);
  let chain: LocalChain;
  let network: Network;
  let folder: string;
  let hub: LocalRelay;
  let provider: LocalProvider;
  let relay: Awaited<ReturnType<typeof prepareLocalRelay>>;
  let child: ChildProcess | undefined;
  let node: Awaited<ReturnType<typeof startRelay>> | undefined;

  before(async () => {
    chain = await startChain({ port: 0 });
    const rpcUrl = chain.url;
    const treasury = localWallet(rpcUrl, ACCOUNT.treasury).account.address;
    const deployment = await deployAll({
      ...{ rpcUrl, wallet: localWallet(rpcUrl, ACCOUNT.deployer), profile: "local", treasury },
      ...{ protocolFeeBps: 100, minRelayStake: 10n * USD, minProviderStake: 10n * USD },
    });
    network = { rpcUrl, deployment };
    folder = await mkdtemp(join(tmpdir(), "aimo-signed-"));
    const deploymentFile = join(folder, "deployment.json");
    await writeFile(deploymentFile, JSON.stringify(deployment));
    const common = { ...network, folder, deploymentFile, port: 0, log: silentLog() };
    hub = await startLocalRelay({ ...common, index: 0, bootstrap: [] });
    const [plan] = DEMO_PROVIDERS;
    if (!plan) throw new Error("A plan for a provider expected.");
    const bootstrap = hub.p2p;
    provider = await startLocalProvider({ ...common, index: 0, plan, bootstrap });
    relay = await prepareLocalRelay({ ...common, index: 1, bootstrap, maxAgeMs: NEVER_MS });
    await fundReserves(network, relay, [provider]);
  });
  after(async () => {
    child?.kill("SIGKILL");
    await node?.close();
    await hub?.close();
    await provider?.close();
    await chain.close();
    await rm(folder, { recursive: true, force: true });
  });

  const startRelayProcess = async (): Promise<string> => {
    const args = ["cli/src/main.ts", "relay", "start", "--config", relay.configFile, "--workers", "2"];
    child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
    if (!child.stderr) throw new Error("The relay has no stderr.");
    for await (const line of createInterface({ input: child.stderr })) {
      const url = /listens on (http\S+)\.$/.exec(line)?.[1];
      if (url) return url;
    }
    throw new Error("The relay ended before it listened.");
  };
  const until = async (what: string, look: () => Promise<boolean>): Promise<void> => {
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await wait(POLL_MS))
      if (await look().catch(() => false)) return;
    throw new Error(`Waited in vain for ${what}.`);
  };
  const offersModel = (client: AimoClient) => async () =>
    (await client.models.list()).data.some(({ id }) => id === "demo-text");

  it("is paid by vouchers with 64 requests in flight, and billed on the chain after a crash", async () => {
    const { rpcUrl, deployment } = network;
    const wallet = localWallet(rpcUrl, ACCOUNT.user);
    const sessionKey = generatePrivateKey();
    const { address } = privateKeyToAccount(sessionKey);
    await deposit(rpcUrl, deployment, wallet, 10n * USD);
    await openChannel(network, wallet, {
      relayId: relay.id,
      amount: 5n * USD,
      days: 30,
      sessionKey: address,
    });

    const url = await startRelayProcess();
    const apiKey = await createKey(url, wallet, "signed");
    const records: RequestRecord[] = [];
    let highest = 0n;
    const clientOf = (base: string) =>
      new AimoClient({
        ...{ apiKey, baseURL: `${base}/v1`, session: { key: sessionKey }, maxRetries: 5 },
        records: (record) => void records.push(record),
        fetch: (input, init) => {
          const voucher = parseVoucher(new Headers(init?.headers).get("aimo-voucher") ?? "");
          if (voucher && voucher.cumulative > highest) highest = voucher.cumulative;
          return fetch(input, init);
        },
      });
    const client = clientOf(url);
    await until("the first offer", offersModel(client));
    const ask = (one: AimoClient, turn: number) =>
      one.chat.completions.create({ model: "demo-text", messages: MESSAGES, max_tokens: 8 + turn });
    const answers = await Promise.all(Array.from({ length: IN_FLIGHT }, (_, turn) => ask(client, turn)));
    let cost = answers.reduce((sum, { aimo }) => sum + BigInt(aimo.cost_pusd), 0n);
    expect(cost > 0n && cost <= highest).to.equal(true);
    await until("the bills", async () => (await client.channels.list()).data[0]?.pending_pusd === "0");
    const [channel] = (await client.channels.list()).data;
    expect(channel).to.include({ mode: "signed", charged_pusd: `${cost}`, voucher_pusd: `${highest}` });

    // Without a chance to say goodbye.
    const gone = child && once(child, "exit");
    child?.kill("SIGKILL");
    await gone;
    const config = await loadConfig({ file: relay.configFile, environment: {} });
    node = await startRelay(config, { log: silentLog() });
    const anew = clientOf(node.url);
    const [after] = (await anew.channels.list()).data;
    expect(after).to.include({ charged_pusd: `${cost}`, held_pusd: "0", voucher_pusd: `${highest}` });
    await until("an offer after the restart", offersModel(anew));
    // A client that knows nothing more goes on from what its key signed before.
    const { aimo } = await ask(anew, 1);
    cost += BigInt(aimo.cost_pusd);
    await until("the last bill", async () => (await anew.channels.list()).data[0]?.pending_pusd === "0");
    await node.settle();

    const userId = await userIdOf(localReader(rpcUrl), { deployment, owner: wallet.account.address });
    const onChain = await channelOf(localReader(rpcUrl), { deployment, relayId: relay.id, userId });
    expect(onChain).to.include({ mode: 1, spent: cost });
    expect(onChain.spent <= highest).to.equal(true);
    const result = await verifyBill({
      ...{ rpcUrl, deployment, relayUrl: anew.baseURL, apiKey, owner: wallet.account.address },
      known: records,
    });
    expect(result.problems).to.deep.equal([]);
    expect([result.ok, result.receipts, result.billedPusd]).to.deep.equal([true, IN_FLIGHT + 1, cost]);
  });
});
