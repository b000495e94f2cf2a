import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { PassOn, type PassOnParameters } from "../../../relay/src/http/pass-on.ts";

/** What the main process saw of a request. */
type Seen = { readonly line: string; readonly headers: Record<string, unknown>; readonly body: string };

describe("passing on", function () {
  this.timeout(20_000);
  let folder: string;
  let inner: Server;
  let outer: Server;
  let passOn: PassOn;
  const seen: Seen[] = [];
  const open: Socket[] = [];

  const start = async (answer: RequestListener = echo, settings: Partial<PassOnParameters> = {}) => {
    folder = await mkdtemp(join(tmpdir(), "aimo-pass-on-"));
    const socketPath = process.platform === "win32" ? `\\\\.\\pipe\\${folder}` : join(folder, "main.sock");
    inner = createServer(answer).listen(socketPath);
    await once(inner, "listening");
    passOn = new PassOn({ socketPath, secret: "known", ...settings });
    outer = createServer((request, response) => {
      passOn.pass({
        ...{ request, response, ip: "1.2.3.4", isCounted: false },
        onAnswer: () => {},
        onRefusal: ({ code, retryAfterSeconds = 0 }) => {
          response.writeHead(503, { "retry-after": String(retryAfterSeconds) }).end(`refused as ${code}.`);
        },
      });
    }).listen(0, "127.0.0.1");
    await once(outer, "listening");
  };
  const echo: RequestListener = (request, response) => {
    const answer = (parts: unknown[]) => {
      const { method, url, headers } = request;
      seen.push({ line: `${method} ${url}`, headers, body: parts.join("") });
      response.end(`you asked for ${url}.`);
    };
    // Who breaks off gets no answer.
    request.toArray().then(answer, () => {});
  };
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    passOn.close();
    for (const server of [outer, inner]) {
      server.closeAllConnections();
      await once(server.close(), "close");
    }
    await rm(folder, { recursive: true, force: true });
    seen.length = 0;
  });

  const dial = () => {
    const socket = connect((outer.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
    open.push(socket);
    let text = "";
    socket.on("data", (piece) => {
      text += piece;
    });
    const until = async (what: string) => {
      while (!text.includes(what)) await once(socket, "data");
      return text;
    };
    const end = async () => {
      if (!socket.closed) await once(socket, "close");
      return text;
    };
    const next = async () => String((await once(socket, "data"))[0]);
    const close = () => socket.destroy();
    return { send: (bytes: string) => socket.write(bytes), until, next, end, close };
  };

  for (const method of ["GET", "DELETE", "OPTIONS", "POST"])
    it(`keeps the chunked body of a ${method} a body, whatever is in it`, async () => {
      await start();
      const inside =
        "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\nPOST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 999\r\n\r\n";
      const attacker = dial();
      const victim = dial();
      for (let turn = 0; turn < 3; turn++) {
        attacker.send(`${method} /turn-${turn} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n`);
        attacker.send(`${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`);
        await attacker.until(`you asked for /turn-${turn}.`);
        victim.send(`GET /mine-${turn} HTTP/1.1\r\nhost: a\r\n\r\n`);
        await victim.until(`you asked for /mine-${turn}.`);
      }
      const lines = [0, 1, 2].flatMap((turn) => [`${method} /turn-${turn}`, `GET /mine-${turn}`]);
      expect(seen.map(({ line }) => line)).to.deep.equal(lines);
      expect(seen[0]?.body).to.equal(inside);
    });

  it("passes on a body of a stated length, and requests without one", async () => {
    await start();
    const client = dial();
    client.send("DELETE /long HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde");
    await client.until("/long.");
    client.send("POST /empty HTTP/1.1\r\nhost: a\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\n\r\n");
    await client.until("/next.");
    expect(seen.map(({ line, body }) => [line, body])).to.deep.equal([
      ["DELETE /long", "abcde"],
      ["POST /empty", ""],
      ["GET /next", ""],
    ]);
  });

  it("says itself what the main process believes, whatever the client says", async () => {
    await start();
    const client = dial();
    const lies = ["aimo-inward: guess", "aimo-counted: 1", "x-forwarded-for: 9.9.9.9", "x-forwarded-host: b"];
    client.send(`GET /a HTTP/1.1\r\nhost: a\r\nx-own: kept\r\n${lies.join("\r\n")}\r\n\r\n`);
    await client.until("/a.");
    expect(seen[0]?.headers).to.include({
      "aimo-inward": "known",
      "x-forwarded-for": "1.2.3.4",
      "x-own": "kept",
    });
    expect(seen[0]?.headers).to.not.have.any.keys("aimo-counted", "x-forwarded-host");
  });

  describe("to a client that ends its connection with the answer", () => {
    const last = "connection: close\r\n";
    for (const [name, head] of [
      ["by Connection: close", `GET /a HTTP/1.1\r\nhost: a\r\n${last}`],
      ["by HTTP/1.0", "GET /a HTTP/1.0\r\nhost: a\r\n"],
      [
        "by a wish for another protocol",
        "GET /a HTTP/1.1\r\nhost: a\r\nupgrade: x\r\nconnection: upgrade\r\n",
      ],
    ] as const)
      it(`ends it too, ${name}`, async () => {
        await start();
        const client = dial();
        client.send(`${head}\r\n`);
        const text = await client.end();
        expect(text).to.match(/^HTTP\/1\.1 200 .*\r\nConnection: close\r\n/s);
        expect(text).to.not.match(/keep-alive/i);
        expect(text).to.match(/you asked for \/a\.$/);
      });

    it("sends a stream of unknown length as HTTP/1.0 knows it", async () => {
      await start((request, response) => {
        request.resume();
        response.write("one,");
        response.end("two");
      });
      const client = dial();
      client.send("GET /a HTTP/1.0\r\n\r\n");
      const text = await client.end();
      expect(text).to.match(/\r\n\r\none,two$/);
      expect(text).to.not.match(/transfer-encoding/i);
    });

    it("keeps the others, whatever the main process does with its own", async () => {
      await start((request, response) => {
        request.resume();
        response.writeHead(200, { connection: "close", "x-kept": "yes" }).end(`for ${request.url}.`);
      });
      const client = dial();
      client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
      await client.until("for /a.");
      client.send("GET /b HTTP/1.1\r\nhost: a\r\n\r\n");
      expect(await client.until("for /b.")).to.contain("x-kept: yes");
    });
  });

  describe("when the main process is busy", () => {
    const ONE = {
      places: { plain: 1, read: 1, coming: 1, contents: 1, inference: 1, inferenceComing: 1 },
      line: { maxWaiting: 1, maxWaitMs: 60_000 },
    };
    const head = (line: string, rest = "") => `${line} HTTP/1.1\r\nhost: a\r\n${rest}\r\n`;
    /** The beginning of a body without a length, and its end. */
    const begun = (path: string) => `${head(`POST ${path}`, "transfer-encoding: chunked\r\n")}1\r\na\r\n`;
    const END = "0\r\n\r\n";

    for (const [name, long] of [
      ["what files contain", head("GET /v1/files/a/content")],
      ["what a model says", `${head("POST /v1/chat/completions", "content-length: 1\r\n")}a`],
      ["what a model says to a long body", begun("/v1/audio/transcriptions") + END],
    ] as const)
      it(`answers all else while a client is slow to read ${name}`, async () => {
        await start((request, response) => {
          if (request.url?.match(/content|completions|transcriptions/)) response.write("and so on");
          else echo(request, response);
        }, ONE);
        const slow = dial();
        slow.send(long);
        await slow.until("and so on");
        for (const [path, sent] of [
          ["/health", head("GET /health")],
          ["/v1/keys", `${head("POST /v1/keys", "content-length: 1\r\n")}a`],
          ["/v1/files", begun("/v1/files") + END],
        ] as const) {
          const client = dial();
          client.send(sent);
          await client.until(`you asked for ${path}.`);
        }
      });

    it("answers requests without a body while all others' connections wait for theirs", async () => {
      await start(echo, ONE);
      for (let i = 0; i < 3; i++) dial().send(head(`POST /slow-${i}`, "content-length: 9\r\n"));
      const arrived = once(inner, "request");
      for (let i = 0; i < 2; i++) dial().send(begun(`/slower-${i}`));
      await arrived;
      const client = dial();
      client.send(head("GET /health"));
      await client.until("/health.");
      // Who has sent all of a small body passes those who have not.
      client.send(`${head("POST /quick", "content-length: 2\r\n")}ab`);
      await client.until("/quick.");
    });

    it("refuses at once what would be one too many in the line, and serves the line", async () => {
      await start(echo, ONE);
      const [first, second, third] = [dial(), dial(), dial()];
      const arrived = once(inner, "request");
      first.send(begun("/first"));
      await arrived;
      const came = once(outer, "request");
      second.send(begun("/second") + END);
      await came;
      third.send(begun("/third") + END);
      const text = await third.until("refused as overloaded.");
      expect(text).to.match(/^HTTP\/1\.1 503 .*\r\nretry-after: 1\r\n/s);
      first.send(END);
      await first.until("/first.");
      await second.until("/second.");
      third.send(begun("/fourth") + END);
      await third.until("/fourth.");
    });

    it("refuses what has waited too long, and goes on when the client is gone", async () => {
      await start(echo, { ...ONE, line: { maxWaiting: 1, maxWaitMs: 1 } });
      const [first, second] = [dial(), dial()];
      const arrived = once(inner, "request");
      first.send(begun("/first"));
      await arrived;
      second.send(begun("/second") + END);
      await second.until("refused as overloaded.");
      first.close();
      let reply: string;
      do {
        second.send(`${begun("/again")}0\r\n\r\n`);
        reply = await second.next();
      } while (reply.includes("refused"));
      await second.until("/again.");
    });

    it("keeps no connection for answers that stood behind another's when their client left", async () => {
      let arrivals = 0;
      await start(
        ({ url }, response) => {
          arrivals++;
          if (url === "/large") response.end("x".repeat(1 << 20));
          else if (url === "/next") response.end("for /next.");
        },
        { ...ONE, places: { ...ONE.places, plain: 2 } },
      );
      const client = dial();
      client.send(
        `${head("POST /never", "content-length: 1\r\n")}a${head("GET /large")}${head("GET /large")}`,
      );
      while (arrivals < 3) await once(inner, "request");
      client.close();
      const other = dial();
      other.send(head("GET /next"));
      await other.until("for /next.");
    });

    it("says so when the main process is gone", async () => {
      await start();
      inner.closeAllConnections();
      await once(inner.close(), "close");
      const client = dial();
      client.send(head("GET /a"));
      await client.until("refused as overloaded.");
      inner.listen(0);
      await once(inner, "listening");
    });
  });
});
