import { connectChain } from "@aimo/node/chain";
import { silentLog } from "@aimo/node/log";
import type { SentTransaction } from "@aimo/node/transaction-types";
import { createTransactions, type TransactionsParameters } from "@aimo/node/transactions";
import { expect } from "chai";
import {
  createWalletClient,
  encodeErrorResult,
  type Hex,
  http,
  parseAbi,
  parseEther,
  publicActions,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import { errorOf } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";
import { startTestChain, type TestChain } from "./support/local-chain.ts";

const abi = parseAbi(["error BondTooLow(uint32 relayId, uint96 active)", "error Paused()"]);
const GAS_MONEY = parseEther("10");

describe("node/transactions", function () {
  this.timeout(60_000);
  let chain: TestChain;
  before(async () => {
    chain = await startTestChain();
  });
  after(() => chain.close());
  afterEach(() => chain.test.setAutomine(true));

  const reader = () => chain.test.extend(publicActions);

  /** A fresh account with money for gas, and its one nonce owner. */
  async function open(change: Partial<TransactionsParameters> = {}, privateKey: Hex = generatePrivateKey()) {
    const { address } = privateKeyToAccount(privateKey);
    await chain.test.setBalance({ address, value: GAS_MONEY });
    const connected = await connectChain({ rpcUrl: chain.url, deployment: chain.deployment, privateKey });
    const sent: SentTransaction[] = [];
    const transactions = createTransactions({
      chain: connected,
      abis: [abi],
      log: silentLog(),
      onSent: (transaction) => {
        sent.push(transaction);
      },
      ...change,
    });
    return { transactions, sent, address, privateKey };
  }

  /** What a transaction offers per gas; undefined while the chain does not know it. */
  const offerOf = (hash: Hex = "0x") =>
    reader()
      .getTransaction({ hash })
      .then(({ maxFeePerGas }) => maxFeePerGas)
      .catch(() => undefined);

  /** Holds mining back, so that transactions stay under way until `mine`. */
  async function holdMining() {
    await chain.test.setAutomine(false);
    await chain.test.setIntervalMining({ interval: 0 });
  }
  const pay = (label = "a payment") => ({
    to: chain.deployment.contracts.token,
    data: "0x1234" as Hex,
    label,
  });

  it("sends, journals before sending, and resolves with the receipt", async () => {
    const { transactions, sent, address } = await open();
    const receipt = await transactions.send(pay());
    expect(receipt.status).to.equal("success");
    expect(receipt.from).to.equal(address.toLowerCase());
    expect(sent.map(({ hash, nonce, replacement }) => [hash, nonce, replacement])).to.deep.equal([
      [receipt.transactionHash, 0, 0],
    ]);
  });

  it("sends nothing when the journal fails", async () => {
    const onSent = async () => {
      throw new Error("disk full");
    };
    const { transactions, address } = await open({ onSent });
    const error = await transactions.send(pay()).catch((e: unknown) => e);
    expect(error).to.have.property("message", "disk full");
    expect(await reader().getTransactionCount({ address, blockTag: "pending" })).to.equal(0);
  });

  it("gives each of many sends at once its own nonce, in the order of calls", async () => {
    const { transactions, sent } = await open();
    const receipts = await Promise.all([1, 2, 3, 4, 5].map((n) => transactions.send(pay(`payment ${n}`))));
    expect(sent.map(({ nonce, label }) => [nonce, label])).to.deep.equal(
      [1, 2, 3, 4, 5].map((n) => [n - 1, `payment ${n}`]),
    );
    expect(new Set(receipts.map(({ transactionHash }) => transactionHash)).size).to.equal(5);
    expect(transactions.queued()).to.equal(0);
  });

  it("names the contract's error and its values, and spends no gas on it", async () => {
    const { transactions, sent, address } = await open();
    const data = encodeErrorResult({ abi, errorName: "BondTooLow", args: [7, 12n] });
    for (const gas of [undefined, 100_000n]) {
      const request = { to: chain.reverter, data, label: "post of batch 3", ...(gas ? { gas } : {}) };
      const error = await errorOf("transaction_failed", transactions.send(request));
      expect(error.message).to.equal(
        "post of batch 3 was refused by the contract: BondTooLow(relayId 7, active 12).",
      );
      expect(error.details).to.include({
        error: "BondTooLow",
        relayId: 7,
        active: 12n,
        label: "post of batch 3",
      });
    }
    expect(sent).to.deep.equal([]);
    expect(await reader().getBalance({ address })).to.equal(GAS_MONEY);
  });

  it("tells plain reasons, unknown errors and silent reverts apart", async () => {
    const { transactions } = await open();
    const send = async (data: Hex) =>
      (await errorOf("transaction_failed", transactions.send({ to: chain.reverter, data, label: "x" })))
        .message;
    const plain = encodeErrorResult({
      abi: parseAbi(["error Error(string)"]),
      errorName: "Error",
      args: ["not today"],
    });
    expect(await send(plain)).to.include("not today");
    expect(await send(encodeErrorResult({ abi, errorName: "Paused" }))).to.include("Paused()");
    expect(await send("0xdeadbeef")).to.include("not known: 0xdeadbeef");
    expect(await send("0x")).to.include("was refused by the contract");
  });

  it("goes on with the next nonce after a refusal", async () => {
    const { transactions, sent } = await open();
    await transactions.send(pay());
    await errorOf("transaction_failed", transactions.send({ to: chain.reverter, data: "0x", label: "x" }));
    await transactions.send(pay());
    expect(sent.map(({ nonce }) => nonce)).to.deep.equal([0, 1]);
  });

  it("reports a transaction that reverts although its simulation passed", async () => {
    const hashes: Hex[] = [];
    const onSent = async ({ hash }: SentTransaction) => {
      hashes.push(hash);
      await chain.test.setBalance({ address: chain.trap, value: hashes.length === 1 ? 1n : 0n });
    };
    const { transactions } = await open({ onSent });
    const request = { to: chain.trap, data: "0x" as Hex, label: "a trap" };
    const error = await errorOf("transaction_failed", transactions.send(request));
    expect(error.message).to.include("a trap was refused by the contract");
    expect(error.details).to.include({ transaction: hashes[0] });
    expect((await transactions.send(pay())).status).to.equal("success");
  });

  it("replaces a stuck transaction: same nonce and calldata, at least 12.5 % more", async () => {
    const { transactions, sent } = await open({ stuckAfterMs: 600 });
    await holdMining();
    const receipt = transactions.send(pay());
    const offered = await eventually("the first offer is in the pool", () => offerOf(sent[0]?.hash));
    await eventually("two replacements are sent", () => sent.length >= 3);
    await chain.test.mine({ blocks: 1 });
    const mined = await receipt;
    await chain.test.setIntervalMining({ interval: 1 });
    expect(mined.status).to.equal("success");
    expect(sent.map(({ hash }) => hash)).to.include(mined.transactionHash);
    const [first, second] = sent;
    expect(second).to.include({ nonce: first?.nonce, data: first?.data, to: first?.to, replacement: 1 });
    expect(first?.hash).to.not.equal(second?.hash);
    const taken = (await offerOf(mined.transactionHash)) ?? 0n;
    expect(taken * 8n >= offered * 9n, `${taken} is 12.5 % above ${offered}`).to.equal(true);
  });

  it("gives up after its tries, says that it may still be mined, and replaces it with the next send", async () => {
    const { transactions, sent, address } = await open({ stuckAfterMs: 200, maxReplacements: 1 });
    await holdMining();
    const error = await errorOf("transaction_failed", transactions.send(pay("the first")));
    expect(error.details).to.include({ unknown: true, nonce: 0, transaction: sent[1]?.hash });
    expect(sent).to.have.length(2);
    const again = transactions.send(pay("the second"));
    await eventually("the second takes the nonce", () => sent.length > 2);
    expect(sent[2]).to.include({ nonce: 0, label: "the second" });
    await chain.test.mine({ blocks: 1 });
    await chain.test.setAutomine(true);
    await chain.test.setIntervalMining({ interval: 1 });
    const outcome = await again.then(
      ({ status }) => status,
      (reason: unknown) => String(reason),
    );
    expect(outcome).to.match(/success|may still be/);
    expect(await reader().getTransactionCount({ address })).to.be.at.least(1);
  });

  it("never offers more than the limit", async () => {
    const limit = 3_000_000_000n;
    const { transactions, sent } = await open({
      stuckAfterMs: 150,
      maxFeePerGas: limit,
      maxReplacements: 20,
    });
    await holdMining();
    const error = await errorOf("transaction_failed", transactions.send(pay()));
    expect(error.message).to.include("within the time and fee allowed");
    for (const { hash } of sent) {
      expect(((await offerOf(hash)) ?? 0n) <= limit).to.equal(true);
    }
    expect(sent.length).to.be.lessThan(15);
    await chain.test.setIntervalMining({ interval: 1 });
  });

  it("waits for what an earlier run left under way, then takes the next nonce", async () => {
    const privateKey = generatePrivateKey();
    const { transactions, sent, address } = await open({ stuckAfterMs: 20_000 }, privateKey);
    await holdMining();
    const account = privateKeyToAccount(privateKey);
    const earlier = createWalletClient({ account, chain: hardhat, transport: http(chain.url) });
    await earlier.sendTransaction({ to: address, value: 1n });
    const receipt = transactions.send(pay());
    await chain.test.mine({ blocks: 1 });
    await chain.test.setAutomine(true);
    await chain.test.setIntervalMining({ interval: 1 });
    expect((await receipt).status).to.equal("success");
    expect(sent.map(({ nonce }) => nonce)).to.deep.equal([1]);
  });

  it("takes another nonce when a program with the same key was faster", async () => {
    const privateKey = generatePrivateKey();
    const account = privateKeyToAccount(privateKey);
    const other = createWalletClient({ account, chain: hardhat, transport: http(chain.url) });
    let rivals = 0;
    const nonces: number[] = [];
    const { transactions } = await open(
      {
        onSent: async ({ nonce }) => {
          nonces.push(nonce);
          if (rivals++ === 0) await other.sendTransaction({ to: account.address, value: 1n });
        },
      },
      privateKey,
    );
    expect((await transactions.send(pay())).status).to.equal("success");
    expect(nonces).to.deep.equal([0, 1]);
  });

  it("warns of a low balance, and refuses when it cannot pay", async () => {
    const warnings: bigint[] = [];
    const { transactions, address } = await open({
      minimumBalance: parseEther("20"),
      onLowBalance: ({ balance }) => warnings.push(balance),
    });
    await transactions.send(pay());
    expect(warnings).to.deep.equal([GAS_MONEY]);
    await chain.test.setBalance({ address, value: 1_000n });
    const error = await errorOf("low_gas", transactions.send({ ...pay(), gas: 50_000n }));
    expect(error.message).to.include(address).and.include("1000 wei");
    await errorOf("low_gas", transactions.send(pay()));
  });

  it("refuses new sends once closed, and lets running ones end", async () => {
    const { transactions } = await open();
    const running = transactions.send(pay());
    const closing = transactions.close();
    await errorOf("shutting_down", transactions.send(pay()));
    await closing;
    expect((await running).status).to.equal("success");
  });

  it("stops waiting when aborted", async () => {
    const { transactions, sent } = await open();
    await holdMining();
    const running = transactions.send(pay());
    const waiting = transactions.send(pay());
    const ends = Promise.all([errorOf("shutting_down", running), errorOf("shutting_down", waiting)]);
    await eventually("the first is sent", () => sent.length > 0);
    transactions.abort();
    await ends;
    await chain.test.setIntervalMining({ interval: 1 });
  });

  it("refuses to work without a key", async () => {
    const connected = await connectChain({ rpcUrl: chain.url, deployment: chain.deployment });
    expect(() => createTransactions({ chain: connected, abis: [], log: silentLog() })).to.throw(TypeError);
  });
});
