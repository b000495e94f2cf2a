import type { Deployment } from "@aimo/protocol/deployment";
import { createPublicClient, http, type PublicClient } from "viem";
import { AimoError } from "../errors.ts";

/** A deployment as of one block, so that everything read of it belongs together. */
export type Snapshot = {
  readonly client: PublicClient;
  readonly deployment: Pick<Deployment, "chainId" | "contracts" | "deployedAtBlock">;
  readonly blockNumber: bigint;
};

export type OpenSnapshotParameters = {
  readonly rpcUrl: string;
  readonly deployment: Pick<Deployment, "chainId" | "contracts" | "deployedAtBlock">;
};

const RPC_TIMEOUT_MS = 20_000;

/**
 * Connects to a chain at its safe block, or the latest one where a chain knows none.
 * Throws `chain_unavailable`, `wrong_chain`, `wrong_deployment`.
 */
export async function openSnapshot({ rpcUrl, deployment }: OpenSnapshotParameters): Promise<Snapshot> {
  const client = createPublicClient({ transport: http(rpcUrl, { timeout: RPC_TIMEOUT_MS }) });
  const chainId = await asking(() => client.getChainId());
  if (chainId !== deployment.chainId)
    throw new AimoError("wrong_chain", {
      message: `The RPC endpoint serves chain ${chainId}; the deployment is on chain ${deployment.chainId}.`,
      status: 0,
    });
  const address = deployment.contracts.settlement;
  if (!(await asking(() => client.getCode({ address }))))
    throw new AimoError("wrong_deployment", {
      message: `There is no settlement contract at ${address} on chain ${chainId}.`,
      status: 0,
    });
  const safe = await client.getBlock({ blockTag: "safe" }).catch(() => undefined);
  const block = safe ?? (await asking(() => client.getBlock()));
  return { client, deployment, blockNumber: block.number };
}

/** Runs a read of the chain; a failure of the connection becomes `chain_unavailable`. */
export async function asking<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof AimoError) throw cause;
    // The whole message may hold the RPC URL with its key.
    const reason =
      cause instanceof Error && "shortMessage" in cause ? String(cause.shortMessage) : "no answer";
    throw new AimoError("chain_unavailable", {
      message: `The chain cannot be read: ${reason}`,
      status: 0,
      cause,
    });
  }
}

/** First size of a query for events; endpoints limit it to different numbers, so it is halved when refused. */
const BLOCKS_PER_QUERY = 50_000n;
const FEWEST_BLOCKS_PER_QUERY = 100n;

/** Events of the whole life of the deployment, in order. */
export async function readEvents<T>(
  { deployment, blockNumber }: Snapshot,
  read: (range: { readonly fromBlock: bigint; readonly toBlock: bigint }) => Promise<readonly T[]>,
): Promise<T[]> {
  const found: T[] = [];
  let size = BLOCKS_PER_QUERY;
  let fromBlock = BigInt(deployment.deployedAtBlock);
  while (fromBlock <= blockNumber) {
    const last = fromBlock + size - 1n;
    const toBlock = last < blockNumber ? last : blockNumber;
    try {
      found.push(...(await read({ fromBlock, toBlock })));
      fromBlock = toBlock + 1n;
    } catch (error) {
      if (size <= FEWEST_BLOCKS_PER_QUERY) return asking(() => Promise.reject(error));
      size /= 2n;
    }
  }
  return found;
}

/** Reads at a time: endpoints limit requests per second. */
const PARALLEL_READS = 8;

/** `run` for each item, a few at a time; results in the order of the items. */
export async function mapSome<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += PARALLEL_READS)
    results.push(...(await Promise.all(items.slice(at, at + PARALLEL_READS).map(run))));
  return results;
}
