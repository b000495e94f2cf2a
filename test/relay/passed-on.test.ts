import { once } from "node:events";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { PartialConfig } from "../../relay/src/config.ts";
import { type RelayWithProvider, startRelayWithProvider } from "./support/relay-with-provider.ts";

const WORKERS = 2;

describe("what workers pass on", function () {
  this.timeout(60_000);
  let network: RelayWithProvider;
  const open: Socket[] = [];
  const folders: string[] = [];
  const start = async (settings: PartialConfig = {}) => {
    network = await startRelayWithProvider({ workers: WORKERS, ...settings });
  };
  /** A relay whose data is in a folder; gives its workers' way to the main process. */
  const startBeside = async () => {
    const dataFolder = await mkdtemp(join(tmpdir(), "aimo-passed-on-"));
    folders.push(dataFolder);
    // What one that was killed would leave.
    await mkdir(join(dataFolder, "workers"), { mode: 0o777 });
    await writeFile(join(dataFolder, "workers", "main.sock"), "");
    await start({ dataFolder });
    return join(dataFolder, "workers", "main.sock");
  };
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    await network.close();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });

  const talk = (socket: Socket) => {
    open.push(socket.on("error", () => {}));
    let text = "";
    socket.on("data", (piece) => {
      text += piece;
    });
    return {
      send: (bytes: string) => socket.write(bytes),
      /** All that has come, once `what` is in it. */
      until: async (what: string) => {
        while (!text.includes(what)) await once(socket, "data");
        return text;
      },
      /** All that came, once the relay has ended the connection. */
      end: async () => {
        if (!socket.closed) await once(socket, "close");
        return text;
      },
    };
  };
  const dial = () => talk(connect(Number(new URL(network.url).port), "127.0.0.1"));
  /** As many as there are workers: each has one of them. */
  const dialAll = () => Array.from({ length: WORKERS }, dial);

  it("stays one request, whatever its body says: other clients get their own answers", async () => {
    await start();
    const attackers = dialAll();
    const victims = dialAll();
    const smuggled =
      "GET /v1/smuggled HTTP/1.1\r\nhost: a\r\naimo-counted: 1\r\nx-forwarded-for: 9.9.9.9\r\n\r\n";
    // Waits for a body: what comes next on the connection would be that.
    const swallowing =
      `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${network.key}\r\n` +
      "content-type: application/json\r\ncontent-length: 4000\r\n\r\n";
    const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    for (const [turn, method] of ["GET", "DELETE", "GET", "HEAD", "POST"].entries()) {
      for (const attacker of attackers) {
        const head = `${method} /v1/turn-${turn} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n`;
        attacker.send(head + chunked(turn % 2 === 0 ? swallowing : smuggled + swallowing));
        // The answer to a HEAD has no body to know it by.
        if (method !== "HEAD") await attacker.until(`/v1/turn-${turn} here`);
      }
      for (const [at, victim] of victims.entries()) {
        victim.send(`GET /v1/mine-${at}-${turn} HTTP/1.1\r\nhost: a\r\n\r\n`);
        const text = await victim.until(`/v1/mine-${at}-${turn} here`);
        expect(text.split("HTTP/1.1 404 ").length - 1).to.equal(turn + 1);
      }
    }
    for (const { until } of attackers) expect(await until("404")).to.not.contain("smuggled");
  });

  it("is believed of workers alone, by a secret that each start draws anew", async () => {
    const path = await startBeside();
    for (const said of ["", `aimo-inward: ${"0".repeat(64)}\r\n`, "aimo-inward: x\r\naimo-inward: x\r\n"]) {
      const stranger = talk(connect(path));
      const head = `host: a\r\naimo-counted: 1\r\nx-forwarded-for: 9.9.9.9\r\n${said}`;
      stranger.send(`GET /health HTTP/1.1\r\n${head}\r\nGET /health HTTP/1.1\r\n${head}\r\n`);
      const text = await stranger.end();
      expect(text).to.match(/^HTTP\/1\.1 403 /);
      expect(text.split("HTTP/1.1 ").length - 1).to.equal(1);
    }
    expect((await fetch(`${network.url}/health`)).status).to.equal(200);
  });

  it("may have as many headers, and as large ones, as what workers answer themselves", async () => {
    await start();
    const few = ["host: a", "connection: close", `authorization: Bearer ${network.key}`];
    const upTo = (count: number) => [
      ...few,
      ...Array.from({ length: count - few.length }, (_, at) => `x-${at}: 1`),
    ];
    const large = [...few, `x: ${"y".repeat(16_100)}`];
    const statusOf = async (line: string, headers: readonly string[]) => {
      const client = dial();
      client.send(`${line} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
      return (await client.end()).slice(9, 12);
    };
    // A worker answers the second line itself: that there is no body.
    for (const [line, status] of [
      ["GET /health", "200"],
      ["POST /v1/chat/completions", "400"],
    ] as const) {
      expect(await statusOf(line, upTo(64)), line).to.equal(status);
      expect(await statusOf(line, large), line).to.equal(status);
      expect(await statusOf(line, upTo(65)), line).to.equal("431");
      expect(await statusOf(line, [...large, `z: ${"y".repeat(400)}`]), line).to.equal("431");
    }
  });

  it("goes where only the relay's own user comes", async () => {
    const path = await startBeside();
    const modes = [path, dirname(path)].map(async (at) => (await stat(at)).mode & 0o777);
    expect(await Promise.all(modes)).to.deep.equal([0o600, 0o700]);
  });
});
