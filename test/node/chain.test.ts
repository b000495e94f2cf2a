import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import {
  connectChain,
  describeRpcUrl,
  MAX_CLOCK_SKEW_SECONDS,
  readBlockOf,
  safeBlockNumber,
} from "@aimo/node/chain";
import { loadDeployment } from "@aimo/node/deployment-file";
import type { Deployment } from "@aimo/protocol/deployment";
import { expect } from "chai";
import { publicActions } from "viem";
import { errorOf } from "./support/errors.ts";
import { RICH_KEY, startTestChain, type TestChain } from "./support/local-chain.ts";

describe("node/chain", function () {
  this.timeout(60_000);
  let chain: TestChain;
  before(async () => {
    chain = await startTestChain();
  });
  after(() => chain.close());

  const connect = (change: Partial<Deployment> = {}, more: { now?: () => number; rpcUrl?: string } = {}) =>
    connectChain({ rpcUrl: chain.url, deployment: { ...chain.deployment, ...change }, ...more });

  it("connects to the chain of the deployment, without a wallet unless a key is given", async () => {
    const reader = await connect();
    expect(reader.wallet).to.equal(undefined);
    expect(await safeBlockNumber(reader)).to.equal(await reader.public.getBlockNumber({ cacheTime: 0 }));
    const writer = await connectChain({
      rpcUrl: chain.url,
      deployment: chain.deployment,
      privateKey: RICH_KEY,
    });
    expect(writer.wallet?.account.address).to.equal("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
  });

  it("reads at the latest block on a local chain, and at the safe block elsewhere", () => {
    expect([readBlockOf(31_337), readBlockOf(1), readBlockOf(8_453)]).to.deep.equal([
      "latest",
      "safe",
      "safe",
    ]);
  });

  it("tells protocol time in step with the wall clock while nothing is paused", async () => {
    const { time } = await connect({}, { now: () => Date.now() + 500 });
    await time.refresh();
    expect(Math.abs(time.now() - Date.now() / 1000)).to.be.lessThan(5);
  });

  it("refuses a chain of another id", async () => {
    const error = await errorOf("wrong_chain", connect({ chainId: 8_453 }));
    expect(error.message).to.include("serves chain 31337").and.include("chain 8453");
  });

  it("refuses a chain that was started afresh", async () => {
    const error = await errorOf("wrong_deployment", connect({ genesisHash: `0x${"12".repeat(32)}` }));
    expect(error.message).to.include("started afresh");
  });

  it("refuses an address without code, naming the contract", async () => {
    const contracts = { ...chain.deployment.contracts, vault: `0x${"12".repeat(20)}` as const };
    const error = await errorOf("wrong_deployment", connect({ contracts }));
    expect(error.message).to.include("contracts.vault");
  });

  it("refuses a clock contract that is none", async () => {
    const contracts = { ...chain.deployment.contracts, clock: chain.reverter };
    const error = await errorOf("wrong_deployment", connect({ contracts }));
    expect(error.message).to.include("contracts.clock");
  });

  it("refuses a clock that is too far from the chain's, in either direction", async () => {
    const block = await chain.test.extend(publicActions).getBlock();
    const at = (seconds: number) => () => (Number(block.timestamp) + seconds) * 1_000;
    const limit = MAX_CLOCK_SKEW_SECONDS.local;
    const ahead = await errorOf("clock_skew", connect({}, { now: at(limit + 60) }));
    expect(ahead.message).to.match(/ahead of the latest block .* at most 20 s/);
    expect((await errorOf("clock_skew", connect({}, { now: at(-60) }))).message).to.include("behind");
    await connect({ profile: "main" }, { now: at(MAX_CLOCK_SKEW_SECONDS.main - 10) });
  });

  it("says that the chain is unavailable when nobody answers, or no chain does", async () => {
    const error = await errorOf(
      "chain_unavailable",
      connect({}, { rpcUrl: "http://127.0.0.1:1/v3/secret-key" }),
    );
    expect(error.message).to.include("http://127.0.0.1:1");
    expect(inspect(error, { depth: 9 })).to.not.include("secret-key");
    const server = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    try {
      await errorOf("chain_unavailable", connect({}, { rpcUrl: `http://127.0.0.1:${port}` }));
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("shows an RPC URL without its secrets, and refuses other schemes", () => {
    expect(describeRpcUrl("https://user:pw@rpc.example:8545/v3/key?token=1")).to.equal(
      "https://rpc.example:8545",
    );
    for (const url of ["", "rpc.example", "ws://rpc.example"])
      expect(() => describeRpcUrl(url), url).to.throw(/not an http or https URL/);
  });
});

describe("node/deployment-file", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-deployment-"));
  });
  after(() => rm(folder, { recursive: true }));

  const address = `0x${"12".repeat(20)}` as const;
  const good: Deployment = {
    chainId: 31_337,
    genesisHash: `0x${"ab".repeat(32)}`,
    deployedAtBlock: 5,
    profile: "local",
    contracts: {
      clock: address,
      accessManager: address,
      reserves: address,
      fraudProofs: address,
      depositRouter: address,
      lens: address,
      token: address,
      vault: address,
      registry: address,
      stakeManager: address,
      settlement: address,
    },
  };
  async function load(value: unknown) {
    const path = join(folder, "deployment.json");
    await writeFile(path, typeof value === "string" ? value : JSON.stringify(value));
    return loadDeployment(path);
  }

  it("loads what the deployment wrote", async () => {
    expect(await load(good)).to.deep.equal(good);
  });

  it("names the field that is not valid", async () => {
    const faults: [unknown, string][] = [
      ["{", "is not JSON"],
      [[], "it is no object"],
      [{ ...good, chainId: "31337" }, "chainId"],
      [{ ...good, chainId: 0 }, "chainId"],
      [{ ...good, genesisHash: "0x12" }, "genesisHash"],
      [{ ...good, deployedAtBlock: -1 }, "deployedAtBlock"],
      [{ ...good, profile: "test" }, "profile"],
      [{ ...good, contracts: undefined }, "contracts"],
      [{ ...good, contracts: { ...good.contracts, registry: "0x12" } }, "contracts.registry"],
      [{ ...good, contracts: { ...good.contracts, settlement: undefined } }, "contracts.settlement"],
    ];
    for (const [value, name] of faults)
      expect((await errorOf("config_invalid", load(value))).message).to.include(name);
  });

  it("names the file that is not there", async () => {
    const path = join(folder, "none.json");
    expect((await errorOf("config_invalid", loadDeployment(path))).message).to.include(
      `${path} cannot be read`,
    );
  });
});
