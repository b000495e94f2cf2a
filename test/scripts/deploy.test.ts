import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDeployment } from "@aimo/node/deployment-file";
import { accessManagerAbi } from "@aimo/protocol/abi/access-manager";
import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import { AimoError } from "@aimo/protocol/errors";
import { PROFILES } from "@aimo/protocol/windows";
import { expect } from "chai";
import { createTestClient, encodeFunctionData, http, parseEther } from "viem";
import { hardhat } from "viem/chains";
import { runDeploy } from "../../scripts/deploy/command.ts";
import { createJournal, pathsOf } from "../../scripts/deploy/journal.ts";
import type { DeploymentRecord } from "../../scripts/deploy/plan.ts";
import { checkBeforeDeploying, GAS_OF_ALL } from "../../scripts/deploy/preflight.ts";
import { termsOf } from "../../scripts/deploy/terms.ts";
import { verifyDeployment } from "../../scripts/deploy/verify.ts";
import { type DeployParameters, deployAll } from "../../scripts/deploy.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { localPrivateKey, localReader, localWallet, write } from "../../scripts/local/wallets.ts";

const [DEPLOYER, TREASURY, GUARDIAN, GOVERNOR, STRANGER] = [0, 1, 2, 3, 4];

type Output = { readonly code: number; readonly out: string; readonly notes: string };

describe("scripts/deploy", function () {
  this.timeout(180_000);
  let chain: LocalChain;
  let folder: string;
  let keyFile: string;
  const addressOf = (index: number) => localWallet(chain.url, index).account.address;

  beforeEach(async () => {
    chain = await startChain({ port: 0 });
    folder = await mkdtemp(join(tmpdir(), "aimo-deploy-"));
    keyFile = join(folder, "deployer.key");
    await writeFile(keyFile, localPrivateKey(DEPLOYER), { mode: 0o600 });
  });
  afterEach(async () => {
    await chain.close();
    await rm(folder, { recursive: true });
  });

  async function run(...argv: readonly string[]): Promise<Output> {
    const out: string[] = [];
    const notes: string[] = [];
    const code = await runDeploy([...argv, "--rpc", chain.url, "--out", folder], {
      write: (text) => out.push(text),
      note: (line) => notes.push(line),
      askSecret: undefined,
    });
    return { code, out: out.join("\n"), notes: notes.join("\n") };
  }
  const deployLocal = (...more: readonly string[]) =>
    run("--profile", "local", "--key-file", keyFile, "--treasury", addressOf(TREASURY), ...more);

  const parameters = (more: Partial<DeployParameters> = {}): DeployParameters => ({
    rpcUrl: chain.url,
    wallet: localWallet(chain.url, DEPLOYER),
    profile: "local",
    treasury: addressOf(TREASURY),
    guardian: addressOf(GUARDIAN),
    governor: addressOf(GOVERNOR),
    protocolFeeBps: 100,
    minRelayStake: 10n ** 13n,
    minProviderStake: 10n ** 12n,
    ...more,
  });

  async function pass(seconds: number): Promise<void> {
    const test = createTestClient({ chain: hardhat, mode: "hardhat", transport: http(chain.url) });
    await test.increaseTime({ seconds });
    await test.mine({ blocks: 1 });
  }

  /** Deploys until `step`, and stops there as a crash would. */
  async function stopAt(step: number, state: "before" | "after"): Promise<void> {
    const journal = createJournal(pathsOf(folder, 31_337), { startOver: false });
    const onStep: DeployParameters["onStep"] = async (report) => {
      await journal(report);
      if (report.number === step && (report.gas === undefined) === (state === "before"))
        throw new Error("power cut");
    };
    const error = await deployAll(parameters({ onStep })).catch((cause: unknown) => cause);
    expect(String(error)).to.include("power cut");
  }

  it("deploys, verifies, writes the addresses down, and never over them", async () => {
    const { code, out, notes } = await deployLocal("--json");
    expect([code, code === 0 ? "" : notes]).to.deep.equal([0, ""]);
    const result = JSON.parse(out) as DeploymentRecord & { ok: boolean; file: string; gas: number };
    expect(result.file).to.equal(join(folder, "31337.json"));
    const deployment = await loadDeployment(result.file);
    expect(deployment.contracts).to.deep.equal(result.contracts);
    expect(Object.keys(deployment.contracts)).to.have.length(11);
    expect(notes)
      .to.match(/ 5\/17 vault: sending 0x/)
      .and.to.match(/ 5\/17 vault: at 0x.{40}, [\d,]+ gas/)
      .and.to.include("17/17 deployerRenounces");
    expect(BigInt(result.gas) <= GAS_OF_ALL, `${result.gas} gas`).to.equal(true);
    expect(await readFile(join(folder, "31337.partial.json"), "utf8").catch(() => "gone")).to.equal("gone");

    const again = await deployLocal("--start-over");
    expect([again.code, again.notes]).to.have.property("0", 1);
    expect(again.notes).to.include("deployment_exists");
    const check = await run("--verify");
    expect([check.code, check.out]).to.deep.equal([0, "The deployment on chain 31337 is as it should be."]);
  });

  it("refuses to go on over a half-done deployment, naming the step, until told to start over", async () => {
    await stopAt(5, "before");
    const refused = await deployLocal("--json");
    expect(refused.code).to.equal(1);
    expect(JSON.parse(refused.out).error.code).to.equal("deployment_incomplete");
    expect(refused.notes)
      .to.include("4 of 17 steps are done")
      .and.to.match(/step 5 \(vault, transaction 0x.{64}\) was signed and is not mined/)
      .and.to.include("--start-over");
    expect((await run("--verify")).notes).to.include("4 of 17 steps are done");
    const begun = await deployLocal("--start-over");
    expect([begun.code, begun.code === 0 ? "" : begun.notes]).to.deep.equal([0, ""]);
    expect((await run("--verify")).code).to.equal(0);
  });

  it("says which step is next when the one before it was mined", async () => {
    await stopAt(12, "after");
    expect((await deployLocal()).notes).to.include("12 of 17 steps are done, step 13 was not begun");
  });

  it("finishes a deployment that stopped after its last step, by verifying it", async () => {
    await stopAt(17, "after");
    expect((await deployLocal()).notes).to.include("run it with --verify");
    const { code, notes } = await run("--verify");
    expect([code, notes.includes("now it is")]).to.deep.equal([0, true]);
    await loadDeployment(join(folder, "31337.json"));
  });

  it("lets two runs at once not both begin", async () => {
    const results = await Promise.all([deployLocal(), deployLocal()]);
    expect(results.map(({ code }) => code).sort()).to.deep.equal([0, 1]);
  });

  it("refuses a key that others can read, and options that cannot be", async () => {
    expect((await deployLocal("--guardian", addressOf(DEPLOYER))).notes).to.include(
      "The guardian is the deployer",
    );
    expect((await deployLocal("--protocol-fee-bps", "501")).notes).to.include("use 0 to 500 bps");
    expect((await deployLocal("--token", addressOf(STRANGER))).notes).to.include("There is no token");
    expect((await run("--profile", "test")).notes).to.include('--profile is "test"');
    expect((await run("--profile", "main")).notes).to.include("--treasury is missing");
    const typo = addressOf(TREASURY).replace("A", "a");
    expect((await deployLocal("--governor", typo)).notes).to.include("checksum");
    const main = await run("--profile", "main", "--key-file", keyFile, "--treasury", addressOf(TREASURY));
    expect(main.notes).to.include("needs the address of token");
    await chmod(keyFile, 0o644);
    expect((await deployLocal()).notes).to.include("chmod 600");
    expect((await run("--help")).out).to.include("--start-over");
    expect(await localReader(chain.url).getTransactionCount({ address: addressOf(DEPLOYER) })).to.equal(0);
  });

  it("refuses, before anything is sent, an account that cannot pay and a local profile elsewhere", async () => {
    const reader = localReader(chain.url);
    const check = (deployer: number, chainId: number) =>
      checkBeforeDeploying({
        ...parameters(),
        ...{ reader, chainId, deployer: addressOf(deployer), note: () => {} },
      }).then(
        () => "",
        (error: unknown) => (error instanceof AimoError ? error.code : String(error)),
      );
    const test = createTestClient({ chain: hardhat, mode: "hardhat", transport: http(chain.url) });
    await test.setBalance({ address: addressOf(STRANGER), value: parseEther("0.0001") });
    expect(await check(STRANGER, 31_337)).to.equal("low_gas");
    expect(await check(DEPLOYER, 1)).to.equal("config_invalid");
    expect(await check(DEPLOYER, 31_337)).to.equal("");
  });

  it("names everything that is not as the terms say", async () => {
    const record = await deployAll(parameters());
    const reader = localReader(chain.url);
    expect(await verifyDeployment(reader, record)).to.deep.equal([]);
    const other = addressOf(STRANGER);
    const faultsOf = async (change: Partial<DeploymentRecord>) =>
      (await verifyDeployment(reader, { ...record, ...change })).join("\n");
    expect(await faultsOf({ terms: { ...record.terms, treasury: other } }))
      .to.include("settlement.TREASURY()")
      .and.to.include("of step settlement is not what this version sends");
    expect(await faultsOf({ terms: { ...record.terms, governor: other } })).to.include(
      `${other} is not governor with a delay of 5 s`,
    );
    expect(await faultsOf({ profile: "main" })).to.include("clock.windows()");
    const contracts = { ...record.contracts, lens: record.contracts.reserves };
    expect(await faultsOf({ contracts })).to.include("the code at lens");
    expect(await faultsOf({ contracts: { ...record.contracts, vault: other } })).to.include(
      `there is no contract at vault ${other}`,
    );
    expect(await faultsOf({ steps: record.steps.slice(1) })).to.include("step accessManager is not recorded");
  });

  it("gives the guardian the pause, the governor what it announces, and the deployer nothing", async () => {
    const token = (await deployAll(parameters())).contracts.token;
    const record = await deployAll(parameters({ profile: "main", token }));
    const { clock, vault, accessManager, settlement } = record.contracts;
    expect(record.terms.governorDelay).to.equal(7 * 24 * 60 * 60);
    const send = (account: number, call: Parameters<typeof write>[2]) =>
      write(chain.url, localWallet(chain.url, account), call).then(
        () => "done",
        (error: unknown) => /(AccessManage\w+|BadModule)/.exec(String(error))?.[1],
      );
    const pause = { address: clock, abi: protocolClockAbi, functionName: "pause" };
    for (const account of [DEPLOYER, TREASURY, GOVERNOR, STRANGER])
      expect(await send(account, pause)).to.equal("AccessManagedUnauthorized");
    expect(await send(GUARDIAN, pause)).to.equal("done");
    expect(await send(GUARDIAN, { ...pause, functionName: "unpause" })).to.equal("done");
    const announce = { address: vault, abi: creditVaultAbi, functionName: "scheduleModule", args: [token] };
    expect(await send(DEPLOYER, announce)).to.equal("AccessManagedUnauthorized");
    expect(await send(GOVERNOR, announce)).to.equal("AccessManagerNotScheduled");
    const manager = { address: accessManager, abi: accessManagerAbi };
    const data = encodeFunctionData({ abi: creditVaultAbi, functionName: "scheduleModule", args: [token] });
    const grant = { ...manager, functionName: "grantRole", args: [0n, addressOf(STRANGER), 0] };
    expect(await send(DEPLOYER, grant)).to.equal("AccessManagerUnauthorizedAccount");
    expect(await send(GUARDIAN, grant)).to.equal("AccessManagerUnauthorizedAccount");
    expect(await send(GOVERNOR, { ...manager, functionName: "schedule", args: [vault, data, 0] })).to.equal(
      "done",
    );
    const execute = { ...manager, functionName: "execute", args: [vault, data] };
    expect(await send(GOVERNOR, execute)).to.equal("AccessManagerNotReady");
    await pass(7 * 24 * 60 * 60);
    expect(await send(GOVERNOR, execute)).to.equal("done");
    // The governor's work is no change of rights.
    expect(await verifyDeployment(localReader(chain.url), record)).to.deep.equal([]);
    expect(settlement).to.not.equal(vault);
    expect(PROFILES.main.moduleDelay).to.be.greaterThan(record.terms.governorDelay);
  });

  it("finds rights that were given away later", async () => {
    const record = await deployAll(parameters());
    const manager = { address: record.contracts.accessManager, abi: accessManagerAbi };
    const data = encodeFunctionData({
      abi: accessManagerAbi,
      functionName: "grantRole",
      args: [1n, addressOf(STRANGER), 0],
    });
    const governor = localWallet(chain.url, GOVERNOR);
    await write(chain.url, governor, {
      ...manager,
      functionName: "schedule",
      args: [manager.address, data, 0],
    });
    await pass(6);
    await write(chain.url, governor, { ...manager, functionName: "execute", args: [manager.address, data] });
    const faults = await verifyDeployment(localReader(chain.url), record);
    expect(faults).to.have.length(1);
    expect(faults[0]).to.match(
      /^rights were changed by transaction 0x\w+: RoleGranted\(account 0x\w+, delay 0, roleId 1\)$/,
    );
  });

  it("takes terms only that the contracts take", () => {
    const terms = (more: Partial<DeployParameters>) => () => termsOf(parameters(more), addressOf(DEPLOYER));
    expect(terms({})).to.not.throw();
    expect(terms({ treasury: `0x${"00".repeat(20)}` })).to.throw("The treasury is the zero address");
    expect(terms({ minRelayStake: 2n ** 96n })).to.throw(`minRelayStake is ${2n ** 96n} pUSD: use 1 to`);
    expect(terms({ minRelayStake: 0n })).to.throw("minRelayStake is 0 pUSD: use 1 to");
    expect(terms({ minProviderStake: 0n })).to.throw("minProviderStake is 0 pUSD: use 1 to");
    expect(terms({ profile: "main" })).to.throw("needs the address of token");
  });
});
