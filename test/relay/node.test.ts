import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKey, type NodeKey } from "@aimo/node/keys";
import { silentLog } from "@aimo/node/log";
import type { Deployment } from "@aimo/protocol/deployment";
import { isAimoError } from "@aimo/protocol/errors";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { requireGas } from "../../relay/src/chain/gas-check.ts";
import { makeConfig, type PartialConfig } from "../../relay/src/config.ts";
import { startRelay } from "../../relay/src/node.ts";
import { deployAll } from "../../scripts/deploy.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { registerRelay } from "../../scripts/local/register.ts";
import { ACCOUNT, deposit, faucet, localWallet } from "../../scripts/local/wallets.ts";

const BOND = 10n * PUSD_PER_USD;

describe("a relay node on a chain", function () {
  this.timeout(60_000);
  let chain: LocalChain;
  let deployment: Deployment;
  let folder: string;
  let key: NodeKey;
  let relayId: number;

  const deploy = () => {
    const wallet = localWallet(chain.url, ACCOUNT.deployer);
    const stakes = { minRelayStake: BOND, minProviderStake: BOND };
    const treasury = localWallet(chain.url, ACCOUNT.treasury).account.address;
    return deployAll({
      rpcUrl: chain.url,
      wallet,
      profile: "local",
      treasury,
      protocolFeeBps: 100,
      ...stakes,
    });
  };
  const write = async (name: string, content: string) => {
    const path = join(folder, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  };
  const register = async (index: number, bond: bigint, { gas = true } = {}) => {
    const owner = localWallet(chain.url, ACCOUNT.relayOwner + index);
    const signer = generateKey();
    await deposit(chain.url, deployment, owner, BOND);
    const id = await registerRelay({ rpcUrl: chain.url, deployment }, owner, {
      ...{ signerKey: signer.privateKey, feeBps: 500, bond },
    });
    if (gas) await faucet(chain.url, deployment, signer.address, PUSD_PER_USD);
    return { signer, id };
  };
  const configWith = (change: PartialConfig = {}) =>
    makeConfig({
      ...{
        keyFile: join(folder, "relay.key"),
        rpcUrl: chain.url,
        deploymentFile: join(folder, "deployment.json"),
      },
      ...{ dataFolder: "memory", http: { port: 0 }, groupWaitMs: 0 },
      ...change,
    });
  async function refusalOf(change: PartialConfig): Promise<string> {
    try {
      const node = await startRelay(configWith(change), { log: silentLog() });
      await node.close();
      return "started";
    } catch (error) {
      if (isAimoError(error)) return error.code;
      throw error;
    }
  }

  before(async () => {
    chain = await startChain({ port: 0 });
    deployment = await deploy();
    folder = await mkdtemp(join(tmpdir(), "aimo-relay-"));
    await write("deployment.json", JSON.stringify(deployment));
    const registered = await register(0, BOND);
    key = registered.signer;
    relayId = registered.id;
    await write("relay.key", key.privateKey);
  });
  after(async () => {
    await chain.close();
    await rm(folder, { recursive: true });
  });

  it("starts, says who it is, and closes", async () => {
    const node = await startRelay(configWith(), { log: silentLog() });
    const { relay, chain: at } = (await (await fetch(`${node.url}/.well-known/aimo`)).json()) as {
      relay: Record<string, unknown>;
      chain: Record<string, unknown>;
    };
    expect(relay).to.include({ id: relayId, signer: key.address, fee_bps: 500, bond_pusd: BOND.toString() });
    expect(at).to.include({ id: 31_337, profile: "local" });
    expect(node.p2pAddresses[0]).to.match(/\/p2p\//);
    await node.close();
    await node.close();
    expect(await fetch(node.url).catch(() => "gone")).to.equal("gone");
  });

  it("keeps its data over a restart, and alone", async () => {
    const dataFolder = join(folder, "data");
    const node = await startRelay(configWith({ dataFolder }), { log: silentLog() });
    expect(await refusalOf({ dataFolder })).to.equal("data_in_use");
    await node.close();
    expect(await refusalOf({ dataFolder })).to.equal("started");
  });

  it("closes when its signal fires", async () => {
    const stop = new AbortController();
    const node = await startRelay(configWith(), { log: silentLog(), signal: stop.signal });
    stop.abort();
    await node.close();
    expect(await fetch(node.url).catch(() => "gone")).to.equal("gone");
  });

  it("refuses a key that no relay is registered with", async () => {
    const keyFile = await write("stranger.key", generateKey().privateKey);
    expect(await refusalOf({ keyFile })).to.equal("not_registered");
  });

  it("refuses a bond below the minimum", async () => {
    const { signer } = await register(1, BOND - 1n);
    const keyFile = await write("unbonded.key", signer.privateKey);
    expect(await refusalOf({ keyFile })).to.equal("not_bonded");
  });

  it("refuses a key that cannot pay for one batch, and tells of one that can pay for few", async () => {
    const { signer } = await register(2, BOND, { gas: false });
    const keyFile = await write("poor.key", signer.privateKey);
    const error = await startRelay(configWith({ keyFile }), { log: silentLog() }).catch(
      (thrown: unknown) => thrown,
    );
    expect(isAimoError(error) && [error.code, error.message.includes(signer.address)]).to.deep.equal([
      "low_gas",
      true,
    ]);
    const told: object[] = [];
    const log = { warn: (fields: object) => told.push(fields) } as never;
    const reader = (balance: bigint) => ({
      public: {
        getBalance: async () => balance,
        estimateFeesPerGas: async () => ({ maxFeePerGas: 10n ** 9n }),
      },
    });
    const check = (balance: bigint) =>
      requireGas({ chain: reader(balance) as never, signer: signer.address, log });
    await check(10n ** 16n);
    expect(told).to.deep.equal([]);
    await check(10n ** 15n);
    expect(told).to.deep.equal([
      { code: "low_gas", account: signer.address, balance: `${10n ** 15n}`, advised: `${10n ** 16n}` },
    ]);
  });

  it("refuses another chain, another deployment, and a chain that is not there", async () => {
    const other = async (change: object) => write("other.json", JSON.stringify({ ...deployment, ...change }));
    expect(await refusalOf({ deploymentFile: await other({ chainId: 1 }) })).to.equal("wrong_chain");
    const genesisHash = `0x${"12".repeat(32)}`;
    expect(await refusalOf({ deploymentFile: await other({ genesisHash }) })).to.equal("wrong_deployment");
    expect(await refusalOf({ rpcUrl: "http://127.0.0.1:1" })).to.equal("chain_unavailable");
  });

  it("refuses data of another deployment", async () => {
    const dataFolder = join(folder, "other-data");
    const node = await startRelay(configWith({ dataFolder }), { log: silentLog() });
    await node.close();
    const before = deployment;
    deployment = await deploy();
    const deploymentFile = await write("second.json", JSON.stringify(deployment));
    const { signer } = await register(0, BOND);
    const keyFile = await write("second.key", signer.privateKey);
    deployment = before;
    expect(await refusalOf({ dataFolder, deploymentFile, keyFile })).to.equal("data_of_other_chain");
  });

  it("refuses a port that is taken, and leaves nothing open", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const dataFolder = join(folder, "port-data");
    expect(await refusalOf({ dataFolder, http: { port } })).to.equal("port_in_use");
    server.close();
    expect(await refusalOf({ dataFolder })).to.equal("started");
  });

  it("refuses a key file that others can read, or that is not there", async () => {
    const keyFile = join(folder, "open.key");
    await writeFile(keyFile, key.privateKey, { mode: 0o644 });
    expect(await refusalOf({ keyFile })).to.equal("config_invalid");
    expect(await refusalOf({ keyFile: join(folder, "none.key") })).to.equal("config_invalid");
  });
});
