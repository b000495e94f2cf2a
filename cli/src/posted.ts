import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { toBytes } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import type { PostedRows } from "@aimo/protocol/proofs";
import { decodeRows } from "@aimo/protocol/rows";
import { decodeFunctionData, type Hex } from "viem";
import { ask } from "./read.ts";
import type { Wallet } from "./wallet.ts";

type Blocks = { readonly fromBlock: bigint; readonly toBlock: bigint };

/** Endpoints answer for some thousand blocks at once. */
const BLOCKS_PER_QUERY = 10_000n;

/** The first thing that `read` finds, newest blocks first; undefined when the deployment's whole life has none. */
export async function findBackwards<T>(
  { chain }: Pick<Wallet, "chain">,
  read: (blocks: Blocks) => Promise<T | undefined>,
): Promise<T | undefined> {
  const first = BigInt(chain.deployment.deployedAtBlock);
  for (let toBlock = await ask(() => chain.public.getBlockNumber()); toBlock >= first; ) {
    const lowest = toBlock - BLOCKS_PER_QUERY + 1n;
    const fromBlock = lowest > first ? lowest : first;
    const blocks = { fromBlock, toBlock };
    const found = await ask(() => read(blocks));
    if (found !== undefined) return found;
    toBlock = fromBlock - 1n;
  }
  return undefined;
}

/** A batch as it was posted, out of its event and its transaction. Throws `not_found`. */
export async function readPosted(
  wallet: Pick<Wallet, "chain">,
  { relayId, batchNo }: { readonly relayId: number; readonly batchNo: bigint },
): Promise<PostedRows> {
  const { public: reader, deployment } = wallet.chain;
  const address = deployment.contracts.settlement;
  const query = { address, abi: settlementAbi, args: { relayId, batchNo }, strict: true } as const;
  const event = await findBackwards(wallet, async (blocks) => {
    const [found] = await reader.getContractEvents({ ...query, ...blocks, eventName: "Posted" });
    return found;
  });
  if (!event) throw notFound(`Relay ${relayId} posted no batch ${batchNo}.`);
  const { blockNumber, transactionHash } = event;
  const blocks = { fromBlock: blockNumber, toBlock: blockNumber };
  const skips = await ask(() => reader.getContractEvents({ ...query, ...blocks, eventName: "RowSkipped" }));
  const { input } = await ask(() => reader.getTransaction({ hash: transactionHash }));
  const { header, data } = readPost(input, batchNo);
  const { rowsHash, skippedHash, postedAt, debitA } = event.args;
  const batch = { header, rowsHash, skippedHash, postedAt, debitA };
  return { relayId, batch, data, skipped: skips.map(({ args }) => args.userId) };
}

function readPost(input: Hex, batchNo: bigint) {
  const { functionName, args } = decodeFunctionData({ abi: settlementAbi, data: input });
  if (functionName !== "post") throw notFound(`Batch ${batchNo} was posted through another contract.`);
  const [, header, rows] = args;
  return { header, data: toBytes(rows) };
}

/** Index of a user's row in a batch: metered rows come first. Throws `not_found`. */
export function rowOf({ batch, data }: PostedRows, userId: number): number {
  const { metered, signed } = decodeRows(data, batch.header);
  const row = [...metered, ...signed].findIndex((each) => each.userId === userId);
  if (row >= 0) return row;
  throw notFound(`Batch ${batch.header.batchNo} has no row of user ${userId}.`);
}

const notFound = (message: string) =>
  new AimoError("not_found", { message, hint: "`aimo bill verify` names batches and receipts." });
