import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { toBytes } from "@aimo/protocol/bytes";
import type { Deployment } from "@aimo/protocol/deployment";
import type { PostedRows } from "@aimo/protocol/proofs";
import { decodeFunctionData, type PublicClient } from "viem";

type Which = { readonly deployment: Deployment; readonly batchNo: bigint; readonly relayId?: number };

/** A batch without skipped rows as anybody reads it: its event and its calldata. */
export async function readPosted(client: PublicClient, { deployment, batchNo, relayId }: Which) {
  const [event] = await client.getContractEvents({
    address: deployment.contracts.settlement,
    abi: settlementAbi,
    eventName: "Posted",
    args: relayId === undefined ? { batchNo } : { relayId, batchNo },
    fromBlock: 0n,
    strict: true,
  });
  if (!event) throw new Error("Nothing was posted.");
  const { input } = await client.getTransaction({ hash: event.transactionHash });
  const { functionName, args } = decodeFunctionData({ abi: settlementAbi, data: input });
  if (functionName !== "post") throw new Error("It was not posted by a post.");
  const { rowsHash, skippedHash, postedAt, debitA } = event.args;
  const batch = { header: args[1], rowsHash, skippedHash, postedAt, debitA };
  const posted: PostedRows = { relayId: args[0], batch, data: toBytes(args[2]), skipped: [] };
  return { posted, block: event.blockNumber };
}
