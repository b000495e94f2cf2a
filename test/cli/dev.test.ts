import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { openTerminal } from "./terminal.ts";

const main = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));

describe("cli/dev", function () {
  this.timeout(120_000);

  it("brings a network up step by step, and drains it on Ctrl-C", async () => {
    const terminal = await openTerminal();
    try {
      const child = spawn(process.execPath, [main, "dev", "--port-base", "0", "--json"], {
        cwd: terminal.folder,
        env: { AIMO_CONFIG_DIR: terminal.configFolder },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const lines: string[] = [];
      for await (const line of createInterface({ input: child.stderr })) {
        lines.push(line);
        if (line.startsWith("Ready.")) child.kill("SIGINT");
      }
      const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
      expect(code, lines.join("\n")).to.equal(0);
      const text = lines.join("\n");
      expect(text)
        .to.match(/Chain: .*\nContracts: /)
        .and.to.match(/AIMO_BASE_URL=http:\/\/127\.0\.0\.1:\d+\/v1/);
      expect(text).to.contain("Stopping: ").and.to.contain("Stopped.");
    } finally {
      await terminal.close();
    }
  });
});
