import { readdirSync } from "node:fs";
import { connectChain } from "@aimo/node/chain";
import { silentLog } from "@aimo/node/log";
import { createTransactions } from "@aimo/node/transactions";
import { waitForReceipt } from "@aimo/protocol/action";
import * as vault from "@aimo/protocol/actions/credit-vault";
import { channelsOfUser } from "@aimo/protocol/actions/lens";
import { clock, pause, windows } from "@aimo/protocol/actions/protocol-clock";
import { signersOf } from "@aimo/protocol/actions/registry";
import * as settlement from "@aimo/protocol/actions/settlement";
import { approve, balanceOf } from "@aimo/protocol/actions/test-dollar";
import { type Deployment, ROLES } from "@aimo/protocol/deployment";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { PROFILES } from "@aimo/protocol/windows";
import { expect } from "chai";
import { type Abi, createPublicClient, http, zeroAddress } from "viem";
import { deployAll } from "../../scripts/deploy.ts";
import { type LocalChain, startChain } from "../../scripts/local/chain.ts";
import { registerRelay } from "../../scripts/local/register.ts";
import {
  ACCOUNT,
  deposit,
  faucet,
  localPrivateKey,
  localReader,
  localWallet,
} from "../../scripts/local/wallets.ts";

/** Contracts of which only some functions are of use; see scripts/actions.ts. */
const PARTLY = ["access-manager"];

describe("protocol/actions", function () {
  this.timeout(120_000);
  let chain: LocalChain;
  let deployment: Deployment;
  let relayId: number;
  const user = () => localWallet(chain.url, ACCOUNT.user);
  const reader = () => localReader(chain.url);

  before(async () => {
    chain = await startChain({ port: 0 });
    deployment = await deployAll({
      rpcUrl: chain.url,
      wallet: localWallet(chain.url, ACCOUNT.deployer),
      profile: "local",
      treasury: localWallet(chain.url, ACCOUNT.treasury).account.address,
      protocolFeeBps: 100,
      minRelayStake: 10n * PUSD_PER_USD,
      minProviderStake: 10n * PUSD_PER_USD,
    });
    const owner = localWallet(chain.url, ACCOUNT.relayOwner);
    await deposit(chain.url, deployment, owner, 10n * PUSD_PER_USD);
    const network = { rpcUrl: chain.url, deployment };
    const options = { signerKey: localPrivateKey(16), feeBps: 500, bond: 10n * PUSD_PER_USD };
    relayId = await registerRelay(network, owner, options);
  });
  after(() => chain?.close());

  async function refusal(sent: Promise<unknown>): Promise<AimoError> {
    const error = await sent.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    if (isAimoError(error)) return error;
    throw new Error(`No AimoError: ${String(error)}`);
  }

  it("are there for every external function, of which none has two forms", async () => {
    const folder = new URL("../../protocol/src/", import.meta.url);
    const files = readdirSync(new URL("abi/", folder));
    expect(files).to.have.length(11);
    for (const file of files) {
      const [abi = []] = Object.values(
        (await import(new URL(`abi/${file}`, folder).href)) as Record<string, Abi>,
      );
      const names = abi.filter((item) => item.type === "function").map(({ name }) => name);
      expect(new Set(names).size, file).to.equal(names.length);
      const actions = Object.keys((await import(new URL(`actions/${file}`, folder).href)) as object);
      if (PARTLY.includes(file.replace(".ts", ""))) expect(names).to.include.members(actions);
      else expect(actions.sort(), file).to.deep.equal(names.sort());
    }
  });

  it("send through a wallet, return the hash, and read values and structs by name", async () => {
    const owner = user().account.address;
    await faucet(chain.url, deployment, owner, 20n * PUSD_PER_USD);
    const approved = await approve(user(), {
      deployment,
      spender: deployment.contracts.vault,
      value: 20_000_000n,
    });
    await waitForReceipt(reader(), { hash: approved });
    const parameters = { deployment, owner, tokens: 20_000_000n };
    expect(await vault.deposit.simulate(reader(), { ...parameters, account: owner })).to.equal(2);
    const { blockNumber } = await waitForReceipt(reader(), { hash: await vault.deposit(user(), parameters) });
    const userId = await vault.userIdOf(reader(), { deployment, owner });
    expect(userId).to.equal(2);
    expect(await vault.accountOf(reader(), { deployment, userId })).to.deep.equal({
      free: 20n * PUSD_PER_USD,
      nonce: 0n,
    });
    expect(await balanceOf(reader(), { deployment, account: owner })).to.equal(0n);
    // As of the block before.
    const before = await vault.userIdOf(reader(), { deployment, owner, blockNumber: blockNumber - 1n });
    expect(before).to.equal(0);
    expect(await windows(reader(), { deployment })).to.deep.equal(PROFILES.local);
    const { current, previous } = await signersOf(reader(), { deployment, role: ROLES.relay, id: relayId });
    expect(current.key).to.equal(localWallet(chain.url, 16).account.address);
    expect(previous.key).to.equal(zeroAddress);
  });

  it("send through a node's transactions, which own the nonces", async () => {
    const privateKey = localPrivateKey(ACCOUNT.user);
    const connected = await connectChain({ rpcUrl: chain.url, deployment, privateKey });
    const transactions = createTransactions({ chain: connected, log: silentLog() });
    const expiry = (await clock(reader(), { deployment })) + 1_000;
    const terms = { amount: 5n * PUSD_PER_USD, expiry, mode: 0, sessionKey: zeroAddress };
    const hash = await settlement.openChannel(transactions, { deployment, relayId, ...terms });
    expect((await waitForReceipt(reader(), { hash })).transactionHash).to.equal(hash);
    const { page, next } = await channelsOfUser(reader(), {
      deployment,
      userId: 2,
      firstRelayId: 1,
      count: 10,
    });
    expect([page.length, next, page[0]?.channel.available]).to.deep.equal([1, 0, 5n * PUSD_PER_USD]);
    await transactions.close();
  });

  it("tell in words why a contract refuses, and send nothing then", async () => {
    const expiry = (await clock(reader(), { deployment })) + 1_000;
    const open = { deployment, relayId, amount: PUSD_PER_USD, expiry, mode: 0, sessionKey: zeroAddress };
    const count = () => reader().getTransactionCount({ address: user().account.address });
    const nonce = await count();
    const inUse = await refusal(settlement.openChannel(user(), open));
    expect(inUse.code).to.equal("transaction_failed");
    expect(inUse.details).to.include({ error: "ChannelInUse", relayId, available: 5n * PUSD_PER_USD });
    expect(inUse.message).to.contain("the channel to relay 1 holds 5 USD and can be debited until 20");
    expect(inUse.hint).to.contain("Top it up");
    const names = await Promise.all(
      [
        settlement.openChannel(user(), { ...open, relayId: 9 }),
        settlement.topUpChannel(user(), { deployment, relayId, amount: 100n * PUSD_PER_USD }),
        settlement.withdrawChannel(user(), { deployment, relayId }),
        pause(user(), { deployment }),
      ].map(async (sent) => (await refusal(sent)).details["error"]),
    );
    expect(names).to.deep.equal([
      "RelayNotActive",
      "InsufficientCredits",
      "NotWithdrawable",
      "AccessManagedUnauthorized",
    ]);
    expect(await count()).to.equal(nonce);
  });

  it("tell a pause from other refusals", async () => {
    const guardian = localWallet(chain.url, ACCOUNT.treasury);
    await waitForReceipt(reader(), { hash: await pause(guardian, { deployment }) });
    const paused = await refusal(settlement.topUpChannel(user(), { deployment, relayId, amount: 1n }));
    expect(paused.details["error"]).to.equal("ProtocolPaused");
    expect(paused.message).to.contain("the protocol is paused until 20");
  });

  it("name a contract that is not there, and an endpoint that does not answer without its secrets", async () => {
    const contracts = { ...deployment.contracts, vault: user().account.address };
    const gone = await refusal(vault.userCount(reader(), { deployment: { contracts } }));
    expect([gone.code, gone.message.includes("contracts.vault")]).to.deep.equal(["wrong_deployment", true]);
    const dead = createPublicClient({
      transport: http("http://127.0.0.1:1/v3/secret-key", { retryCount: 0 }),
    });
    const error = await refusal(vault.userCount(dead, { deployment }));
    expect(error.code).to.equal("chain_unavailable");
    expect(JSON.stringify([error.message, String(error.cause)])).to.not.include("secret-key");
    expect(new AimoError("chain_unavailable").status).to.equal(error.status);
  });
});
