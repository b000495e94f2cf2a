import hre from "hardhat";
import {
  type Abi,
  type Address,
  BaseError,
  createTestClient,
  encodeFunctionData,
  type Hex,
  http,
  publicActions,
  type TransactionReceipt,
  walletActions,
} from "viem";
import { hardhat } from "viem/chains";

/** Most gas that a transaction may use. Source: EIP-7825. */
export const TRANSACTION_GAS = 2n ** 24n;
/** Every run begins here, so that no figure hangs on the day. */
const START = new Date("2026-01-01T00:00:00Z");
/** Deploying goes by the wall clock; what is measured begins after it, at a second that is always the same. */
const FIRST_SECOND = START.getTime() / 1_000 + 86_400;

export type Call = {
  readonly address: Address;
  readonly abi: Abi | readonly unknown[];
  readonly functionName: string;
  readonly args: readonly unknown[];
};

export type BenchChain = Awaited<ReturnType<typeof startBenchChain>>;

/** A Hardhat network in this process whose clock stands until it is told to go on. */
export async function startBenchChain() {
  const server = await hre.network.createServer(
    {
      network: "default",
      override: { chainId: hardhat.id, allowBlocksWithSameTimestamp: true, initialDate: START },
    },
    "127.0.0.1",
    0,
  );
  const { address, port } = await server.listen();
  const rpcUrl = `http://${address}:${port}`;
  const client = createTestClient({ chain: hardhat, transport: http(rpcUrl), mode: "hardhat" })
    .extend(publicActions)
    .extend(walletActions);
  let time = FIRST_SECOND;

  /** Sends one transaction in a block of its own. Throws with the contract's reason when it reverts. */
  async function sendData(from: Address, to: Address, data: Hex): Promise<TransactionReceipt> {
    await client.setNextBlockTimestamp({ timestamp: BigInt(time) });
    const hash = await client
      .sendTransaction({ account: from, to, data, gas: TRANSACTION_GAS })
      .catch((error: unknown) => {
        // viem's message has all of the calldata in it
        const details = error instanceof BaseError ? error.details : String(error);
        throw new Error(`A transaction to ${to} was refused: ${details}`);
      });
    const receipt = await client.getTransactionReceipt({ hash });
    if (receipt.status !== "success") throw new Error(`Transaction ${hash} to ${to} reverted.`);
    return receipt;
  }

  return {
    rpcUrl,
    client,
    sendData,
    send: (from: Address, { address: to, ...call }: Call) =>
      sendData(from, to, encodeFunctionData(call as never)),
    /** Seconds of block time, which is protocol time: nobody pauses here. */
    now: () => time,
    skip(seconds: number) {
      time += seconds;
    },
    close: () => server.close(),
  };
}
