import { once } from "node:events";
import { createServer } from "node:net";
import { listenError } from "@aimo/node/listen-error";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import hre from "hardhat";

/** Chain id of local networks. */
const LOCAL_CHAIN_ID = 31337;

const HOST = "127.0.0.1";

export type LocalChain = { readonly url: string; close(): Promise<void> };

/**
 * A Hardhat network in this process, served on loopback. It mines each transaction at once in a block of the same
 * timestamp and one block a second besides, so that its clock keeps step with the wall clock. Throws `port_in_use`.
 */
export async function startChain(options: { readonly port: number }): Promise<LocalChain> {
  await requirePort(options.port);
  const server = await hre.network.createServer(
    {
      network: "default",
      override: {
        chainId: LOCAL_CHAIN_ID,
        allowBlocksWithSameTimestamp: true,
        mining: { auto: true, interval: 1000 },
      },
    },
    HOST,
    options.port,
  );
  const { address, port } = await server.listen();
  return { url: `http://${address}:${port}`, close: () => server.close() };
}

/** Hardhat's server throws past its caller when its port is taken, so ports are tried first. Throws `port_in_use`. */
export async function requirePort(port: number, host: string = HOST): Promise<void> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, "listening");
  } catch (error) {
    const known = listenError(error, { host, port });
    if (!isAimoError(known) || known.code !== "port_in_use") throw known;
    const { message, details, cause } = known;
    const hint = "Choose other ports with --port-base, or stop that program.";
    throw new AimoError("port_in_use", { message, details, cause, hint });
  }
  probe.close();
  await once(probe, "close");
}
