import { EventEmitter } from "node:events";
import { createServer } from "node:net";
import { Writable } from "node:stream";
import { listenError } from "@aimo/node/listen-error";
import { createLog } from "@aimo/node/log";
import { FORCED_EXIT_CODE, onShutdown, SAME_PRESS_MS } from "@aimo/node/shutdown";
import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";

describe("node/log", () => {
  function logInto() {
    const lines: string[] = [];
    const destination = new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    });
    return { log: createLog({ level: "debug", name: "relay-1", destination }), lines };
  }

  it("writes one JSON line with the object and the sentence", () => {
    const { log, lines } = logInto();
    log.info({ holdId: "h1", amount: "5" }, "hold placed");
    const line = JSON.parse(lines[0] ?? "");
    expect(line).to.include({ holdId: "h1", amount: "5", msg: "hold placed", name: "relay-1" });
    expect(line.time).to.match(/^\d{4}-\d\d-\d\dT/);
  });

  it("never writes keys, prompts or completions, at any of three depths", () => {
    const { log, lines } = logInto();
    const secrets = {
      privateKey: "SECRET",
      authorization: "Bearer SECRET",
      "x-api-key": "SECRET",
      key: "SECRET",
      password: "SECRET",
      body: { messages: ["SECRET"] },
      prompt: "SECRET",
      messages: [{ role: "user", content: "SECRET" }],
      completion: "SECRET",
    };
    log.warn(secrets, "top");
    log.warn({ request: secrets }, "one deeper");
    log.warn({ request: { headers: secrets } }, "two deeper");
    expect(lines).to.have.length(3);
    expect(lines.join()).to.include("[redacted]").and.not.include("SECRET");
  });
});

describe("node/shutdown", () => {
  function setUp(drain: () => Promise<void>) {
    const source = new EventEmitter();
    const exits: number[] = [];
    const events: string[] = [];
    const clock = { now: 5_000 };
    const stop = onShutdown({
      drain,
      source,
      exit: (code) => exits.push(code),
      onEvent: (event) => events.push(event),
      now: () => clock.now,
    });
    return { source, exits, events, clock, stop };
  }
  const forever = () => new Promise<void>(() => {});
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it("drains once, then exits with 0", async () => {
    let drains = 0;
    const { source, exits, events } = setUp(async () => {
      drains++;
    });
    source.emit("SIGINT", "SIGINT");
    await turn();
    expect([drains, exits, events]).to.deep.equal([1, [0], ["draining", "drained"]]);
    expect(source.listenerCount("SIGINT") + source.listenerCount("SIGTERM")).to.equal(0);
  });

  it("takes signals within a second for the same key press", () => {
    const { source, exits, events, clock } = setUp(forever);
    source.emit("SIGINT", "SIGINT");
    clock.now += SAME_PRESS_MS - 1;
    source.emit("SIGINT", "SIGINT");
    source.emit("SIGTERM", "SIGTERM");
    expect([exits, events]).to.deep.equal([[], ["draining"]]);
  });

  it("leaves at once on a later signal", () => {
    const { source, exits, events, clock } = setUp(forever);
    source.emit("SIGTERM", "SIGTERM");
    clock.now += SAME_PRESS_MS;
    source.emit("SIGINT", "SIGINT");
    expect([exits, events]).to.deep.equal([[FORCED_EXIT_CODE], ["draining", "forced"]]);
  });

  it("exits with 1 when the drain fails", async () => {
    const { source, exits, events } = setUp(async () => {
      throw new Error("disk full");
    });
    source.emit("SIGINT", "SIGINT");
    await turn();
    expect([exits, events]).to.deep.equal([[1], ["draining", "failed"]]);
  });

  it("hears nothing once it is stopped", () => {
    const { source, events, stop } = setUp(forever);
    stop();
    source.emit("SIGINT", "SIGINT");
    expect(events).to.deep.equal([]);
  });
});

describe("node/listen-error", () => {
  it("names host and port of a port that is taken", async () => {
    const first = createServer();
    await new Promise<void>((resolve) => first.listen(0, "127.0.0.1", resolve));
    const address = first.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const second = createServer();
    const failure = await new Promise<Error>((resolve) => {
      second.once("error", resolve);
      second.listen(port, "127.0.0.1");
    });
    await new Promise((resolve) => first.close(resolve));
    const error = listenError(failure, { host: "127.0.0.1", port });
    if (!isAimoError(error)) throw new Error("no AimoError");
    expect(error.code).to.equal("port_in_use");
    expect(error.message).to.equal(`127.0.0.1:${port} is used by another program.`);
    expect(error.details).to.deep.equal({ host: "127.0.0.1", port });
  });

  it("names a port that needs rights, and an address that is not here", () => {
    const failure = (code: string) => Object.assign(new Error(code), { code });
    const codes = ["EACCES", "EADDRNOTAVAIL"].map((code) =>
      listenError(failure(code), { host: "::1", port: 80 }),
    );
    for (const error of codes) expect(error).to.have.property("code", "config_invalid");
    expect(codes[0]).to.have.property("message").that.includes("[::1]:80");
  });

  it("hands on what it does not know", () => {
    const error = new Error("something else");
    expect(listenError(error, { host: "127.0.0.1", port: 1 })).to.equal(error);
  });
});
