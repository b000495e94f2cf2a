import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { COMMANDS } from "@aimo/cli/commands";
import { expect } from "chai";
import { privateKeyToAccount } from "viem/accounts";
import { openTerminal, type Terminal } from "./terminal.ts";

describe("cli/command line", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  let terminal: Terminal;
  before(async () => {
    terminal = await openTerminal();
  });
  after(() => terminal.close());

  it("lists every command without arguments, and those of a group", async () => {
    const { code, out } = await terminal.run("");
    expect(code).to.equal(0);
    for (const { name, summary } of COMMANDS) expect(out).to.contain(name).and.to.contain(summary);
    const group = await terminal.run("keys");
    expect(group.out).to.contain("keys revoke").and.not.to.contain("chat");
    for (const line of ["relay reserve", "relay reserve --help", "help relay reserve"]) {
      const inner = await terminal.run(line);
      expect([inner.code, inner.notes]).to.deep.equal([0, ""]);
      expect(inner.out).to.contain("relay reserve fund").and.not.to.contain("relay bond");
    }
  });

  for (const command of COMMANDS)
    it(`explains \`aimo ${command.name}\` and takes --json`, async () => {
      const { code, out } = await terminal.run(`${command.name} --help`);
      expect(code).to.equal(0);
      expect(out).to.contain(`Usage: aimo ${command.name}`).and.to.contain("--json");
      for (const option of Object.keys(command.options ?? {})) expect(out).to.contain(option);
      expect((await terminal.run(`help ${command.name}`)).out).to.equal(out);
    });

  it("exits with 2 and one sentence on a command line that it cannot understand", async () => {
    const cases: [string, string][] = [
      ["nope", 'no command "nope"'],
      ["keys nope", 'no command "keys nope"'],
      ["credits buy", "AMOUNT is missing"],
      ["credits buy 1 2", '"2" is one argument too many'],
      ["credits buy five", 'AMOUNT is "five"'],
      ["credits buy 0", "AMOUNT is 0"],
      ["credits buy -3", '"-3" is negative'],
      ["dev faucet 0x12 --usd -3", '"-3" is negative'],
      ["credits buy 0.0000000000001", "at most 12 decimals"],
      ["credits buy 99999999999", "from 0 to 1000000000"],
      ["relay reserve fund 1 0", "AMOUNT is 0"],
      ["credits buy 1 --days 0", '--days is "0"'],
      ["chat hi --max-tokens many", '--max-tokens is "many"'],
      ["chat hi --nope", "'--nope'"],
      ["chat hi --model", "'--model"],
      ["dev faucet 0x12", 'ADDRESS is "0x12"'],
      ["keys create --limit 1e3", '--limit is "1e3"'],
      ["keys create --limit-reset hourly", '--limit-reset is "hourly"'],
      ["keys create --limit-reset monthly", "--limit-reset is for a key with a --limit"],
      ["keys create --expires tomorrow", '--expires is "tomorrow"'],
      ["keys create --expires 2020-01-01", '--expires is "2020-01-01"'],
      ["keys revoke abc", "at least 6"],
      ["relay register --fee-bps 2001", '--fee-bps is "2001"'],
      ["dev --workers 13", '--workers is "13"'],
      ["dev --upstream http://127.0.0.1:1", "--upstream and --model"],
    ];
    for (const [line, message] of cases) {
      const { code, out, notes } = await terminal.run(line);
      expect([line, code, out]).to.deep.equal([line, 2, ""]);
      expect(notes)
        .to.match(/^usage: /)
        .and.to.contain(message)
        .and.to.contain("aimo --help");
    }
  });

  it("exits with 1 and says code, message and what to do when something is not configured", async () => {
    const cases: [string, string, string][] = [
      ["chat hi", "authentication_failed", "AIMO_API_KEY"],
      ["keys list", "config_invalid", "--wallet"],
      ["credits buy 1", "config_invalid", "--wallet"],
      ["provider start --config none.toml", "config_invalid", "none.toml"],
      ["relay start", "config_invalid", "docs/running-a-node.md"],
      ["models list --base-url nonsense", "config_invalid", "nonsense"],
    ];
    for (const [line, errorCode, word] of cases) {
      const { code, out, notes } = await terminal.run(line);
      expect([line, code, out]).to.deep.equal([line, 1, ""]);
      expect(notes.split("\n")).to.have.length(2);
      expect(notes)
        .to.match(new RegExp(`^${errorCode}: `))
        .and.to.contain(word);
    }
  });

  it("tells its version, as JSON too", async () => {
    const manifest = new URL("../../cli/package.json", import.meta.url);
    const { version } = JSON.parse(await readFile(manifest, "utf8"));
    const { code, out } = await terminal.run("--version");
    expect([code, out]).to.deep.equal([0, `${version}\n`]);
    expect(await terminal.json<object>("--version")).to.deep.equal({ version });
  });

  it("names commands as it was invoked, so that a hint can be copied", async () => {
    const program = "node cli/bin/aimo.mjs";
    const failed = await terminal.run("chat hi", { program });
    expect(failed.notes).to.contain(`\`${program} auth login\``);
    const json = await terminal.json<{ error: { message: string } }>("chat hi", { program });
    expect(json.error.message).to.contain(`\`${program} auth login\``);
    expect((await terminal.run("nope", { program })).notes).to.contain(`See ${program} --help.`);
    const help = await terminal.run("auth login --help", { program });
    expect(help.out)
      .to.contain(`Usage: ${program} auth login`)
      .and.to.contain("(default: aimo cli)")
      .and.not.to.contain("aimo auth");
    expect((await terminal.run("", { program })).out)
      .to.contain(`Usage: ${program} <command>`)
      .and.to.contain(".aimo/local/network.json");
  });

  it("makes a wallet once, for its owner alone, and shows its address again", async () => {
    const made = await terminal.json<{ address: string; created: boolean }>("wallet create owner.key");
    expect(made.created).to.equal(true);
    const path = join(terminal.folder, "owner.key");
    expect((await stat(path)).mode & 0o077).to.equal(0);
    const key = (await readFile(path, "utf8")).trim();
    expect(privateKeyToAccount(`0x${key}`).address).to.equal(made.address);
    const again = await terminal.run("wallet create owner.key");
    expect(again.out).to.contain(made.address).and.not.to.contain(key);
    expect((await readFile(path, "utf8")).trim()).to.equal(key);
  });

  it("gives errors as JSON when JSON is asked for", async () => {
    const failed = await terminal.json<{ error: { code: string; hint: string } }>("chat hi");
    expect(failed.error.code).to.equal("authentication_failed");
    expect(failed.error.hint).to.be.a("string");
    const usage = await terminal.json<{ error: { code: string; message: string } }>("credits buy");
    expect(usage.error).to.deep.include({ code: "usage" });
  });
});
