import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { loadDeployment } from "@aimo/node/deployment-file";
import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { PROFILES } from "@aimo/protocol/windows";
import { expect } from "chai";
import type { Address } from "viem";
import { artifactOf } from "../../scripts/deploy/plan.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { localPrivateKey, localReader, localWallet } from "../../scripts/local/wallets.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const [DEPLOYER, TREASURY, GUARDIAN, GOVERNOR, ISSUER] = [0, 1, 2, 3, 4];

type Output = { readonly code: number; readonly out: string; readonly notes: string };

/** The command itself, in a process of its own, as `npm run deploy` runs it. */
describe("npm run deploy -- --profile main", function () {
  this.timeout(180_000);
  let chain: LocalChain;
  let folder: string;
  let token: Address;
  const addressOf = (index: number) => localWallet(chain.url, index).account.address;
  const nonce = () => localReader(chain.url).getTransactionCount({ address: addressOf(DEPLOYER) });
  const file = (name: string) => join(folder, name);

  before(async () => {
    chain = await startChain({ port: 0 });
    folder = await mkdtemp(join(tmpdir(), "aimo-deploy-main-"));
    await writeFile(file("deployer.key"), localPrivateKey(DEPLOYER), { mode: 0o600 });
    const { abi, bytecode } = artifactOf("token");
    const hash = await localWallet(chain.url, ISSUER).deployContract({ abi, bytecode });
    const { contractAddress } = await localReader(chain.url).waitForTransactionReceipt({ hash });
    if (!contractAddress) throw new Error("The token was not deployed.");
    token = contractAddress;
  });
  after(async () => {
    await chain.close();
    await rm(folder, { recursive: true });
  });

  const run = (...argv: readonly string[]) =>
    new Promise<Output>((done) => {
      const common = ["--rpc", chain.url, "--out", folder];
      const child = execFile(
        process.execPath,
        ["scripts/deploy-main.ts", ...argv, ...common],
        { cwd: ROOT },
        (_error, out, notes) => done({ code: child.exitCode ?? -1, out, notes }),
      );
    });
  const deploy = (...more: readonly string[]) =>
    run(
      ...["--profile", "main", "--key-file", file("deployer.key"), "--token", token],
      ...["--treasury", addressOf(TREASURY), "--guardian", addressOf(GUARDIAN)],
      ...["--governor", addressOf(GOVERNOR), "--min-relay-stake", "5000", "--min-provider-stake", "500"],
      ...more,
    );

  it("refuses terms that the contracts would, and sends nothing", async () => {
    const refused = await deploy("--min-provider-stake", "0", "--json");
    expect([refused.code, JSON.parse(refused.out).ok]).to.deep.equal([1, false]);
    expect(refused.notes).to.include(
      "minProviderStake is 0 pUSD: use 1 to 79228162514264337593543950335 pUSD",
    );
    expect((await deploy("--token", addressOf(ISSUER))).notes).to.include(
      "There is no token with decimals()",
    );
    expect(await nonce()).to.equal(0);
  });

  it("refuses to go on over a half-done deployment", async () => {
    const journal = { chainId: 31_337, profile: "main", stepsOf: 16, steps: [] };
    await deploy("--confirmations", "0");
    const whole = JSON.parse(await readFile(file("31337.json"), "utf8"));
    await rm(file("31337.json"));
    // As it stands after a power cut between the eleventh step and the twelfth.
    const half = { ...whole, ...journal, steps: whole.steps.slice(0, 11) };
    await writeFile(file("31337.partial.json"), JSON.stringify(half));
    const sent = await nonce();
    const refused = await deploy("--json");
    expect([refused.code, JSON.parse(refused.out).error.code]).to.deep.equal([1, "deployment_incomplete"]);
    expect((await run("--verify")).code).to.equal(1);
    expect(await nonce()).to.equal(sent);
  });

  it("deploys, wires, verifies and writes down, and a second run changes nothing", async () => {
    const { code, out, notes } = await deploy("--start-over", "--json");
    expect([code, code === 0 ? "" : notes]).to.deep.equal([0, ""]);
    const result = JSON.parse(out);
    expect(result).to.include({ ok: true, chainId: 31_337, profile: "main", ownToken: false });
    const { contracts, profile } = await loadDeployment(file("31337.json"));
    expect([profile, contracts.token]).to.deep.equal(["main", token]);
    const reader = localReader(chain.url);
    const clock = { address: contracts.clock, abi: protocolClockAbi } as const;
    expect(await reader.readContract({ ...clock, functionName: "windows" })).to.deep.include({
      ...{ epoch: 43_200, post: 86_400, unbondRelay: PROFILES.main.unbondRelay },
    });
    const stakes = { address: contracts.stakeManager, abi: stakeManagerAbi } as const;
    expect(await reader.readContract({ ...stakes, functionName: "MIN_RELAY_STAKE" })).to.equal(
      5_000n * PUSD_PER_USD,
    );
    const [sent, written] = [await nonce(), await readFile(file("31337.json"), "utf8")];
    const again = await deploy("--start-over", "--json");
    expect([again.code, JSON.parse(again.out).error.code]).to.deep.equal([1, "deployment_exists"]);
    expect([await nonce(), await readFile(file("31337.json"), "utf8")]).to.deep.equal([sent, written]);
    const check = await run("--verify", "--json");
    expect(check.code).to.equal(0);
    expect(JSON.parse(check.out)).to.include({ ok: true, chainId: 31_337 });
  });
});
