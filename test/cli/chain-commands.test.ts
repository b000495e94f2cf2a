import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import type { SettlementBill } from "@aimo/protocol/bill";
import { expect } from "chai";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { ACCOUNT, localPrivateKey } from "../../scripts/local/wallets.ts";
import { makeEntries } from "../sdk/bill-builder.ts";
import { type ChainWorld, PROVIDER_SIGNER, startBillServer, startChainWorld } from "../sdk/chain-world.ts";
import { sendJson, startServer, type TestServer } from "../sdk/relay-double.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** What the relay says of the account: 0.25 USD of it is on no chain yet. */
const CREDITS = {
  aimo: {
    channel: { charged_pusd: "300000000000", pending_pusd: "50000000000", settled_pusd: "100000000000" },
  },
};

/** Every command that writes to the chain, on a real one. */
describe("cli/chain commands", function () {
  this.timeout(120_000);
  let world: ChainWorld;
  let terminal: Terminal;
  let relay: TestServer;
  const bills = new Map<string, unknown>();

  before(async () => {
    world = await startChainWorld();
    relay = await startBillServer(world, { bills, proofs: new Map(), credits: CREDITS });
    terminal = await openTerminal({
      AIMO_RPC_URL: world.rpcUrl,
      AIMO_DEPLOYMENT: "deployment.json",
      AIMO_BASE_URL: relay.url,
    });
    await writeFile(join(terminal.folder, "deployment.json"), JSON.stringify(world.deployment));
  });
  after(async () => {
    await terminal?.close();
    await relay?.close();
    await world?.close();
  });

  async function makeWallet(name: string) {
    const privateKey = generatePrivateKey();
    await writeFile(join(terminal.folder, name), privateKey, { mode: 0o600 });
    return privateKeyToAccount(privateKey);
  }

  async function run(line: string): Promise<string> {
    const { code, out, notes } = await terminal.run(line);
    expect([code, code === 0 ? "" : notes]).to.deep.equal([0, ""]);
    return out;
  }

  it("takes a newcomer from nothing to a funded channel, and tops it up", async () => {
    const { address } = await makeWallet("user.key");
    expect(await run(`dev faucet ${address} --usd 12.5`))
      .to.contain("12.5 USD")
      .and.to.contain("10 of native coin");
    const first = await run("credits buy 5 --wallet user.key --days 2");
    expect(first).to.contain("5 USD in its channel").and.to.contain("0 USD of free credits");
    expect(await run("credits buy 1.5 --wallet user.key --days 9")).to.contain("6.5 USD in its channel");
    expect(await run("credits buy 2 --wallet user.key --no-channel")).to.contain("2 USD of free credits");
    // No relay answers at that address: the chain alone is asked.
    const balance = "credits balance --wallet user.key --base-url http://127.0.0.1:9/v1";
    const { freePusd, channels } = await terminal.json<{ freePusd: string; channels: object[] }>(balance);
    expect([freePusd, channels.length]).to.deep.equal(["2000000000000", 1]);
    expect(channels[0]).to.deep.include({
      ...{ relayId: world.ids.relayId, epoch: 1, mode: "metered", availablePusd: "6500000000000" },
    });
    expect(await run(balance)).to.contain(
      `Channel to relay ${world.ids.relayId}: 6.5 USD left, 0 USD spent.`,
    );
  });

  it("says what is missing when the wallet has too little, or sends too fine an amount", async () => {
    const { address } = await makeWallet("poor.key");
    await run(`dev faucet ${address} --usd 1`);
    const poor = await terminal.run("credits buy 2 --wallet poor.key");
    expect(poor.notes)
      .to.contain("insufficient_credits")
      .and.to.contain("holds 1 USD")
      .and.to.contain("needs 2 USD")
      .and.to.contain(`Get test dollars: aimo dev faucet ${address}`)
      .and.not.to.contain("max_tokens");
    const fine = await terminal.run("credits buy 0.0000001 --wallet poor.key");
    expect(fine.notes).to.contain("invalid_request").and.to.contain("whole number");
    const broke = await makeWallet("broke.key");
    const noGas = await terminal.run("provider register --wallet broke.key --signer broke-signer.key");
    expect(noGas.notes).to.contain("low_gas").and.to.contain(broke.address);
  });

  it("names the contract's reason when a transaction is refused", async () => {
    const { address } = await makeWallet("lost.key");
    await run(`dev faucet ${address} --usd 5`);
    await run("credits buy 1 --wallet lost.key");
    const { code, notes } = await terminal.run("channel withdraw --wallet lost.key");
    expect(code).to.equal(1);
    expect(notes).to.contain("transaction_failed").and.to.contain("NotWithdrawable");
  });

  it("lets the relay open the channel for a wallet without gas", async () => {
    const { address } = await makeWallet("gasless.key");
    await run(`dev faucet ${address} --usd 3`);
    await run("credits buy 3 --wallet gasless.key --no-channel");
    const opener = await startServer(async ({ method, url, body }, response) => {
      if (url === "/.well-known/aimo") return sendJson(response, 200, { relay: { id: world.ids.relayId } });
      if (url === "/v1/auth/nonce")
        return sendJson(response, 200, { nonce: "abcdefgh1234", chain_id: 31337 });
      if (url === "/v1/auth/siwe") return sendJson(response, 200, { token: "session-1" });
      if (method === "GET") return sendJson(response, 200, { data: [] });
      const { signature, ...authorization } = JSON.parse(String(body));
      const transaction = await world.send(ACCOUNT.relayOwner, {
        address: world.deployment.contracts.settlement,
        abi: settlementAbi,
        functionName: "openChannelBySig",
        args: [authorization, signature],
      });
      return sendJson(response, 201, { transaction });
    });
    try {
      const out = await run(`credits buy 2 --gasless --wallet gasless.key --base-url ${opener.url}`);
      expect(out).to.contain("2 USD in its channel").and.to.contain("1 USD of free credits");
      const more = await terminal.run(
        `credits buy 9 --gasless --wallet gasless.key --base-url ${opener.url}`,
      );
      expect(more.notes).to.contain("insufficient_credits").and.to.contain("1 USD of free credits");
    } finally {
      await opener.close();
    }
  });

  it("registers and backs a provider and a relay, depositing what is missing", async () => {
    const { address } = await makeWallet("owner.key");
    await run(`dev faucet ${address} --usd 100`);
    const wallet = "--wallet owner.key";
    const provider = await terminal.json<{ id: number; signer: string }>(
      `provider register ${wallet} --signer p.key`,
    );
    expect(provider.id).to.equal(2);
    expect(await run(`provider stake 5 ${wallet}`)).to.contain("5 USD. It needs at least 20 USD");
    expect(await run(`provider stake 15 ${wallet}`)).to.contain("The stake of provider 2 is 20 USD.\n");
    const relayNode = await terminal.json<{ id: number; signer: string; signerWei: string }>(
      `relay register ${wallet} --signer r.key --fee-bps 250`,
    );
    expect([relayNode.id, relayNode.signer === provider.signer]).to.deep.equal([2, false]);
    expect(relayNode.signerWei).to.equal("0");
    expect(await run(`relay bond 10 ${wallet}`))
      .to.contain("The bond of relay 2 is 10 USD.")
      .and.to.contain(`The signer ${relayNode.signer} pays the gas of every batch and has 0 of`);
    await run(`dev faucet ${relayNode.signer} --usd 0`);
    expect(await run(`relay bond 10 ${wallet}`)).to.equal("The bond of relay 2 is 20 USD.\n");
    expect(await run(`provider claim ${wallet}`)).to.contain("nothing to claim");
    const again = await terminal.run(`provider register ${wallet} --signer p2.key`);
    expect(again.notes).to.contain("AlreadyRegistered");
    const stranger = await terminal.run("provider stake 1 --wallet user.key");
    expect(stranger.notes)
      .to.contain("not_registered")
      .and.to.contain("aimo provider register")
      .and.not.to.contain("relay register");
  });

  it("verifies a bill, and exits with 1 naming the receipt that does not hold", async () => {
    const [userId = 0] = world.userIds;
    const now = await world.now();
    const signer = privateKeyToAccount(localPrivateKey(PROVIDER_SIGNER));
    const base = {
      userId,
      epoch: 1,
      after: 0n,
      signer,
      separator: world.separator,
      ids: world.ids,
      closedAt: now,
    };
    const entries = await makeEntries(["a", "b", "c"], { ...base, change: { issuedAt: now } });
    const lines = entries.map(({ line }) => line);
    const owner = privateKeyToAccount(localPrivateKey(ACCOUNT.user)).address;
    const environment = {
      AIMO_RPC_URL: world.rpcUrl,
      AIMO_DEPLOYMENT: "deployment.json",
      AIMO_BASE_URL: relay.url,
      AIMO_API_KEY: "k",
      AIMO_OWNER: owner,
    };
    const early = await terminal.run("bill verify", { environment });
    expect(early.code).to.equal(0);
    expect(early.out)
      .to.contain("nothing is settled yet")
      .and.to.contain("Pending: 0.25 USD")
      .and.not.to.contain("The bill holds");
    const [bill] = await world.post(0n, [{ userId, epoch: 1, cumStart: 0n, lines }]);
    bills.set("0", bill);
    const good = await terminal.run("bill verify", { environment });
    expect([good.code, good.out.split("\n").at(-2)]).to.deep.equal([
      0,
      "The bill holds: every receipt is signed, priced as registered and on the chain.",
    ]);
    expect(good.out).to.contain("3 receipts in 1 batch.");
    bills.set("0", { ...(bill as SettlementBill), lines: [lines[0], lines[2]] });
    const host = new URL(relay.url).host.replace(":", "_");
    await mkdir(join(terminal.configFolder, "records"), { recursive: true });
    const known = lines.map(({ id, bodyHash, nonce, charge }) => ({
      id,
      relay: 1,
      bodyHash,
      nonce,
      receiptHash: null,
      channel: null,
      costPusd: charge,
      createdAt: "",
    }));
    await writeFile(
      join(terminal.configFolder, "records", `${host}.jsonl`),
      known.map((record) => `${JSON.stringify(record)}\n`).join(""),
    );
    const later = await terminal.run("bill verify --id gen-a", { environment });
    expect([later.code, later.out.includes("bill_mismatch")]).to.deep.equal([1, false]);
    expect(later.out).to.contain("Not proven (yet)");
    const bad = await terminal.run("bill verify", { environment });
    expect(bad.code).to.equal(1);
    expect(bad.out).to.match(/dropped: gen-b, batch 0, row 0, leaf 1, interval \(\d+, \d+\] pUSD/);
    expect(bad.out).to.contain("bill_mismatch");
    const json = await terminal.json<{ ok: boolean; problems: { kind: string; batchNo: string }[] }>(
      "bill verify",
      { environment },
    );
    expect([json.ok, json.problems[0]?.kind, json.problems[0]?.batchNo]).to.deep.equal([
      false,
      "dropped",
      "0",
    ]);
  });

  it("refuses the faucet on a chain that is no local one, and a chain that is another", async () => {
    const { address } = await makeWallet("any.key");
    await writeFile(join(terminal.folder, "main.json"), JSON.stringify({ ...world.deployment, chainId: 1 }));
    const wrong = await terminal.run(`dev faucet ${address} --deployment main.json`);
    expect([wrong.code, wrong.notes.split(":")[0]]).to.deep.equal([1, "wrong_chain"]);
    const gone = await terminal.run(`dev faucet ${address} --rpc-url http://127.0.0.1:9`);
    expect(gone.notes).to.contain("chain_unavailable");
  });
});
