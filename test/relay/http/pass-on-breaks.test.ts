import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as listen, type Socket, type Server as SocketServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { PassOn, type PassOnParameters } from "../../../relay/src/http/pass-on.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

describe("passing on to a main process that breaks off", function () {
  this.timeout(20_000);
  let folder: string;
  let main: SocketServer;
  let worker: Server;
  let passOn: PassOn;
  let url: string;
  /** First lines of requests as the main process got them; what it does with each in turn, and with those after. */
  const got: string[] = [];
  const taken: Socket[] = [];

  type Act = "answer" | "break" | "wait";
  const start = (...acts: Act[]) => startWith({}, acts);
  const startWith = async (settings: Partial<PassOnParameters>, acts: readonly Act[]) => {
    folder = await mkdtemp(join(tmpdir(), "aimo-breaks-"));
    const socketPath = process.platform === "win32" ? `\\\\.\\pipe\\${folder}` : join(folder, "main.sock");
    main = listen((socket) => {
      taken.push(socket);
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        got.push(String(bytes).split(" HTTP/1.1", 1)[0] ?? "");
        const act = acts[Math.min(got.length, acts.length) - 1];
        if (act === "answer") socket.write(OK);
        else if (act === "break") socket.destroy();
      });
    }).listen(socketPath);
    await once(main, "listening");
    passOn = new PassOn({ socketPath, secret: "known", ...settings });
    worker = createServer((request, response) => {
      passOn.pass({
        ...{ request, response, ip: "1.2.3.4", isCounted: false },
        onAnswer: () => {},
        onRefusal: ({ status, code, retryAfterSeconds }) => {
          if (retryAfterSeconds !== undefined) response.setHeader("retry-after", retryAfterSeconds);
          response.writeHead(status).end(code);
        },
      });
    }).listen(0, "127.0.0.1");
    await once(worker, "listening");
    url = `http://127.0.0.1:${(worker.address() as AddressInfo).port}`;
  };
  afterEach(async () => {
    passOn.close();
    for (const socket of taken.splice(0)) socket.destroy();
    worker.closeAllConnections();
    await once(worker.close(), "close");
    if (main.listening) await once(main.close(), "close");
    await rm(folder, { recursive: true, force: true });
    got.length = 0;
  });

  const ask = async (method: string, path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, { method, ...init });
    const { status, headers } = response;
    const said = [headers.get("retry-after"), headers.get("x-should-retry")];
    return [status, await response.text(), ...said];
  };
  const UNKNOWN = [502, "provider_unavailable", null, "false"];
  const AGAIN = [503, "overloaded", "1", null];
  const key = { headers: { "idempotency-key": "a" }, body: "{}" };

  it("says that the outcome is unknown of what may have been carried out", async () => {
    await start("break");
    expect(await ask("POST", "/v1/batches", { body: "{}" })).to.deep.equal(UNKNOWN);
    expect(await ask("POST", "/v1/keys")).to.deep.equal(UNKNOWN);
    expect(await ask("PATCH", "/v1/keys/a", { body: "{}" })).to.deep.equal(UNKNOWN);
    expect(await ask("POST", "/v1/chat/completions", { body: "{}" })).to.deep.equal(UNKNOWN);
    // Only inference keeps replies by it.
    expect(await ask("POST", "/v1/batches", key)).to.deep.equal(UNKNOWN);
    expect(got).to.have.length(5);
  });

  it("says so on a connection that was kept, and sends nothing twice", async () => {
    await start("answer", "break");
    expect(await ask("GET", "/health")).to.deep.equal([200, "done", null, null]);
    expect(await ask("POST", "/v1/batches", { body: "{}" })).to.deep.equal(UNKNOWN);
    expect(got).to.deep.equal(["GET /health", "POST /v1/batches"]);
    expect(taken).to.have.length(1);
  });

  it("has what does no more when it is repeated tried again", async () => {
    await start("break");
    for (const method of ["GET", "DELETE", "OPTIONS"])
      expect(await ask(method, "/v1/keys/a")).to.deep.equal(AGAIN);
    expect(await ask("DELETE", "/v1/keys/a", { body: "{}" })).to.deep.equal(AGAIN);
    expect(await ask("POST", "/v1/chat/completions", key)).to.deep.equal(AGAIN);
    expect(got).to.have.length(5);
  });

  it("has what it never got tried again", async () => {
    await start("break");
    await once(main.close(), "close");
    expect(await ask("POST", "/v1/batches", { body: "{}" })).to.deep.equal(AGAIN);
    expect(got).to.deep.equal([]);
  });

  it("is asked once more by itself what does no more when it is repeated, if the connection was kept", async () => {
    await start("answer", "break", "answer");
    await ask("GET", "/first");
    expect(await ask("GET", "/second")).to.deep.equal([200, "done", null, null]);
    expect(got).to.deep.equal(["GET /first", "GET /second", "GET /second"]);
    expect(taken).to.have.length(2);
  });

  it("has connections ended that nobody uses, before it ends them itself, and no other", async () => {
    await startWith({ keptMs: 1 }, ["wait", "answer"]);
    const waiting = ask("GET", "/waits");
    while (got.length < 1) await once(main, "connection").then(([socket]) => once(socket, "data"));
    const [first] = taken;
    expect(await ask("GET", "/idle")).to.deep.equal([200, "done", null, null]);
    const [, second] = taken;
    if (second && !second.closed) await once(second, "close");
    first?.write(OK);
    expect(await waiting).to.deep.equal([200, "done", null, null]);
  });

  it("is asked no third time", async () => {
    await start("answer", "break");
    await ask("GET", "/first");
    expect(await ask("DELETE", "/second")).to.deep.equal(AGAIN);
    expect(got).to.deep.equal(["GET /first", "DELETE /second", "DELETE /second"]);
  });
});
