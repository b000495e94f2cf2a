import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect } from "chai";
import {
  CHAT,
  openRaw,
  providerOf,
  startTestRelay,
  type TestRelay,
  type TestRelayOptions,
  until,
} from "../support/test-relay.ts";

const STREAM = { ...CHAT, stream: true };
/** More than the system takes of a reply that nobody reads. */
const LARGE = "x".repeat(64 * 1024);
const PIECES = 128;
const ROOM = { limits: { maxReplyBytes: 32 << 20 } };
const BRIEF = { headersTimeoutMs: 150, requestTimeoutMs: 300, readerIdleMs: 300 };

describe("connections", function () {
  this.timeout(20_000);
  let relay: TestRelay;
  const open: Socket[] = [];
  const start = async (settings: TestRelayOptions["settings"] = BRIEF, options: TestRelayOptions = {}) => {
    relay = await startTestRelay({ ...options, settings });
  };
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    await relay.close();
  });

  const dial = (allowHalfOpen = false): Socket => {
    const socket = connect({ port: Number(new URL(relay.url).port), host: "127.0.0.1", allowHalfOpen });
    // A connection that the relay resets is what some of these ask for.
    socket.on("error", () => {});
    open.push(socket);
    return socket;
  };
  /** All that comes until the relay ends the connection. */
  const read = async (socket: Socket): Promise<string> => {
    const pieces: Buffer[] = [];
    socket.on("data", (piece: Buffer) => pieces.push(piece));
    if (!socket.closed) await once(socket, "close");
    return Buffer.concat(pieces).toString();
  };
  const codeIn = (reply: string) => /"code":"(\w+)"/.exec(reply)?.[1];
  const head = (length: number) =>
    `POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${relay.key}\r\n` +
    `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
  /** Sends a byte now and then, for as long as there is somebody to take it. */
  const dribble = (socket: Socket, text: string) => {
    let at = 0;
    const timer = setInterval(() => socket.write(text[at++ % text.length] ?? ""), 10);
    socket.on("close", () => clearInterval(timer));
  };
  const nothingLeft = async () => {
    await until(() => relay.ledger.holds.size === 0);
    expect((await relay.post("/v1/chat/completions", CHAT)).status).to.equal(200);
  };

  describe("that send slowly", () => {
    it("end with a named error when headers take too long, though bytes keep coming", async () => {
      await start();
      const socket = dial();
      socket.write("GET /v1/models HTTP/1.1\r\nhost: relay\r\nx-slow: ");
      dribble(socket, "a");
      const reply = await read(socket);
      expect(reply).to.match(/^HTTP\/1\.1 408 /);
      expect(codeIn(reply)).to.equal("request_timeout");
      await nothingLeft();
    });

    it("end with a named error when a body takes too long", async () => {
      await start();
      const socket = dial();
      socket.write(head(10_000));
      dribble(socket, " ");
      expect(codeIn(await read(socket))).to.equal("request_timeout");
      await nothingLeft();
    });

    it("are closed when they say nothing at all", async () => {
      await start();
      expect(codeIn(await read(dial()))).to.equal("request_timeout");
    });

    it("keep a connection that is between two requests", async () => {
      await start();
      const socket = dial();
      const ask = () => {
        const reply = once(socket, "data");
        socket.write("GET /health HTTP/1.1\r\nhost: relay\r\n\r\n");
        return reply;
      };
      await ask();
      const other = read(dial());
      expect(codeIn(await other), "time has run out for another meanwhile").to.equal("request_timeout");
      expect(String(await ask())).to.match(/^HTTP\/1\.1 /);
    });
  });

  describe("that break off", () => {
    it("leave nothing when they are reset within a body", async () => {
      await start({});
      const socket = dial();
      socket.write(`${head(1_000)}{"model":`);
      await once(socket, "connect");
      socket.resetAndDestroy();
      await nothingLeft();
      expect(relay.ledger.generations.size).to.equal(1);
    });

    for (const [title, leave] of [
      ["are reset", (socket: Socket) => socket.resetAndDestroy()],
      ["are closed on one side", (socket: Socket) => socket.end()],
    ] as const)
      it(`end the provider's stream when they ${title}, and pay for what was delivered`, async () => {
        await start({});
        const provider = providerOf(relay);
        provider.onAsk = (ask) => void ask.say("One two three.");
        const socket = dial(true);
        const body = JSON.stringify(STREAM);
        socket.write(head(body.length) + body);
        await once(socket, "data");
        leave(socket);
        await until(() => provider.aborts.length === 1);
        await until(() => relay.ledger.commits.length === 1);
        const [{ outcome } = { outcome: undefined }] = relay.ledger.commits;
        expect(outcome).to.deep.include({ kind: "usage", cancelled: true });
        expect(outcome?.kind === "usage" && outcome.statement.units).to.deep.equal([10, 0, 1]);
        provider.onAsk = (ask) => ask.reply("Hello.");
        await nothingLeft();
      });
  });

  describe("that do not read", () => {
    it("hold back a stream, and are ended after a time without taking a byte", async () => {
      await start();
      const provider = providerOf(relay);
      let isHeldBack = false;
      provider.onAsk = async (ask) => {
        while (!ask.response.destroyed && ask.frames < 5_000) {
          if (!ask.say("word ", LARGE)) {
            isHeldBack = true;
            const { promise, resolve } = Promise.withResolvers<void>();
            ask.response.once("drain", resolve).once("close", resolve);
            await promise;
            ask.response.off("drain", resolve).off("close", resolve);
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const socket = openRaw(relay, STREAM);
      open.push(socket.on("error", () => {}));
      socket.pause();
      await until(() => relay.ledger.commits.length === 1);
      expect(isHeldBack).to.equal(true);
      expect(provider.asks[0]?.frames, "frames that the provider could write").to.be.lessThan(1_000);
      expect(relay.ledger.commits[0]?.outcome).to.include({ kind: "usage", cancelled: true });
      provider.onAsk = (ask) => ask.reply("Hello.");
      await nothingLeft();
    });

    it("are ended with a whole reply too, which is billed", async () => {
      await start(BRIEF, ROOM);
      providerOf(relay).onAsk = (ask) => ask.reply(LARGE.repeat(PIECES), { completion: 60 });
      const socket = openRaw(relay, CHAT);
      open.push(socket.on("error", () => {}));
      socket.pause();
      const connections = () => {
        const { promise, resolve } = Promise.withResolvers<number>();
        relay.app.server.getConnections((_error, count) => resolve(count));
        return promise;
      };
      await until(() => relay.ledger.commits.length === 1);
      expect(relay.ledger.commits[0]?.outcome.kind).to.equal("usage");
      for (let count = await connections(); count > 0; count = await connections())
        await new Promise((resolve) => setImmediate(resolve));
    });

    it("are waited for as long as they take a little", async () => {
      await start({ ...BRIEF, readerIdleMs: 150 }, ROOM);
      providerOf(relay).onAsk = (ask) => ask.reply(LARGE.repeat(PIECES), { completion: 60 });
      const socket = openRaw(relay, CHAT, { connection: "close" });
      open.push(socket);
      let bytes = 0;
      // In all it takes several times as long as a reader may stand still.
      socket.on("data", (piece: Buffer) => {
        bytes += piece.length;
        socket.pause();
        setTimeout(() => socket.resume(), 3);
      });
      await once(socket, "end");
      expect(bytes).to.be.greaterThan(PIECES * LARGE.length);
    });
  });

  describe("that are too many", () => {
    it("of one address are refused by name, and beyond twice as many closed", async () => {
      await start({ maxConnectionsPerAddress: 2 });
      const health = "GET /health HTTP/1.1\r\nhost: relay\r\n\r\n";
      const ask = async (socket: Socket) => {
        socket.write(health);
        return String((await once(socket, "data"))[0]);
      };
      const [first, second, third] = [dial(), dial(), dial()];
      expect(await ask(first)).to.match(/^HTTP\/1\.1 200 /);
      expect(await ask(second)).to.match(/^HTTP\/1\.1 200 /);
      third.write(health);
      const refused = await read(third);
      expect(refused)
        .to.match(/^HTTP\/1\.1 429 /)
        .and.match(/retry-after: 1/i);
      expect(codeIn(refused)).to.equal("rate_limit_exceeded");
      const more = [dial(), dial(), dial()];
      await Promise.all(more.slice(0, 2).map((socket) => once(socket, "connect")));
      expect(await read(more[2] ?? dial())).to.equal("");
      for (const socket of [first, ...more]) socket.destroy();
      await Promise.all(more.map((socket) => socket.closed || once(socket, "close")));
      for (let reply = ""; !reply.startsWith("HTTP/1.1 200"); ) {
        const again = dial();
        again.write("GET /health HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
        reply = await read(again);
      }
    });

    it("of a proxy, or of the operator, are not counted", async () => {
      await start({ maxConnectionsPerAddress: 1, uncountedAddresses: ["127.0.0.0/8"] });
      const replies = await Promise.all(
        Array.from({ length: 5 }, () => {
          const socket = dial();
          socket.write("GET /health HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
          return read(socket);
        }),
      );
      for (const reply of replies) expect(reply).to.match(/^HTTP\/1\.1 200 /);
    });

    it("in all are closed", async () => {
      await start({ maxConnections: 1 });
      const first = dial();
      await once(first, "connect");
      first.write("GET /health HTTP/1.1\r\nhost: relay\r\n\r\n");
      await once(first, "data");
      expect(await read(dial())).to.equal("");
    });
  });

  it("answer some requests that are sent ahead, in their order, and are closed beyond that", async () => {
    await start();
    const provider = providerOf(relay);
    const asked = Promise.withResolvers<() => void>();
    provider.onAsk = (ask) => asked.resolve(() => ask.reply("done"));
    const body = JSON.stringify(CHAT);
    const ahead = (count: number) => "GET /health HTTP/1.1\r\nhost: relay\r\n\r\n".repeat(count);
    const patient = dial();
    let replies = "";
    patient.on("data", (piece) => {
      replies += piece;
    });
    patient.write(head(body.length) + body + ahead(32));
    const answer = await asked.promise;
    const greedy = dial();
    greedy.resume().write(head(body.length) + body + ahead(4_000));
    await until(() => greedy.closed);
    expect(greedy.bytesRead).to.equal(0);
    answer();
    await until(() => replies.split("HTTP/1.1 200").length === 34);
    expect(replies.indexOf("done")).to.be.below(replies.indexOf('"status"'));
    // They count while they wait: as many fit again.
    patient.write(ahead(33));
    await until(() => replies.split("HTTP/1.1 200").length === 67);
  });

  it("are refused by name with too many headers, or too large ones", async () => {
    await start({});
    const many = Array.from({ length: 70 }, (_, i) => `x-${i}: 1\r\n`).join("");
    const ask = (headers: string) => {
      const socket = dial();
      socket.write(`GET /health HTTP/1.1\r\nhost: relay\r\n${headers}\r\n`);
      return read(socket);
    };
    for (const headers of [many, `x: ${"y".repeat(20_000)}\r\n`]) {
      const reply = await ask(headers);
      expect(reply).to.match(/^HTTP\/1\.1 431 /);
      expect(codeIn(reply)).to.equal("headers_too_large");
    }
  });
});
