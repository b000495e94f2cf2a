import { AimoError } from "@aimo/protocol/errors";
import hre from "hardhat";

/** Chain id of local networks. */
export const LOCAL_CHAIN_ID = 31337;

export type LocalChain = { readonly url: string; close(): Promise<void> };

/**
 * A Hardhat network in this process, served on loopback. It mines each transaction at once in a block of the same
 * timestamp and one block a second besides, so that its clock keeps step with the wall clock.
 */
export async function startChain(options: { readonly port: number }): Promise<LocalChain> {
  const server = await hre.network.createServer(
    {
      network: "default",
      override: {
        chainId: LOCAL_CHAIN_ID,
        allowBlocksWithSameTimestamp: true,
        mining: { auto: true, interval: 1000 },
      },
    },
    "127.0.0.1",
    options.port,
  );
  try {
    const { address, port } = await server.listen();
    return { url: `http://${address}:${port}`, close: () => server.close() };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE" && !String(cause).includes("EADDRINUSE"))
      throw cause;
    throw new AimoError("port_in_use", {
      cause,
      message: `Port ${options.port} on 127.0.0.1, for the local chain, is used by another program.`,
      param: "port",
    });
  }
}
