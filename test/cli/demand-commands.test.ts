import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { createTestClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import { ACCOUNT, localPrivateKey } from "../../scripts/local/wallets.ts";
import { makeEntries } from "../sdk/bill-builder.ts";
import { type ChainWorld, PROVIDER_SIGNER, startChainWorld } from "../sdk/chain-world.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** A relay that bills and then shows nothing, brought to account by the command line alone. */
describe("cli/demand commands", function () {
  this.timeout(120_000);
  let world: ChainWorld;
  let terminal: Terminal;
  const realNow = Date.now;

  before(async () => {
    world = await startChainWorld();
    terminal = await openTerminal({ AIMO_RPC_URL: world.rpcUrl, AIMO_DEPLOYMENT: "deployment.json" });
    const write = (name: string, text: string) =>
      writeFile(join(terminal.folder, name), text, { mode: 0o600 });
    await write("deployment.json", JSON.stringify(world.deployment));
    await write("user.key", localPrivateKey(ACCOUNT.user));
    await write("other.key", localPrivateKey(ACCOUNT.user + 1));
  });
  after(async () => {
    Date.now = realNow;
    await terminal?.close();
    await world?.close();
  });

  async function pass(seconds: number): Promise<void> {
    Date.now = () => realNow() + seconds * 1_000;
    const test = createTestClient({ chain: hardhat, mode: "hardhat", transport: http(world.rpcUrl) });
    await test.increaseTime({ seconds });
    await test.mine({ blocks: 1 });
  }
  const refusal = async (line: string) => {
    const { code, notes } = await terminal.run(line);
    expect(code).to.not.equal(0);
    return notes;
  };

  it("demand a receipt, and take the refund when the relay says nothing", async () => {
    const [userId = 0] = world.userIds;
    const now = await world.now();
    const signer = privateKeyToAccount(localPrivateKey(PROVIDER_SIGNER));
    const base = { userId, epoch: 1, after: 0n, signer, separator: world.separator, ids: world.ids };
    const entries = await makeEntries(["a", "b"], { ...base, closedAt: now, change: { issuedAt: now } });
    const lines = entries.map(({ line }) => line);
    await world.post(0n, [{ userId, epoch: 1, cumStart: 0n, lines }]);
    const relay = `--relay ${world.ids.relayId}`;
    const made = await terminal.json<{ demandId: string; bondPusd: string; deadline: number }>(
      `bill demand 0 1 ${relay} --wallet user.key`,
    );
    expect(made.bondPusd).to.equal(`${2n * PUSD_PER_USD}`);
    expect(made.deadline).to.be.greaterThan(now);
    expect(await refusal(`bill demand 0 1 ${relay} --wallet user.key`)).to.contain("AlreadyProven");
    expect(await refusal(`bill demand 7 0 ${relay} --wallet user.key`)).to.contain("posted no batch 7");
    expect(await refusal(`bill demand 0 0 ${relay} --wallet other.key`)).to.contain("no row of user");
    expect(await refusal(`bill resolve ${made.demandId} --wallet user.key`)).to.contain("WrongTime");
    expect(await refusal(`bill resolve 0x${"0".repeat(64)} --wallet user.key`)).to.contain("never a demand");
    await pass(20);
    const charged = BigInt(lines[1]?.userCumulative ?? 0);
    const done = await terminal.json<{ lossPusd: string; freePusd: string }>(
      `bill resolve ${made.demandId} --wallet user.key`,
    );
    expect(BigInt(done.lossPusd)).to.equal(charged);
    // The bond is back, with the refund and the bounty.
    expect(BigInt(done.freePusd) > 3n * PUSD_PER_USD).to.equal(true);
    const again = await terminal.run(`bill resolve ${made.demandId} --wallet user.key`);
    expect([again.code, again.out.includes("is closed")]).to.deep.equal([0, true]);
  });
});
