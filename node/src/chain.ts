import { protocolClockAbi } from "@aimo/protocol/abi/protocol-clock";
import { describeRpcError } from "@aimo/protocol/contract-errors";
import type { Deployment } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import type { Windows } from "@aimo/protocol/windows";
import {
  BaseError,
  ContractFunctionExecutionError,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  HttpRequestError,
  type HttpTransport,
  http,
  type PublicClient,
  TimeoutError,
  type Chain as ViemChain,
  type WalletClient,
} from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { type ClockReading, createProtocolTime, type ProtocolTime, readClock } from "./protocol-time.ts";

export type PublicChain = PublicClient<HttpTransport, ViemChain>;
export type ChainWallet = WalletClient<HttpTransport, ViemChain, PrivateKeyAccount>;

/** A node's connection to its chain, checked at start. */
export type Chain = {
  readonly public: PublicChain;
  /** Present when a key was given. Send through `createTransactions` only: it owns the account's nonces. */
  readonly wallet: ChainWallet | undefined;
  readonly deployment: Deployment;
  /** Where nodes read what they act on: `safe`, or `latest` on a local chain (protocol section 2). */
  readonly readAt: "safe" | "latest";
  readonly time: ProtocolTime;
};

export type ConnectParameters = {
  readonly rpcUrl: string;
  readonly deployment: Deployment;
  readonly privateKey?: Hex;
  /** Wall clock in milliseconds. */
  readonly now?: () => number;
};

/** Chain ids of local development chains, which know no safe block. */
const LOCAL_CHAIN_IDS: readonly number[] = [31_337];
const RPC_TIMEOUT_MS = 10_000;
/** How often a client asks for receipts and blocks. A local chain mines at once. */
const POLL_MS = { main: 2_000, local: 100 } as const;
/**
 * How far the wall clock may be from the latest block. `main`: above the longest usual gap between two blocks, and equal
 * to the 60 s that the contracts tolerate. `local`: a block comes each second; the rest is for a busy machine.
 */
export const MAX_CLOCK_SKEW_SECONDS = { main: 60, local: 20 } as const;

/**
 * Connects to a chain and makes sure that it is the right one.
 * Throws `chain_unavailable`, `wrong_chain` (its id), `wrong_deployment` (its genesis block, or no code at an address)
 * and `clock_skew`.
 */
export async function connectChain(parameters: ConnectParameters): Promise<Chain> {
  const { rpcUrl, deployment, privateKey, now = Date.now } = parameters;
  const endpoint = describeRpcUrl(rpcUrl);
  const { chainId, profile } = deployment;
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  });
  const transport = http(rpcUrl, { timeout: RPC_TIMEOUT_MS });
  const options = { chain, transport, pollingInterval: POLL_MS[profile] };
  const reader: PublicChain = createPublicClient(options);
  await asking(endpoint, () => checkChain(reader, deployment, endpoint));
  const reading = await asking(endpoint, () => checkClock(reader, deployment, now()));
  return {
    public: reader,
    wallet: privateKey && createWalletClient({ ...options, account: privateKeyToAccount(privateKey) }),
    deployment,
    readAt: readBlockOf(chainId),
    time: createProtocolTime({ client: reader, clock: deployment.contracts.clock, reading, now }),
  };
}

/** The block tag at which nodes read what they act on. */
export function readBlockOf(chainId: number): "safe" | "latest" {
  return LOCAL_CHAIN_IDS.includes(chainId) ? "latest" : "safe";
}

/** The number of the block that nodes may act on now. Throws `chain_unavailable`. */
export async function safeBlockNumber({
  public: reader,
  readAt,
}: Pick<Chain, "public" | "readAt">): Promise<bigint> {
  const { number } = await asking("The chain's RPC endpoint", () => reader.getBlock({ blockTag: readAt }));
  return number;
}

/** The protocol's windows, as its clock has them. Throws `chain_unavailable`. */
export async function readWindows({
  public: reader,
  deployment,
}: Pick<Chain, "public" | "deployment">): Promise<Windows> {
  const address = deployment.contracts.clock;
  return asking("The chain's RPC endpoint", () =>
    reader.readContract({ address, abi: protocolClockAbi, functionName: "windows" }),
  );
}

async function checkChain(reader: PublicChain, deployment: Deployment, endpoint: string): Promise<void> {
  const chainId = await reader.getChainId();
  if (chainId !== deployment.chainId)
    throw new AimoError("wrong_chain", {
      message: `${endpoint} serves chain ${chainId}; the deployment is on chain ${deployment.chainId}.`,
      details: { found: chainId, wanted: deployment.chainId },
    });
  const { hash } = await reader.getBlock({ blockNumber: 0n });
  if (hash.toLowerCase() !== deployment.genesisHash.toLowerCase())
    throw new AimoError("wrong_deployment", {
      message:
        `Chain ${chainId} at ${endpoint} starts with block ${hash}, the deployment's with ${deployment.genesisHash}: ` +
        "it is another chain with the same id, or was started afresh.",
      details: { found: hash, wanted: deployment.genesisHash },
    });
  const codes = Object.entries(deployment.contracts).map(
    async ([name, address]) => [name, address, await reader.getCode({ address })] as const,
  );
  for (const [name, address, code] of await Promise.all(codes))
    if (!code || code === "0x")
      throw new AimoError("wrong_deployment", {
        message: `There is no contract at ${address} (contracts.${name}) on chain ${chainId}.`,
        details: { contract: name, address },
      });
}

/** Refuses a clock that is off, and returns what the protocol's clock says. */
async function checkClock(
  reader: PublicChain,
  { profile, contracts }: Deployment,
  nowMs: number,
): Promise<ClockReading> {
  const block = await reader.getBlock();
  const skew = Math.round(nowMs / 1000 - Number(block.timestamp));
  const limit = MAX_CLOCK_SKEW_SECONDS[profile];
  if (Math.abs(skew) > limit)
    throw new AimoError("clock_skew", {
      message:
        `This machine's clock is ${Math.abs(skew)} s ${skew > 0 ? "ahead of" : "behind"} the latest block ` +
        `(${block.number}); at most ${limit} s is allowed.`,
      details: { skewSeconds: skew, limitSeconds: limit, block: block.number },
    });
  try {
    return await readClock(reader, contracts.clock, block.number);
  } catch (error) {
    if (!(error instanceof ContractFunctionExecutionError) || error.walk(isConnectionFailure)) throw error;
    const message = `The contract at ${contracts.clock} (contracts.clock) does not answer as a protocol clock.`;
    throw new AimoError("wrong_deployment", { message });
  }
}

function isConnectionFailure(error: unknown): boolean {
  return error instanceof HttpRequestError || error instanceof TimeoutError;
}

/** Runs RPC calls; viem's failures become `chain_unavailable`, everything else passes. */
export async function asking<T>(endpoint: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof BaseError)) throw error;
    // No `cause`: viem's errors carry the URL, and with it the operator's API key, into every log.
    throw new AimoError("chain_unavailable", {
      message: `${endpoint} cannot be used: ${describeRpcError(error)}`,
    });
  }
}

/** The endpoint without path, query and user: RPC URLs carry API keys there. */
export function describeRpcUrl(rpcUrl: string): string {
  const url = URL.parse(rpcUrl);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new AimoError("config_invalid", { message: "The RPC URL is not an http or https URL." });
  return url.origin;
}
