import { fraudProofsAbi } from "@aimo/protocol/abi/fraud-proofs";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { commitOf } from "@aimo/protocol/batches";
import { type BilledLine, billedUserOf, type SettlementBill, shownOf } from "@aimo/protocol/bill";
import { toHex } from "@aimo/protocol/bytes";
import { demandBond } from "@aimo/protocol/penalties";
import {
  badReceiptArguments,
  demandArguments,
  demandId,
  duplicateArguments,
  equivocationArguments,
  foreignRequestArguments,
  type Place,
  type PostedRows,
  providerFraudArguments,
  rowMismatchArguments,
  runningTotalArguments,
} from "@aimo/protocol/proofs";
import { billedDigest, usageDigest } from "@aimo/protocol/receipts";
import { receiptFromJson } from "@aimo/protocol/session";
import { PROFILES } from "@aimo/protocol/windows";
import { expect } from "chai";
import {
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  http,
  type PublicClient,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { ACCOUNT, localPrivateKey, localWallet } from "../../scripts/local/wallets.ts";
import { makeEntry, PRICES } from "../sdk/bill-builder.ts";
import { type ChainWorld, PROVIDER_SIGNER, RELAY_SIGNER, startChainWorld } from "../sdk/chain-world.ts";
import { readPosted } from "./read-posted.ts";

/**
 * What is built here against what the contract takes. Proofs are tried on the block of the post, so that no clock runs:
 * a proof that goes through there is one that convicts.
 */
describe("protocol/proofs, against a chain", function () {
  this.timeout(120_000);
  let world: ChainWorld;
  let client: PublicClient;
  let posted: PostedRows;
  let block: bigint;
  let bills: readonly SettlementBill[];

  before(async () => {
    world = await startChainWorld();
    client = createPublicClient({ transport: http(world.rpcUrl) });
    bills = await world.post(0n, await falseBatch(world));
    ({ posted, block } = await readPosted(client, { deployment: world.deployment, batchNo: 0n }));
  });
  after(() => world?.close());

  /** A place of the batch, and the receipt that stands there. */
  function at(row: number, index: number) {
    const bill = bills[row];
    const line = bill?.lines[index];
    const shown = bill && shownOf(bill, index);
    if (!line || !shown) throw new RangeError(`No receipt ${index} of row ${row}.`);
    const place: Place = { posted, row, index, billed: billedUserOf(bill, world.separator) };
    return { place, line, shown };
  }

  type Call = Omit<Parameters<PublicClient["simulateContract"]>[0], "address" | "abi">;

  /** "" when the contract takes the proof, else the name of its error. */
  async function tried(functionName: string, args: readonly unknown[]): Promise<string> {
    const challenger: Address = localWallet(world.rpcUrl, ACCOUNT.user + 1).account.address;
    const call = { functionName, args, account: challenger, blockNumber: block } as Call;
    try {
      await client.simulateContract({
        ...call,
        address: world.deployment.contracts.fraudProofs,
        abi: fraudProofsAbi,
      } as never);
      return "";
    } catch (error) {
      const found =
        error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError);
      if (found instanceof ContractFunctionRevertedError) return found.data?.errorName ?? found.shortMessage;
      throw error;
    }
  }

  it("knows the commit of the batch", async () => {
    const { settlement } = world.deployment.contracts;
    const args = [posted.relayId, 0n] as const;
    const commit = await client.readContract({
      address: settlement,
      abi: settlementAbi,
      functionName: "commitOf",
      args,
      blockNumber: block,
    });
    expect(commitOf(posted.batch)).to.equal(commit);
  });

  it("convicts a relay of a charge, a cost and a request that are false, and of no honest receipt", async () => {
    const [honest, dear, costly, foreign] = [at(0, 0), at(0, 1), at(2, 1), at(1, 2)];
    const bad = ({ place, shown }: typeof honest) =>
      tried("proveBadReceipt", badReceiptArguments(place, shown));
    expect([await bad(honest), await bad(dear), await bad(costly), await bad(at(2, 0))]).to.deep.equal([
      "NoFraud",
      "",
      "",
      "NoFraud",
    ]);
    const [userId = 0] = world.userIds;
    const request = { ...foreign.shown.request, userId };
    const asked = foreignRequestArguments(foreign.place, { ...foreign.shown, request });
    expect(await tried("proveForeignRequest", asked)).to.equal("");
    const own = foreignRequestArguments(honest.place, honest.shown);
    expect(await tried("proveForeignRequest", own)).to.equal("NoFraud");
  });

  it("convicts a relay of a receipt billed twice and of a false running total, and of no other", async () => {
    const twice = duplicateArguments(at(1, 0).place, at(1, 1).place);
    expect(await tried("proveDuplicate", twice)).to.equal("");
    expect(await tried("proveDuplicate", duplicateArguments(at(1, 1).place, at(1, 0).place))).to.equal(
      "NotLater",
    );
    expect(await tried("proveDuplicate", duplicateArguments(at(0, 0).place, at(2, 0).place))).to.equal(
      "NoFraud",
    );
    expect(await tried("proveRunningTotal", runningTotalArguments(at(2, 2).place))).to.equal("");
    for (const [row, index] of [
      [0, 1],
      [1, 1],
      [2, 1],
    ] as const)
      expect(await tried("proveRunningTotal", runningTotalArguments(at(row, index).place))).to.equal(
        "NoFraud",
      );
    for (const row of [0, 1, 2])
      expect(await tried("proveRowMismatch", rowMismatchArguments(at(row, 0).place))).to.equal("NoFraud");
  });

  it("convicts a relay of what it signed otherwise, and a provider of its own number", async () => {
    const { place, line } = at(0, 0);
    const relay = privateKeyToAccount(localPrivateKey(RELAY_SIGNER));
    const truth = {
      usageReceiptHash: toHex(usageDigest(world.separator, receiptFromJson(line.receipt))),
      relayId: posted.relayId,
      userId: place.billed.user.leaf.userId,
      channelEpoch: 1,
      charge: BigInt(line.charge),
      userCumulative: BigInt(line.userCumulative),
    };
    const signed = async (billed: typeof truth) => {
      const signature = await relay.sign({ hash: toHex(billedDigest(world.separator, billed)) });
      return tried("proveEquivocation", equivocationArguments(place, billed, signature));
    };
    expect(await signed(truth)).to.equal("NoFraud");
    expect(await signed({ ...truth, charge: truth.charge - 1n })).to.equal("");
    // a total that was told is the end of a charge: within another it convicts, outside it says nothing
    expect(await signed({ ...truth, userCumulative: 1n })).to.equal("");
    expect(await signed({ ...truth, userCumulative: truth.userCumulative + 1n })).to.equal("OtherPlace");
    expect(await tried("proveProviderFraud", providerFraudArguments(at(2, 1).shown))).to.equal("");
    expect(await tried("proveProviderFraud", providerFraudArguments(at(0, 0).shown))).to.equal("NoFraud");
  });

  it("takes no proof with one thing changed in an opening", async () => {
    const { place, shown } = at(0, 1);
    const [row, user, leaf, ...rest] = badReceiptArguments(place, shown);
    const changed: readonly [string, readonly unknown[]][] = [
      ["UnknownBatch", [{ ...row, batch: { ...row.batch, debitA: row.batch.debitA + 1n } }, user, leaf]],
      ["BadRowProof", [{ ...row, chunk: `${row.chunk}00` }, user, leaf]],
      ["BadSkippedList", [{ ...row, skipped: "0x00000001" }, user, leaf]],
      ["BadUserProof", [row, { ...user, path: [] }, leaf]],
      ["BadLeafProof", [row, user, { ...leaf, index: 0 }]],
      ["BadLeafProof", [row, user, { ...leaf, leaf: { ...leaf.leaf, charge: 1n } }]],
    ];
    for (const [name, args] of changed)
      expect(await tried("proveBadReceipt", [...args, ...rest]), name).to.equal(name);
    const other = badReceiptArguments(place, { ...shown, evidence: new Uint8Array(3) });
    expect(await tried("proveBadReceipt", other)).to.equal("BadReceiptOpening");
  });

  it("knows the id of a demand, and what it locks", async () => {
    const { fraudProofs } = world.deployment.contracts;
    const [, challenger = 0] = world.userIds;
    const row = at(2, 0).place.billed.user.leaf;
    const { result } = await client.simulateContract({
      address: fraudProofs,
      abi: fraudProofsAbi,
      functionName: "demand",
      args: demandArguments(posted, 2, 1),
      account: localWallet(world.rpcUrl, ACCOUNT.user + 1).account.address,
      blockNumber: block,
    });
    const { header, postedAt } = posted.batch;
    const expected = demandId({
      ...{ relayId: posted.relayId, batchNo: header.batchNo, row: 2, leafIndex: 1, postedAt, challenger },
      ...{ receiptsRoot: header.receiptsRoot, depth: header.depth, userId: row.userId, delta: row.sum },
      cumEnd: row.cumStart + row.sum,
      bond: demandBond(row.sum),
      deadline: postedAt + PROFILES.local.response,
    });
    expect(result).to.equal(expected);
  });
});

/** Two METERED users and a SIGNED one; what is false in their bills is said at each. */
async function falseBatch(world: ChainWorld) {
  const [first = 0, second = 0, third = 0] = world.userIds;
  const now = await world.now();
  const signer = privateKeyToAccount(localPrivateKey(PROVIDER_SIGNER));
  const base = {
    ...{ epoch: 1, signer, separator: world.separator, ids: world.ids, closedAt: now, tokens: 5 },
    change: { issuedAt: now },
  };
  const run = async (userId: number, makers: readonly Partial<Parameters<typeof makeEntry>[0]>[]) => {
    const lines: BilledLine[] = [];
    for (const [index, own] of makers.entries()) {
      const after = BigInt(lines.at(-1)?.userCumulative ?? 0);
      const { line } = await makeEntry({ ...base, name: `${userId}/${index}`, userId, after, ...own });
      lines.push(line);
    }
    return { userId, epoch: 1, cumStart: 0n, lines };
  };
  const overpriced = 12n * PRICES[0] + 3n * PRICES[1] + 5n * PRICES[2] + 7n;
  const signedUser = await run(third, [{}, { change: { issuedAt: now, cost: overpriced } }, {}]);
  return [
    // its second receipt is charged 1 pUSD too much
    await run(first, [{}, { more: 1n }]),
    // its first receipt comes twice, its last is for a request of the first user
    await run(second, [{ name: "twice" }, { name: "twice" }, { userId: first }]),
    // its second receipt costs too much, its third does not end where it says
    { ...signedUser, lines: signedUser.lines.map((line, i) => (i === 2 ? later(line) : line)) },
  ];
}

const later = (line: BilledLine): BilledLine => ({
  ...line,
  userCumulative: String(BigInt(line.userCumulative) + 1n),
});
