import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import type { RelayConfig } from "./config.ts";
import type { Gate } from "./http/gate.ts";
import type { RelayParts, Served } from "./parts.ts";
import { processesOf, programOf, type WorkerStart } from "./processes.ts";
import { flagging } from "./token-counter.ts";
import { Front } from "./workers/front.ts";
import { learnFrom } from "./workers/learn-from.ts";
import type { MainNews } from "./workers/messages.ts";
import { WorkerPool } from "./workers/pool.ts";

/** Of an address of this kind; the system's own limit is 104 or 108 with the end mark. */
const MAX_SOCKET_PATH_BYTES = 100;
const SOCKET = "main.sock";
/** How often prices that were not known are looked for, and the protocol's clock is compared. */
const LOOK_MS = 250;
/** A stopped request waits for its provider's statement; and then, for a busy worker to say how it has ended. */
const STOP_SLACK_MS = 3_000;
const PROGRAM = programOf(import.meta.url, "worker");

export type WorkersParts = {
  readonly app: FastifyInstance;
  readonly gate: Gate;
  readonly served: Served;
  /** What `app` knows workers by. */
  readonly secret: string;
};

/** A relay on all cores: workers serve clients, and this process keeps the books for them. */
export class Workers {
  readonly #config: RelayConfig;
  readonly #parts: RelayParts;
  readonly #front: Front;
  #pool: WorkerPool | undefined;
  #folder: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(config: RelayConfig, parts: RelayParts) {
    this.#config = config;
    this.#parts = parts;
    this.#front = new Front(config.http);
  }

  /** Where clients connect. */
  get address(): AddressInfo {
    return this.#front.address;
  }

  tell<K extends keyof MainNews & string>(name: K, news: MainNews[K]): void {
    this.#pool?.tell(name, news);
  }

  /** Resolves when all workers take connections. Throws `port_in_use`, `config_invalid`, or an Error. */
  async start({ app, gate, served, secret }: WorkersParts): Promise<void> {
    const { keys, desk, offers, inFlight, routing, metrics } = served;
    const { log, credit } = this.#parts;
    const onFlag = flagging(this.#parts);
    const mainSocket = await this.#openSocket(app);
    const pool = await WorkerPool.start({
      ...{ program: PROGRAM, count: this.#config.workers, log },
      start: this.#startOf({ mainSocket, secret }),
      books: {
        ...{ gate, desk, keys, inFlight, choosing: { offers, credit, now: Date.now } },
        onRefusal: (code) => metrics.onRefusal(code),
        onCounted: (news) => {
          if ("flag" in news) onFlag(news, news.flag);
          else metrics.onCount(news.result);
        },
        onCommit: ({ terms }, outcome) => {
          for (const news of learnFrom(routing, terms, outcome, Date.now())) this.tell("ejected", news);
        },
      },
      onSticky: ({ name, providerId }) => routing.sessions.learn(name, providerId, Date.now()),
      greetings: () => ({ offers: offers.byProvider(), behind: this.#behind() }),
      onLeft: (address) => this.#front.leave(address),
    });
    this.#pool = pool;
    inFlight.heard = () => pool.heard();
    let told = this.#behind();
    this.#timer = setInterval(() => {
      offers.refresh();
      const behind = this.#behind();
      if (behind !== told) pool.tell("behind", behind);
      told = behind;
    }, LOOK_MS);
    const { host, port } = this.#config.http;
    await this.#front.listen(pool, { host, port });
  }

  /** Ends what runs: what was delivered is billed. Those that cannot say so end without. */
  stop(): void {
    this.#pool?.stop(this.#config.serving.stopWaitMs + STOP_SLACK_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#front.close();
    await this.#pool?.close();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  /** This process answers workers where nobody else of this machine may connect: folder and socket are its user's alone. */
  async #openSocket(app: FastifyInstance): Promise<string> {
    if (process.platform === "win32") {
      const pipe = `\\\\.\\pipe\\aimo-relay-${process.pid}-${Date.now()}`;
      await app.listen({ path: pipe });
      return pipe;
    }
    this.#folder = await makeFolder(this.#config.dataFolder);
    const path = join(this.#folder, SOCKET);
    await app.listen({ path });
    await chmod(path, 0o600);
    return path;
  }

  #startOf(doors: Pick<WorkerStart, "mainSocket" | "secret">): WorkerStart {
    const { http, serving, upstream, tiers, hooks, logLevel } = this.#config;
    const { relayId, privateKey, deployment } = this.#parts;
    return {
      config: { http, serving, upstream, tiers, hooks, logLevel },
      ...{ relayId, privateKey, ...doors, processes: processesOf(this.#config) },
      ...{ chainId: deployment.chainId, settlement: deployment.contracts.settlement },
    };
  }

  #behind(): number {
    return Math.floor(Date.now() / 1_000) - this.#parts.protocolNow();
  }
}

/** A new folder that only this user may enter, so that nobody comes before the socket's own rights are set. */
async function makeFolder(dataFolder: string): Promise<string> {
  const beside = join(dataFolder, "workers");
  if (dataFolder === "memory" || Buffer.byteLength(join(beside, SOCKET)) > MAX_SOCKET_PATH_BYTES)
    return mkdtemp(join(tmpdir(), "aimo-relay-"));
  // What a relay that was killed has left; nobody else has this folder open.
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { mode: 0o700 });
  return beside;
}
