import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { listenError } from "@aimo/node/listen-error";
import { AddressCounts } from "../http/address-counts.ts";
import type { ConnectionSettings } from "../http/connections.ts";
import type { WorkerPool } from "./pool.ts";

/** Where clients connect: counts their connections for all workers, and gives each to one of them unread. */
export class Front {
  readonly #server: Server;
  readonly #counts: AddressCounts;
  readonly #most: number;
  #open = 0;
  #pool: WorkerPool | undefined;

  constructor(settings: ConnectionSettings) {
    this.#most = settings.maxConnections;
    this.#counts = new AddressCounts(settings);
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      const address = socket.remoteAddress ?? "";
      const verdict = this.#open >= this.#most ? "close" : this.#counts.enter(address);
      if (verdict === "close") {
        socket.destroy();
        return;
      }
      this.#open++;
      if (this.#pool?.take(socket, { address, isRefused: verdict === "refuse" })) return;
      this.leave(address);
      socket.destroy();
    });
  }

  /** Takes connections from now on. Throws `port_in_use` and `config_invalid`. */
  async listen(pool: WorkerPool, at: { host: string; port: number }): Promise<void> {
    this.#pool = pool;
    try {
      this.#server.listen(at);
      await once(this.#server, "listening");
    } catch (error) {
      throw listenError(error, at);
    }
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo;
  }

  /** A connection from this address has ended. */
  leave(address: string): void {
    this.#open--;
    this.#counts.leave(address);
  }

  /** Takes no more connections. Those that workers have stay with them. */
  close(): void {
    this.#server.close();
  }
}
