import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { depthOf } from "@aimo/protocol/bytes";
import type { Deployment } from "@aimo/protocol/deployment";
import { openSum } from "@aimo/protocol/tree";
import type { Address } from "viem";
import { AimoClient } from "../client.ts";
import { AimoError } from "../errors.ts";
import type { RequestRecord } from "../records.ts";
import { readAccount } from "./account.ts";
import { type BillResult, checkBill } from "./bill.ts";
import { readFacts } from "./facts.ts";
import { checkLine, type Finding } from "./line.ts";
import { type Proof, parseProof, ShapeError } from "./parse.ts";
import { checkRecords } from "./records.ts";
import { checkUserLeaf, nodeOfLine } from "./row.ts";
import { requireSameChain } from "./same-chain.ts";
import { asking, openSnapshot, type Snapshot } from "./snapshot.ts";
import type { ChainFacts, PostedRow, Problem } from "./types.ts";

export type VerifyParameters = {
  /** The user's own RPC endpoint: the one thing that is trusted. */
  readonly rpcUrl: string;
  /** The contracts, from a source other than the relay. */
  readonly deployment: Pick<Deployment, "chainId" | "contracts" | "deployedAtBlock">;
  /** The relay's address with `/v1`. */
  readonly relayUrl: string;
  /** An API key of the account, or a session token. */
  readonly apiKey: string;
  /** The account's wallet: its user id is read from the chain. */
  readonly owner?: Address | undefined;
  /** Default: of `owner`; without either, what the relay says, which hides another user's account at most. */
  readonly userId?: number | undefined;
  /** Default: what the relay says of itself. */
  readonly relayId?: number | undefined;
  /** What the client kept of its requests (`records` of AimoClient). */
  readonly known?: readonly RequestRecord[] | undefined;
  readonly fetch?: typeof fetch | undefined;
};

export type GenerationResult = Pick<BillResult, "ok" | "relayId" | "userId" | "problems"> & {
  readonly id: string;
  readonly batchNo: bigint | undefined;
  readonly chargePusd: bigint | undefined;
};

type Scene = {
  readonly client: AimoClient;
  readonly snapshot: Snapshot;
  readonly relayId: number;
  readonly userId: number;
  readonly facts: ChainFacts;
};

/**
 * Verifies everything that a relay has billed a user, included and complete, against the chain: every post's rows, the
 * user's leaf and each receipt under it, the provider's signature, price, fee and the request it is for. What the
 * relay says is only ever checked. Throws AimoError when chain or relay cannot be read; what is wrong with the bill is
 * in `problems`. Throws `wrong_chain` and `wrong_deployment` when the relay says that it settles elsewhere.
 */
export async function verifyBill(parameters: VerifyParameters): Promise<BillResult> {
  const scene = await openScene(parameters);
  const { client, snapshot, relayId, userId, facts } = scene;
  const account = await readAccount(snapshot, relayId, userId);
  const fetchBill = async (batchNo: bigint) => {
    try {
      return await client.settlements.retrieve(batchNo);
    } catch (error) {
      if (error instanceof AimoError && error.status === 404) return undefined;
      throw error;
    }
  };
  return checkBill({ userId, account, facts, fetchBill, known: parameters.known });
}

/**
 * Verifies one request's receipt: that it is signed, fairly priced and under the batch's root on the chain. Throws
 * `not_found` for an id that neither the relay nor `known` has, since nothing says that there was such a request, and
 * for one that `known` has of another account or relay.
 */
export async function verifyGeneration(
  parameters: VerifyParameters & { readonly id: string },
): Promise<GenerationResult> {
  const { id, known } = parameters;
  const scene = await openScene(parameters);
  const { client, snapshot, relayId, userId, facts } = scene;
  const account = await readAccount(snapshot, relayId, userId);
  const records = known?.filter((record) => record.id === id) ?? [];
  const proof = await readProof(client, id, { isKnown: records.length > 0 });
  if (typeof proof === "string") refuseForeign(records, scene);
  if (typeof proof === "string")
    return resultOf(scene, id, undefined, [{ kind: "unproven", id, detail: proof }]);
  const row = account.rows.find(({ batchNo, isSkipped }) => batchNo === proof.batchNo && !isSkipped);
  const detail = `Batch ${proof.batchNo} debits this user nothing on the chain.`;
  if (!row) return resultOf(scene, id, proof, [{ kind: "unproven", id, batchNo: proof.batchNo, detail }]);
  const finding = await checkProof(proof, row, facts, userId);
  const { line, leafIndex } = proof;
  const place = { batchNo: row.batchNo, row: row.rowIndex, leaf: leafIndex };
  const interval = [line.userCumulative - line.charge, line.userCumulative] as const;
  const problems: Problem[] = finding ? [{ ...finding, id, ...place, interval }] : [];
  const checked = checkRecords({ known: records, userId, lines: [line], problems, facts });
  return resultOf(scene, id, proof, checked.problems);
}

/** Without a proof, what the record says is what there is. */
function refuseForeign(records: readonly RequestRecord[], { relayId, userId }: Scene): void {
  const [record] = records;
  if (!record?.channel) return;
  const { relay, channel } = record;
  if (channel.user === userId && (relay === null || relay === relayId)) return;
  throw new AimoError("not_found", {
    message: `Request ${record.id} was made by user ${channel.user} at relay ${relay ?? relayId}; this is the bill of user ${userId} at relay ${relayId}.`,
    hint: "Verify with the key of its account, at its relay.",
    status: 404,
  });
}

function resultOf(
  { relayId, userId }: Scene,
  id: string,
  proof: Proof | undefined,
  problems: readonly Problem[],
): GenerationResult {
  const { batchNo, line } = proof ?? {};
  return { ok: problems.length === 0, id, relayId, userId, batchNo, chargePusd: line?.charge, problems };
}

async function readProof(
  client: AimoClient,
  id: string,
  { isKnown }: { readonly isKnown: boolean },
): Promise<Proof | string> {
  try {
    return parseProof(await client.proof(id));
  } catch (error) {
    if (error instanceof ShapeError) return `The relay's proof cannot be read: ${error.message}.`;
    if (error instanceof AimoError && error.status === 404) {
      // A relay that names a state knows the request; one in the records it must know.
      if (isKnown || error.metadata["state"] !== undefined)
        return `The relay shows no proof: ${error.message}`;
      throw new AimoError("not_found", {
        message: `The relay knows no request ${id} of this account, and the records have none either.`,
        hint: "Check the id, the API key and the relay.",
        status: 404,
        cause: error,
      });
    }
    throw error;
  }
}

async function checkProof(
  proof: Proof,
  row: PostedRow,
  facts: ChainFacts,
  userId: number,
): Promise<Finding | undefined> {
  const { line, leafIndex, leafPath, userLeaf } = proof;
  const leafFinding = checkUserLeaf(proof, { row, userId });
  if (leafFinding) return leafFinding;
  const node = nodeOfLine(line, userId, facts.separator);
  const opened = openSum(node, leafIndex, depthOf(userLeaf.count), leafPath);
  if (leafIndex >= userLeaf.count || opened?.root !== userLeaf.subRoot || opened.sum !== userLeaf.sum)
    return { kind: "altered", detail: "The receipt does not lead to the root on the chain." };
  if (userLeaf.cumStart + opened.prefix + line.charge !== line.userCumulative)
    return { kind: "dropped", detail: "The running total does not follow from the receipts before it." };
  return checkLine(line, { userId, row: { ...row, epoch: userLeaf.epoch }, facts });
}

async function openScene(parameters: VerifyParameters): Promise<Scene> {
  const { rpcUrl, deployment, relayUrl, apiKey } = parameters;
  const client = new AimoClient({ baseURL: relayUrl, apiKey, fetch: parameters.fetch });
  const snapshot = await openSnapshot({ rpcUrl, deployment });
  const identity = await client.wellKnown();
  await requireSameChain(identity, snapshot);
  const relayId = parameters.relayId ?? identity.relay.id;
  const userId = parameters.userId ?? (await findUser(parameters.owner, snapshot, client));
  return { client, snapshot, relayId, userId, facts: await readFacts(snapshot, relayId) };
}

async function findUser(owner: Address | undefined, snapshot: Snapshot, client: AimoClient): Promise<number> {
  if (owner) {
    const { deployment, blockNumber } = snapshot;
    const userId = await asking(() =>
      snapshot.client.readContract({
        address: deployment.contracts.vault,
        abi: creditVaultAbi,
        functionName: "userIdOf",
        args: [owner],
        blockNumber,
      }),
    );
    if (userId === 0)
      throw new AimoError("not_found", { message: `${owner} has no account on the chain.`, status: 0 });
    return userId;
  }
  const { aimo } = await client.credits();
  if (!aimo.channel)
    throw new AimoError("channel_exhausted", {
      message: "The account has no channel to this relay.",
      status: 0,
    });
  return aimo.channel.user;
}
