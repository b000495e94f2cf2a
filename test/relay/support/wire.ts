import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A cable between a relay and a provider: the test sees what goes to the provider, and may cut it. */
export type Wire = {
  readonly url: string;
  /** First lines of the HTTP requests so far, as far as each began a chunk. */
  readonly asked: string[];
  /** Leads new connections elsewhere. */
  lead(url: string): void;
  /** Cuts connections that carry streams. */
  cutStreams(): void;
  close(): Promise<void>;
};

export async function startWire(target: string): Promise<Wire> {
  const asked: string[] = [];
  const open = new Map<Socket, boolean>();
  let { port } = new URL(target);
  const server = createServer({ noDelay: true }, (socket) => {
    const onward = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
    open.set(socket, false);
    socket.on("data", (chunk: Buffer) => {
      const [line] = /^(GET|POST) \/aimo[^\r]*/.exec(chunk.toString("latin1")) ?? [];
      if (line) asked.push(line);
      if (line?.includes("/stream ")) open.set(socket, true);
      onward.write(chunk);
    });
    onward.on("data", (chunk: Buffer) => socket.write(chunk));
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on("error", () => {});
      one.once("close", () => other.destroy());
    }
    socket.once("close", () => open.delete(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    lead: (url) => {
      port = new URL(url).port;
    },
    cutStreams: () => {
      for (const [socket, carriesStreams] of open) if (carriesStreams) socket.destroy();
    },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of open.keys()) socket.destroy();
      await closed;
    },
  };
}
