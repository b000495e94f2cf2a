import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { judgeAnnouncement } from "@aimo/node/announcements";
import { connectChain } from "@aimo/node/chain";
import { createNodeKey, generateKey, type NodeKey } from "@aimo/node/keys";
import { createLog, silentLog } from "@aimo/node/log";
import { type P2p, startP2p } from "@aimo/node/p2p";
import { registerNode } from "@aimo/node/register";
import { createTransactions } from "@aimo/node/transactions";
import { claimProvider, providerAccountOf } from "@aimo/protocol/actions/settlement";
import { bond } from "@aimo/protocol/actions/stake-manager";
import { type Announcement, offersTopic } from "@aimo/protocol/announcement";
import { type Deployment, ROLES } from "@aimo/protocol/deployment";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { readPrices } from "@aimo/provider/chain/prices";
import { createRelayDirectory } from "@aimo/provider/chain/relay-directory";
import type { ChainSender } from "@aimo/provider/chain/sender";
import { readStake } from "@aimo/provider/chain/stake-provider";
import { loadConfig } from "@aimo/provider/config";
import { startProvider } from "@aimo/provider/node";
import { expect } from "chai";
import { deployAll } from "../../scripts/deploy.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { ACCOUNT, deposit, faucet, localPrivateKey, localWallet } from "../../scripts/local/wallets.ts";
import { errorOf } from "../node/support/errors.ts";

const STAKE = 10n * PUSD_PER_USD;

describe("provider node on a chain", function () {
  this.timeout(60_000);
  let chain: LocalChain;
  let deployment: Deployment;
  let folder: string;
  let key: NodeKey;
  let owner: ChainSender;
  let providerId: number;
  let p2p: P2p;
  const heard: Announcement[] = [];
  let onHeard: () => void = () => {};

  before(async () => {
    chain = await startChain({ port: 0 });
    const wallet = localWallet(chain.url, ACCOUNT.deployer);
    deployment = await deployAll({
      rpcUrl: chain.url,
      wallet,
      profile: "local",
      treasury: localWallet(chain.url, ACCOUNT.treasury).account.address,
      protocolFeeBps: 100,
      minRelayStake: STAKE,
      minProviderStake: STAKE,
    });
    folder = await mkdtemp(join(tmpdir(), "aimo-provider-"));
    key = generateKey();
    await writeFile(join(folder, "node.key"), key.privateKey, { mode: 0o600 });
    const ownerKey = createNodeKey(localPrivateKey(ACCOUNT.providerOwner));
    await writeFile(join(folder, "owner.key"), ownerKey.privateKey, { mode: 0o600 });
    await writeFile(join(folder, "deployment.json"), JSON.stringify(deployment));
    const connected = await connectChain({ rpcUrl: chain.url, deployment, privateKey: ownerKey.privateKey });
    owner = { ...connected, transactions: createTransactions({ chain: connected, log: silentLog() }) };
    p2p = await startListener();
  });
  after(async () => {
    await p2p.close();
    await owner.transactions.close();
    await chain.close();
    await rm(folder, { recursive: true });
  });

  const startListener = () => {
    const refusal = (id: number, signer: string) =>
      id === providerId && signer === key.address ? undefined : "not the provider";
    let last: number | undefined;
    return startP2p({
      privateKey: generateKey().privateKey,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      bootstrap: [],
      topic: offersTopic(deployment),
      judge: (data) =>
        judgeAnnouncement(data, { deployment, now: Date.now(), lastSequence: () => last, refusal }),
      onAccepted: ({ announcement }) => {
        last = announcement.sequence;
        heard.push(announcement);
        onHeard();
      },
      log: silentLog(),
    });
  };
  const untilHeard = async (wanted: (announcement: Announcement) => boolean): Promise<Announcement> => {
    for (;;) {
      const found = heard.find(wanted);
      if (found) return found;
      await new Promise<void>((resolve) => {
        onHeard = resolve;
      });
    }
  };

  const start = async (
    changes: { prompt?: string; sync?: boolean; data?: string; port?: number } = {},
    log = silentLog(),
  ) => {
    const file = join(folder, "provider.toml");
    await writeFile(
      file,
      `[provider]
key_file = "node.key"
${changes.sync ? 'owner_key_file = "owner.key"\nsync_prices = true' : ""}
rpc_url = "${chain.url}"
deployment_file = "deployment.json"
data_folder = "${changes.data ?? "data"}"
port = ${changes.port ?? 0}
region = "test"
p2p_bootstrap = ${JSON.stringify(p2p.addresses())}
[[upstreams]]
name = "demo"
kind = "demo"
[[models]]
id = "demo-text"
upstream = "demo"
hidden_reasoning = true
[models.pricing]
prompt = "${changes.prompt ?? "0.15"}"
completion = "0.60"
[[models]]
id = "demo-image"
route = "images"
upstream = "demo"
[models.pricing]
image = "0.002"
`,
    );
    return startProvider(await loadConfig(file), { log });
  };

  it("refuses to start while its key is not registered", async () => {
    await errorOf("not_registered", start());
  });

  it("refuses to start while it is not staked, and says by how much", async () => {
    const { public: reader, transactions: sender } = owner;
    providerId = await registerNode(
      { reader, sender, deployment },
      {
        role: "provider",
        owner: sender.address,
        signerKey: key.privateKey,
        now: Math.floor(Date.now() / 1000),
      },
    );
    expect(providerId).to.equal(1);
    const { message } = await errorOf("not_staked", start());
    expect(message).to.contain(String(STAKE));
  });

  it("refuses prices that differ from the chain, and sets them with the owner's key when told to", async () => {
    await deposit(chain.url, deployment, localWallet(chain.url, ACCOUNT.providerOwner), STAKE);
    await bond(owner.transactions, { deployment, role: ROLES.provider, id: providerId, amount: STAKE });
    expect(await readStake(owner, providerId)).to.deep.equal({
      active: STAKE,
      minimum: STAKE,
      isActive: true,
    });
    const { message } = await errorOf("config_invalid", start());
    expect(message).to.contain("demo-text is not registered");
    const node = await start({ sync: true });
    await node.close();
    const prices = (await readPrices(owner, providerId, 1)).map(({ version, prices: each }) => [
      version,
      ...each,
    ]);
    expect(prices).to.deep.equal([[1, 150_000n, 150_000n, 600_000n]]);
    const differs = await errorOf("config_invalid", start({ prompt: "0.10" }));
    expect(differs.message).to.contain("demo-text costs 150000/150000/600000 pUSD on-chain");
  });

  it("announces its models and slots, signed by its key, and says when it leaves", async () => {
    heard.length = 0;
    const node = await start();
    const { endpoint, models, region, expiresAt, issuedAt } = await untilHeard(
      ({ models: all }) => all.length > 0,
    );
    expect([endpoint, region]).to.deep.equal([node.url, "test"]);
    expect(expiresAt - issuedAt).to.be.at.most(30_000);
    expect(
      models.map(({ slug, priceVersion, route, freeSlots, hiddenReasoning }) => [
        ...[slug, priceVersion, route, freeSlots, hiddenReasoning],
      ]),
    ).to.deep.equal([
      ["demo-text", 1, "chat", 32, true],
      ["demo-image", 1, "images", 32, undefined],
    ]);
    const left = untilHeard(({ models: all }) => all.length === 0);
    await node.close();
    await left;
  });

  it("warns when its key could not pay for a redemption", async () => {
    const lines: string[] = [];
    const destination = new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    });
    const log = createLog({ level: "warn", destination });
    const warnings = () => lines.filter((line) => line.includes("too little native coin")).length;
    await (await start({}, log)).close();
    expect(warnings()).to.equal(1);
    await faucet(chain.url, deployment, key.address, PUSD_PER_USD);
    await (await start({}, log)).close();
    expect(warnings()).to.equal(1);
  });

  it("names a port that is taken, and a data folder in use", async () => {
    const node = await start();
    await errorOf("data_in_use", start());
    await errorOf("port_in_use", start({ data: "other", port: Number(new URL(node.url).port) }));
    await node.close();
  });

  it("knows relays as the chain has them", async () => {
    const relays = createRelayDirectory(owner, () => 0);
    expect(await relays.relayOf(1)).to.equal(undefined);
  });

  it("reads and claims earnings, and names the contract's reason when there is none to claim for", async () => {
    const account = await providerAccountOf(owner.public, { deployment, relayId: 1, providerId });
    expect([account.claimable, account.paid]).to.deep.equal([0n, 0n]);
    const claim = { deployment, providerId: 99, relayIds: [1], to: owner.transactions.address };
    await errorOf("transaction_failed", claimProvider(owner.transactions, claim));
  });
});
