import { initFastCrypto } from "@aimo/node/fast-crypto";
import { silentLog } from "@aimo/node/log";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import type { Address } from "viem";
import { createProviderRegistry } from "../../../relay/src/chain/registry.ts";
import { registerModel, setPrice } from "../../../scripts/local/register.ts";
import { ACCOUNT, type LocalWallet, localWallet } from "../../../scripts/local/wallets.ts";
import { errorOf } from "../../node/support/errors.ts";
import { eventually } from "../../node/support/eventually.ts";
import { type Disk, DRIVERS, type Signer } from "../store/books-world.ts";
import { type MoneyOptions, type Relay, startMoney, startTestNetwork, type TestNetwork } from "./network.ts";

describe("a relay's view of the chain", function () {
  this.timeout(30_000);
  let network: TestNetwork;
  let relay: Signer;
  let provider: Signer;
  let disk: Disk;

  before(async () => {
    await initFastCrypto();
    network = await startTestNetwork();
    [relay, provider] = [await network.addRelay(20n * USD), await network.addProvider()];
  });
  after(() => network.close());
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
  });
  afterEach(async () => {
    for (const money of started.splice(0)) await money.settling.close();
    await disk.remove();
  });

  const started: Relay[] = [];
  const start = async (options: Partial<MoneyOptions> = {}) => {
    const money = await startMoney(network, { relay, disk, ...options });
    started.push(money);
    return money;
  };
  const authorize = async (wallet: LocalWallet, { nonce = 0n, amount = USD, relayId = relay.id } = {}) => {
    const { chainId, contracts } = network.deployment;
    const now = Math.floor(network.clock.ms / 1000);
    const message = {
      ...{ user: wallet.account.address, relayId, amount, nonce, mode: 0, expiry: now + 86_400 },
      ...{ sessionKey: `0x${"00".repeat(20)}` as Address, deadline: now + 600 },
    };
    const domain = domainOf({ chainId, verifyingContract: contracts.settlement });
    const signature = await wallet.signTypedData({
      ...{ domain, types: TYPES, primaryType: "SpendAuthorization", message },
    });
    return { ...message, signature };
  };

  it("opens a user's channel for it, then extends it, and counts the gas", async () => {
    const money = await start();
    const wallet = await network.addUser(3n * USD);
    await money.accounts.openChannel(await authorize(wallet));
    const userId = await money.accounts.userIdOf(wallet.account.address);
    expect(await money.accounts.refreshChannel(userId)).to.include({ epoch: 1, available: USD });
    expect(money.ledger.balanceOf(userId)?.free).to.equal(USD);
    const spent = money.gasSpent();
    expect(spent > 0n).to.equal(true);
    await money.accounts.openChannel(await authorize(wallet, { nonce: 1n }));
    expect(await money.accounts.refreshChannel(userId)).to.include({ epoch: 1, available: 2n * USD });
    expect(money.gasSpent() > spent).to.equal(true);
    await money.journal.close();
  });

  it("lets no forgery under someone's nonce stand in for the true authorization", async () => {
    const money = await start();
    const wallet = await network.addUser(3n * USD);
    const good = await authorize(wallet);
    const forged = { ...good, signature: (await authorize(localWallet(network.rpcUrl, 0))).signature };
    const [bad, fine] = await Promise.allSettled(
      [forged, good].map((one) => money.accounts.openChannel(one)),
    );
    expect(bad?.status).to.equal("rejected");
    expect(fine?.status).to.equal("fulfilled");
    await errorOf("invalid_request", money.accounts.openChannel(await authorize(wallet, { relayId: 9 })));
  });

  it("refuses strangers' channels beyond the day's gas, also those that come at once", async () => {
    const money = await start({ gasLimit: 1n });
    const wallets = [await network.addUser(USD), await network.addUser(USD), await network.addUser(USD)];
    const signed = await Promise.all(wallets.map((wallet) => authorize(wallet)));
    const results = await Promise.allSettled(signed.map((one) => money.accounts.openChannel(one)));
    expect(results.map(({ status }) => status)).to.deep.equal(["fulfilled", "rejected", "rejected"]);
    const [, last] = signed;
    if (!last) throw new Error("Nothing was signed.");
    const error = await errorOf("rate_limit_exceeded", money.accounts.openChannel(last));
    expect(error.message).to.match(/1 wei of gas/);
  });

  it("refuses a provider it has not read, and knows it a moment later", async () => {
    const money = await start();
    const owner = localWallet(network.rpcUrl, ACCOUNT.providerOwner);
    const modelId = await registerModel(network, owner, "some-model");
    await setPrice(network, owner, {
      ...{ providerId: provider.id, modelId, prices: [3n, 2n, 5n], kinds: ["token", "token", "token"] },
    });
    const registry = createProviderRegistry({
      ...{
        chain: money.chain,
        protocolNow: money.protocolNow,
        now: () => performance.now(),
        log: silentLog(),
      },
    });
    expect(registry.refusal(provider.id, provider.signer)).to.equal("the provider is not known yet");
    await eventually(
      "the provider is known",
      () => registry.refusal(provider.id, provider.signer) === undefined,
    );
    expect(registry.refusal(provider.id, relay.signer)).to.match(/signer/);
    const price = await eventually("its price is", () => registry.priceOf(provider.id, modelId, 1));
    expect(price.prices).to.deep.equal([3n, 2n, 5n]);
    expect(registry.priceOf(provider.id, modelId, 2)).to.equal(undefined);
    await eventually("its model is", () => registry.isModel(modelId, "some-model"));
    // Junk from anybody neither fills the memory nor pushes out what is registered.
    for (let id = 1_000; id < 4_000; id++) registry.refusal(id, relay.signer);
    expect(registry.refusal(provider.id, provider.signer)).to.equal(undefined);
    const later = await network.addRelay(10n * USD);
    expect(registry.refusal(later.id, later.signer)).not.to.equal(undefined);
  });
});
