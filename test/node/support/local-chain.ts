import type { Deployment } from "@aimo/protocol/deployment";
import hre from "hardhat";
import {
  type Address,
  createTestClient,
  createWalletClient,
  type Hex,
  http,
  publicActions,
  type TestClient,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";

/** First account of Hardhat's public test mnemonic. */
export const RICH_KEY: Hex = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/** Answers every call with the block's timestamp: a protocol clock that was never paused. */
const CLOCK_CODE = "425f5260205ff3";
/** Reverts with the calldata it gets, so a test chooses the contract's error. */
const REVERT_CODE = "365f5f37365ffd";
/** Reverts while it has a balance, so a test can spring it between the simulation and the transaction. */
const TRAP_CODE = "47156008575f5ffd5b00";

export type TestChain = {
  readonly url: string;
  readonly deployment: Deployment;
  readonly reverter: Address;
  readonly trap: Address;
  readonly test: TestClient<"hardhat">;
  close(): Promise<void>;
};

/** A real Hardhat chain on loopback with stand-ins for the contracts that a node looks at while connecting. */
export async function startTestChain(): Promise<TestChain> {
  const server = await hre.network.createServer(
    {
      network: "default",
      override: {
        chainId: 31_337,
        allowBlocksWithSameTimestamp: true,
        mining: { auto: true, interval: 1_000 },
      },
    },
    "127.0.0.1",
    0,
  );
  const { address, port } = await server.listen();
  const url = `http://${address}:${port}`;
  const options = { chain: hardhat, transport: http(url) };
  const test = createTestClient({ ...options, mode: "hardhat" });
  const clock = await deploy(url, CLOCK_CODE);
  const { hash } = await test.extend(publicActions).getBlock({ blockNumber: 0n });
  return {
    url,
    deployment: {
      chainId: 31_337,
      genesisHash: hash,
      deployedAtBlock: 1,
      profile: "local",
      contracts: {
        clock,
        accessManager: clock,
        reserves: clock,
        fraudProofs: clock,
        depositRouter: clock,
        lens: clock,
        token: clock,
        vault: clock,
        registry: clock,
        stakeManager: clock,
        settlement: clock,
      },
    },
    reverter: await deploy(url, REVERT_CODE),
    trap: await deploy(url, TRAP_CODE),
    test,
    close: () => server.close(),
  };
}

async function deploy(url: string, code: string): Promise<Address> {
  const account = privateKeyToAccount(RICH_KEY);
  const wallet = createWalletClient({ account, chain: hardhat, transport: http(url) }).extend(publicActions);
  const size = (code.length / 2).toString(16).padStart(2, "0");
  // Copies what follows these ten bytes into memory and returns it.
  const hash = await wallet.sendTransaction({ data: `0x60${size}600a5f3960${size}5ff3${code}` });
  const { contractAddress } = await wallet.waitForTransactionReceipt({ hash });
  if (!contractAddress) throw new Error("The stand-in contract was not deployed.");
  return contractAddress;
}
