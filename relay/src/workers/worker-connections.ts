import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { ConnectionVerdict } from "../http/address-counts.ts";
import type { ConnectionJudge } from "../http/connections.ts";
import type { ClientConnection } from "./messages.ts";

/** The connections that the main process gives to this one. */
export class WorkerConnections {
  readonly #onLeft: (address: string) => void;
  readonly #verdicts = new WeakMap<Socket, ConnectionVerdict>();
  #server: Server | undefined;

  /** `onLeft`: told of each that has ended, with its address as the main process said it. */
  constructor(onLeft: (address: string) => void) {
    this.#onLeft = onLeft;
  }

  /** What the main process decided of it. */
  readonly judge: ConnectionJudge = (socket) => this.#verdicts.get(socket) ?? "take";

  /** Lets a server, which listens to nobody itself, serve them. */
  serve(server: Server): void {
    // Node's server begins to look after slow connections when it listens; these come to it another way.
    server.emit("listening");
    this.#server = server;
  }

  /** `socket`: undefined when its client was gone before it arrived here. */
  take({ address, isRefused }: ClientConnection, socket: Socket | undefined): void {
    if (!socket || !this.#server) {
      socket?.destroy();
      this.#onLeft(address);
      return;
    }
    socket.once("close", () => this.#onLeft(address));
    this.#verdicts.set(socket, isRefused ? "refuse" : "take");
    this.#server.emit("connection", socket);
  }
}
