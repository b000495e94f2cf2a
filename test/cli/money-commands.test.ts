import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { balanceOf } from "@aimo/protocol/actions/test-dollar";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { PUSD_PER_USD, toTokenUnits } from "@aimo/protocol/units";
import { expect } from "chai";
import { createTestClient, http } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import { ACCOUNT, localPrivateKey, localReader } from "../../scripts/local/wallets.ts";
import { type ChainWorld, startChainWorld } from "../sdk/chain-world.ts";
import { sendJson, startServer, type TestServer } from "../sdk/relay-double.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** The relay's hot key in `startChainWorld`. */
const RELAY_SIGNER = 16;

/** Signed channels, reserves and vouchers by the command line, on a real chain. */
describe("cli/money commands", function () {
  this.timeout(120_000);
  let world: ChainWorld;
  let terminal: Terminal;
  let relay: TestServer;
  const realNow = Date.now;
  let passed = 0;
  /** Channels that the relay tells of. */
  let shown: { relay: number; user: number; retired?: string }[] = [];

  before(async () => {
    world = await startChainWorld();
    relay = await startServer(({ url }, response) => {
      if (url === "/.well-known/aimo") return sendJson(response, 200, { relay: { id: world.ids.relayId } });
      if (url === "/v1/auth/nonce")
        return sendJson(response, 200, { nonce: "abcdefgh1234", chain_id: 31337 });
      if (url === "/v1/auth/siwe") return sendJson(response, 200, { token: "session-1" });
      return sendJson(response, 200, { data: shown });
    });
    terminal = await openTerminal({
      AIMO_RPC_URL: world.rpcUrl,
      AIMO_DEPLOYMENT: "deployment.json",
      AIMO_BASE_URL: relay.url,
    });
    const write = (name: string, text: string) =>
      writeFile(join(terminal.folder, name), text, { mode: 0o600 });
    await write("deployment.json", JSON.stringify(world.deployment));
    await write("relay.key", localPrivateKey(ACCOUNT.relayOwner));
    await write("provider.key", localPrivateKey(ACCOUNT.providerOwner));
    await write("user.key", generatePrivateKey());
    const user = privateKeyToAccount(
      (await readFile(join(terminal.folder, "user.key"), "utf8")) as `0x${string}`,
    );
    await run(`dev faucet ${user.address} --usd 20`);
    await run(`dev faucet ${privateKeyToAccount(localPrivateKey(ACCOUNT.relayOwner)).address} --usd 50`);
  });
  after(async () => {
    Date.now = realNow;
    await terminal?.close();
    await relay?.close();
    await world?.close();
  });

  async function run(line: string): Promise<string> {
    const { code, out, notes } = await terminal.run(line);
    expect([code, code === 0 ? "" : notes]).to.deep.equal([0, ""]);
    return out;
  }
  async function refusal(line: string): Promise<string> {
    const { code, notes } = await terminal.run(line);
    expect(code).to.not.equal(0);
    return notes;
  }
  /** The chain's clock goes on, and this machine's with it: a wallet refuses a chain that is out of step. */
  async function pass(seconds: number): Promise<void> {
    passed += seconds;
    Date.now = () => realNow() + passed * 1_000;
    const test = createTestClient({ chain: hardhat, mode: "hardhat", transport: http(world.rpcUrl) });
    await test.increaseTime({ seconds });
    await test.mine({ blocks: 1 });
  }

  const RELAY = () => `--relay ${world.ids.relayId} --wallet user.key`;

  const tokensOf = async () => {
    const { address: account } = privateKeyToAccount(
      (await readFile(join(terminal.folder, "user.key"), "utf8")) as `0x${string}`,
    );
    return balanceOf(localReader(world.rpcUrl), { deployment: world.deployment, account });
  };

  it("sends nothing when the relay is none, or the session key looks like an address and is none", async () => {
    for (const command of ["credits buy 1", "channel open 1"]) {
      expect(await refusal(`${command} --relay 99 --wallet user.key`)).to.contain(
        "Relay 99 is not registered",
      );
    }
    expect(await refusal(`channel open 1 --signed --session-key 0x12 ${RELAY()}`)).to.contain("no address");
    expect(await readdir(terminal.folder)).to.not.include("0x12");
    expect(await tokensOf()).to.equal(toTokenUnits(20n * PUSD_PER_USD));
  });

  it("opens a signed channel with a session key that it makes, and keeps to itself", async () => {
    const { channel } = await terminal.json<{
      channel: { mode: string; availablePusd: string; sessionKey: string };
    }>(`channel open 5 --signed --session-key session.key ${RELAY()}`);
    const file = join(terminal.folder, "session.key");
    const { address } = privateKeyToAccount(`0x${(await readFile(file, "utf8")).trim()}`);
    expect(channel).to.deep.include({
      mode: "signed",
      availablePusd: `${5n * PUSD_PER_USD}`,
      sessionKey: address,
    });
    expect((await stat(file)).mode & 0o077).to.equal(0);
  });

  it("says of a signed channel that an API key alone cannot draw on it", async () => {
    const { out } = await terminal.run("channel open --help");
    expect(out).to.contain("voucher_required");
  });

  it("says in words why a channel cannot be opened twice, and what options do not go together", async () => {
    expect(await refusal(`channel open 1 ${RELAY()}`))
      .to.contain("holds 5 USD and runs until")
      .and.to.contain("aimo credits buy");
    expect(await refusal(`channel open 1 --session-key session.key ${RELAY()}`)).to.contain("--signed");
    expect(await refusal(`channel open 0 ${RELAY()}`)).to.contain("AMOUNT is 0");
  });

  it("takes the session key back once, then the rest of the channel when it is over", async () => {
    expect(await run(`channel revoke-key ${RELAY()}`)).to.contain("The session key is revoked");
    expect(await refusal(`channel revoke-key ${RELAY()}`)).to.contain("KeyRevoked");
    const before = await tokensOf();
    expect(await refusal(`credits buy 1 ${RELAY()}`)).to.contain("was revoked");
    expect(await tokensOf()).to.equal(before);
    expect(await refusal(`channel thaw 50 ${RELAY()}`)).to.contain("AMOUNT is 50 USD, and the channel");
    expect(await run(`channel thaw 2 ${RELAY()}`)).to.match(/^2 USD can be withdrawn from 20/);
    expect(await refusal(`channel thaw 1 ${RELAY()}`)).to.contain("aimo channel cancel-thaw");
    expect(await run(`credits balance --wallet user.key`))
      .to.contain("5 USD left")
      .and.to.match(/thawing 2 USD, .* from 20/);
    expect(await run(`channel cancel-thaw ${RELAY()}`)).to.contain("has 5 USD in its channel");
    expect(await refusal(`channel cancel-thaw ${RELAY()}`)).to.contain("NoThaw");
    expect(await run(`channel thaw ${RELAY()}`)).to.match(/^5 USD can be withdrawn from 20/);
    expect(await refusal(`channel withdraw ${RELAY()}`)).to.contain("NotWithdrawable");
    await pass(71);
    expect(await run(`channel withdraw ${RELAY()}`))
      .to.contain("has 0 USD in its channel")
      .and.to.contain("5 USD of free credits");
  });

  it("puts no money into a channel that the relay has retired, and opens it anew with what was in it", async () => {
    const { userId } = await terminal.json<{ userId: number }>(`channel open 4 ${RELAY()}`);
    expect(await refusal(`channel revoke-key ${RELAY()}`)).to.contain("is metered: it has no session key");
    const before = await tokensOf();
    shown = [{ relay: world.ids.relayId, user: userId, retired: "The relay lost its books." }];
    const refused = await refusal(`credits buy 1 ${RELAY()}`);
    expect(refused)
      .to.contain("channel_retired")
      .and.to.contain("The relay lost its books.")
      .and.to.contain("channel open AMOUNT");
    expect(await tokensOf()).to.equal(before);
    await run(`channel thaw ${RELAY()}`);
    await pass(71);
    await run(`channel withdraw ${RELAY()}`);
    expect(await run(`channel open 4 ${RELAY()}`)).to.contain("has 4 USD in its channel");
    expect(await tokensOf(), "free credits were used").to.equal(before);
    shown = [{ relay: world.ids.relayId, user: userId }];
    expect(await run(`credits buy 1 ${RELAY()}`)).to.contain("has 5 USD in its channel");
  });

  it("funds a reserve and shows it with what the provider lends", async () => {
    expect(await run("relay reserve fund 1 10 --wallet relay.key")).to.equal(
      "The reserve of relay 1 for provider 1 is 10 USD.\n",
    );
    expect(await run("provider credit-limit --wallet provider.key")).to.contain("up to 0.5 USD above");
    expect(await run("provider credit-limit 2.5 --wallet provider.key")).to.contain("up to 2.5 USD above");
    const shown = await run("relay reserve show --wallet relay.key");
    expect(shown).to.match(/PROVIDER +RESERVE.*\n +1 +10 USD +0 USD +2\.5 USD/);
    const { pairs } = await terminal.json<{ pairs: { creditLimitPusd: string }[] }>(
      "relay reserve show --wallet relay.key",
    );
    expect(pairs.map(({ creditLimitPusd }) => creditLimitPusd)).to.deep.equal([
      `${(25n * PUSD_PER_USD) / 10n}`,
    ]);
    const state = await run("credits balance --wallet relay.key");
    expect(await refusal("relay reserve fund 99 1 --wallet relay.key")).to.contain("There is no provider 99");
    expect(await run("credits balance --wallet relay.key"), "nothing was deposited").to.equal(state);
    expect(await refusal("provider credit-limit 999999999999999 --wallet provider.key")).to.contain(
      "from 0 to 1000000000",
    );
    expect(await refusal("relay reserve fund 1 1 --wallet provider.key")).to.contain("not_registered");
  });

  it("redeems a stored voucher, in part while the reserve lasts, and no voucher twice", async () => {
    const { chainId, contracts } = world.deployment;
    const cumulative = 12n * PUSD_PER_USD;
    const signature = await privateKeyToAccount(localPrivateKey(RELAY_SIGNER)).signTypedData({
      domain: domainOf({ chainId, verifyingContract: contracts.settlement }),
      types: TYPES,
      primaryType: "ProviderVoucher",
      message: { relayId: 1, providerId: 1, cumulative },
    });
    const ids = { chainId, reserves: contracts.reserves, relayId: 1, providerId: 1 };
    const voucher = { ...ids, cumulative: `${cumulative}`, signature };
    const save = (name: string, value: unknown) =>
      writeFile(join(terminal.folder, name), JSON.stringify(value));
    await save("relay-1.json", voucher);
    await save("bad.json", { ...voucher, cumulative: "12.5" });
    await save("other.json", { ...voucher, chainId: 1 });
    expect(await refusal("provider redeem bad.json --wallet user.key")).to.contain("cumulative is no amount");
    expect(await refusal("provider redeem other.json --wallet user.key")).to.contain("wrong_deployment");
    expect(await refusal("provider redeem none.json --wallet user.key")).to.contain("There is no file");
    // Anybody can have the owner paid; nobody else.
    const me = privateKeyToAccount(localPrivateKey(ACCOUNT.user)).address;
    expect(await refusal(`provider redeem relay-1.json --to ${me} --wallet user.key`)).to.contain("NotPayee");
    const out = await run("provider redeem relay-1.json --wallet user.key");
    expect(out).to.contain("was paid 10 USD").and.to.contain("did not hold the other 2 USD");
    expect(await refusal("provider redeem relay-1.json --wallet user.key")).to.contain("EmptyReserve");
  });

  it("takes a reserve back when its thaw has ended", async () => {
    await run("relay reserve fund 1 4 --wallet relay.key");
    for (const command of ["cancel-thaw", "withdraw"])
      expect(await refusal(`relay reserve ${command} 1 --wallet relay.key`)).to.contain(
        "Nothing thaws in the reserve of relay 1 for provider 1.",
      );
    expect(await refusal("relay reserve thaw 1 50 --wallet relay.key")).to.contain("AMOUNT is 50 USD, and");
    await run("relay reserve thaw 1 2 --wallet relay.key");
    expect(await refusal("relay reserve thaw 1 3 --wallet relay.key")).to.contain("reserve cancel-thaw");
    expect(await run("relay reserve cancel-thaw 1 --wallet relay.key")).to.equal(
      "The reserve of relay 1 for provider 1 is 4 USD.\n",
    );
    expect(await run("relay reserve thaw 1 3 --wallet relay.key")).to.contain("of which 3 USD thaw until 20");
    expect(await refusal("relay reserve withdraw 1 --wallet relay.key")).to.contain("StillThawing");
    await pass(71);
    expect(await run("relay reserve withdraw 1 --wallet relay.key")).to.equal(
      "Withdrew 3 USD. The reserve of relay 1 for provider 1 is 1 USD.\n",
    );
  });
});
