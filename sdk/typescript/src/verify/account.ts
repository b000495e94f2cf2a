import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { skippedHash } from "@aimo/protocol/batches";
import { toBytes } from "@aimo/protocol/bytes";
import { type DebitRow, decodeRows, type PostHeader, type Rows, rowsHash } from "@aimo/protocol/rows";
import { decodeFunctionData, type Hex, isAddressEqual } from "viem";
import { asking, mapSome, readEvents, type Snapshot } from "./snapshot.ts";
import type { AccountOnChain, PostedRow, Problem } from "./types.ts";

/** Where an event stands in the chain. */
type Position = { readonly blockNumber: bigint; readonly logIndex: number };
type PostedLog = Awaited<ReturnType<typeof readPosts>>[number];

/** Everything the chain says of a user's account at a relay. Throws `chain_unavailable`. */
export async function readAccount(
  snapshot: Snapshot,
  relayId: number,
  userId: number,
): Promise<AccountOnChain> {
  const { client, deployment, blockNumber } = snapshot;
  const address = deployment.contracts.settlement;
  const posts = await readPosts(snapshot, relayId);
  const opened = await readEvents(snapshot, (range) =>
    client.getContractEvents({
      address,
      abi: settlementAbi,
      eventName: "ChannelOpened",
      args: { relayId, userId },
      ...range,
      strict: true,
    }),
  );
  const skips = await readSkips(snapshot, relayId);
  const batches = await mapSome(posts, (post) =>
    readBatch(snapshot, post, skips.get(post.args.batchNo) ?? []),
  );
  const channel = await asking(() =>
    client.readContract({
      address,
      abi: settlementAbi,
      functionName: "channelOf",
      args: [relayId, userId],
      blockNumber,
    }),
  );
  const rows = batches.flatMap((batch, index): PostedRow[] => {
    const post = posts[index];
    if (!post || "kind" in batch) return [];
    // metered rows, then signed ones; a channel's mode puts its user into one of both
    const userRows: readonly DebitRow[] = [...batch.rows.metered, ...batch.rows.signed];
    const rowIndex = userRows.findIndex((row) => row.userId === userId);
    const row = userRows[rowIndex];
    if (!row) return [];
    const { cumEnd, delta } = row;
    const { batchNo, postedAt } = post.args;
    const epoch = opened.findLast((event) => isBefore(event, post))?.args.epoch ?? 0;
    const isSkipped = batch.skipped.includes(userId);
    const place = { batchNo, transaction: post.transactionHash, postedAt, header: batch.header, rowIndex };
    const opening = epoch === channel.epoch ? { openedAt: channel.openedAt } : {};
    return [{ ...place, cumEnd, delta, epoch, ...opening, isSkipped }];
  });
  const problems = [
    ...batches.flatMap((batch) => ("kind" in batch ? [batch] : [])),
    ...missingBatches(posts),
  ];
  return { rows, channel: { epoch: channel.epoch, spent: channel.spent }, problems };
}

function isBefore(a: Position, b: Position): boolean {
  return a.blockNumber < b.blockNumber || (a.blockNumber === b.blockNumber && a.logIndex < b.logIndex);
}

function readPosts(snapshot: Snapshot, relayId: number) {
  const address = snapshot.deployment.contracts.settlement;
  return readEvents(snapshot, (range) =>
    snapshot.client.getContractEvents({
      address,
      abi: settlementAbi,
      eventName: "Posted",
      args: { relayId },
      ...range,
      strict: true,
    }),
  );
}

/** Skipped user ids of each batch, in row order. */
async function readSkips(
  snapshot: Snapshot,
  relayId: number,
): Promise<ReadonlyMap<bigint, readonly number[]>> {
  const address = snapshot.deployment.contracts.settlement;
  const skips = await readEvents(snapshot, (range) =>
    snapshot.client.getContractEvents({
      address,
      abi: settlementAbi,
      eventName: "RowSkipped",
      args: { relayId },
      ...range,
      strict: true,
    }),
  );
  const byBatch = new Map<bigint, number[]>();
  for (const { args } of skips)
    byBatch.set(args.batchNo, [...(byBatch.get(args.batchNo) ?? []), args.userId]);
  return byBatch;
}

/** Batch numbers run from 0 without a hole: an endpoint that leaves events out shows here. */
function missingBatches(posts: readonly PostedLog[]): Problem[] {
  return posts.flatMap(({ args }, index): Problem[] => {
    if (args.batchNo === BigInt(index)) return [];
    const detail = `The RPC endpoint gave batch ${args.batchNo} where batch ${index} must be.`;
    return [{ kind: "incomplete", batchNo: BigInt(index), detail }];
  });
}

type Batch = {
  readonly header: PostHeader;
  readonly rows: Required<Rows>;
  readonly skipped: readonly number[];
};

/** Rows of a batch out of its transaction, held to what the contract said of them. */
async function readBatch(
  snapshot: Snapshot,
  post: PostedLog,
  skipped: readonly number[],
): Promise<Batch | Problem> {
  const { batchNo } = post.args;
  const failed = (detail: string): Problem => ({ kind: "incomplete", batchNo, detail });
  const { input, to } = await asking(() => snapshot.client.getTransaction({ hash: post.transactionHash }));
  if (!to || !isAddressEqual(to, snapshot.deployment.contracts.settlement))
    return failed(
      "The batch was posted through another contract: its rows cannot be read from the transaction.",
    );
  const call = decodePost(input);
  if (!call || call.relayId !== post.args.relayId || call.header.batchNo !== batchNo)
    return failed("The transaction is not the post that its event speaks of.");
  const { header, data } = call;
  const rows = decodeOrUndefined(data, header);
  if (!rows) return failed("The transaction's rows cannot be read.");
  const left = new Set(skipped);
  const debited = (section: readonly DebitRow[]) =>
    section.reduce((sum, row) => (left.has(row.userId) ? sum : sum + row.delta), 0n);
  const agrees =
    rowsHash(data, header) === post.args.rowsHash &&
    skippedHash(skipped) === post.args.skippedHash &&
    header.receiptsRoot === post.args.receiptsRoot &&
    header.receiptsSum === post.args.receiptsSum &&
    debited(rows.metered) === post.args.debitA &&
    debited(rows.signed) === post.args.debitB;
  return agrees
    ? { header, rows, skipped }
    : failed("The transaction's rows are not those that the event commits to.");
}

function decodePost(input: Hex): { relayId: number; header: PostHeader; data: Uint8Array } | undefined {
  try {
    const { functionName, args } = decodeFunctionData({ abi: settlementAbi, data: input });
    if (functionName !== "post") return undefined;
    const [relayId, header, rows] = args;
    return { relayId, header, data: toBytes(rows) };
  } catch {
    // Calldata of no function of the contract.
    return undefined;
  }
}

function decodeOrUndefined(data: Uint8Array, header: PostHeader): Required<Rows> | undefined {
  try {
    return decodeRows(data, header);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
