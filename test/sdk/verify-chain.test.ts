import { registryAbi } from "@aimo/protocol/abi/registry";
import type { GenerationProof, SettlementBill } from "@aimo/protocol/bill";
import { ROLES } from "@aimo/protocol/deployment";
import { buildSumTree, sumPath } from "@aimo/protocol/tree";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { AimoError, verifyBill, verifyGeneration } from "@aimo/sdk";
import { expect } from "chai";
import { privateKeyToAccount } from "viem/accounts";
import { ACCOUNT, localPrivateKey } from "../../scripts/local/wallets.ts";
import { leafNodes, makeEntries, makeEntry, stepsJson } from "./bill-builder.ts";
import {
  type ChainWorld,
  identityOf,
  PROVIDER_SIGNER,
  rotateSigner,
  startBillServer,
  startChainWorld,
} from "./chain-world.ts";
import { sendJson, startServer, type TestServer } from "./relay-double.ts";

const NEXT_SIGNER = 18;
const signer = privateKeyToAccount(localPrivateKey(PROVIDER_SIGNER));
const nextSigner = privateKeyToAccount(localPrivateKey(NEXT_SIGNER));

/** The whole way: a real chain, real posts, a relay over HTTP. */
describe("sdk/verify, against a chain", function () {
  this.timeout(120_000);
  let world: ChainWorld;
  let relay: TestServer;
  let userId: number;
  let end: bigint;
  let signedBill: SettlementBill | undefined;
  const bills = new Map<string, unknown>();
  const proofs = new Map<string, unknown>();

  before(async () => {
    world = await startChainWorld();
    relay = await startBillServer(world, { bills, proofs });
    const [first = 0, second = 0, third = 0] = world.userIds;
    userId = second;
    const now = await world.now();
    const base = { epoch: 1, signer, separator: world.separator, ids: world.ids, closedAt: now };
    const change = { issuedAt: now };
    const account = async (user: number, names: string[], after: bigint) => {
      const entries = await makeEntries(names, { ...base, change, userId: user, after });
      return { userId: user, epoch: 1, cumStart: after, lines: entries.map(({ line }) => line) };
    };
    const own = await account(userId, ["a", "b", "c"], 0n);
    const after = BigInt(own.lines[2]?.userCumulative ?? 0);
    const [, bill, signed] = await world.post(0n, [
      await account(first, ["x"], 0n),
      own,
      await account(third, ["y"], 0n),
    ]);
    bills.set("0", bill);
    signedBill = signed;
    proofs.set("gen-b", proofOf(bill, 1));
    // A batch without the user, then one of receipts by a new signing key.
    await world.post(1n, [
      await account(first, ["z"], BigInt((await account(first, ["x"], 0n)).lines[0]?.userCumulative ?? 0)),
    ]);
    await rotateSigner(world, await signerProof());
    const later = await world.now();
    const entry = await makeEntry({
      ...base,
      name: "d",
      tokens: 9,
      userId,
      after,
      signer: nextSigner,
      closedAt: later,
      change: { issuedAt: later },
    });
    const [last] = await world.post(2n, [{ userId, epoch: 1, cumStart: after, lines: [entry.line] }]);
    bills.set("2", last);
    end = BigInt(entry.line.userCumulative);
  });
  after(async () => {
    await relay?.close();
    await world?.close();
  });

  async function signerProof() {
    const { contracts, chainId } = world.deployment;
    const owner = privateKeyToAccount(localPrivateKey(ACCOUNT.providerOwner)).address;
    const deadline = (await world.now()) + 600;
    const signature = await nextSigner.signTypedData({
      domain: domainOf({ chainId, verifyingContract: contracts.registry }),
      types: TYPES,
      primaryType: "SignerProof",
      message: { owner, role: ROLES.provider, deadline },
    });
    return { signer: nextSigner.address, deadline, signature };
  }

  function proofOf(bill: SettlementBill | undefined, leafIndex: number): GenerationProof {
    const line = bill?.lines[leafIndex];
    if (!bill || !line) throw new Error("No such line.");
    const tree = buildSumTree(
      leafNodes({ lines: bill.lines, userId: bill.userLeaf.userId }, world.separator),
    );
    const { batch, userLeaf, userPath } = bill;
    return { batch, line, leafIndex, leafPath: stepsJson(sumPath(tree, leafIndex)), userLeaf, userPath };
  }

  const parametersOf = (more: object = {}) => ({
    rpcUrl: world.rpcUrl,
    deployment: world.deployment,
    relayUrl: relay.url,
    apiKey: "k",
    userId,
    ...more,
  });

  it("finds an honest bill in order over several batches, epochs of a signer included", async () => {
    const result = await verifyBill(parametersOf());
    expect(result.problems).to.deep.equal([]);
    expect(result).to.deep.include({ ok: true, batches: 2, receipts: 4, billedPusd: end, userId });
  });

  it("knows the user by its wallet, and says when a wallet has no account", async () => {
    const owner = privateKeyToAccount(localPrivateKey(ACCOUNT.user + 1)).address;
    const result = await verifyBill(parametersOf({ userId: undefined, owner }));
    expect([result.ok, result.userId]).to.deep.equal([true, userId]);
    const stranger = verifyBill(parametersOf({ userId: undefined, owner: signer.address }));
    expect(await codeOf(stranger)).to.equal("not_found");
  });

  it("takes a relay of another chain, or of other contracts, for a mix-up and not for a fraud", async () => {
    const { chain, contracts, ...identity } = identityOf(world);
    const others = [
      { ...identity, contracts, chain: { ...chain, genesis_hash: `0x${"11".repeat(32)}` } },
      { ...identity, contracts, chain: { ...chain, id: 1 } },
      { ...identity, chain, contracts: { ...contracts, settlement: signer.address } },
      { ...identity, chain: { genesis_hash: 5 } },
    ];
    const codes: unknown[] = [];
    for (const other of others) {
      const stranger = await startServer((_, response) => sendJson(response, 200, other));
      codes.push(await codeOf(verifyBill(parametersOf({ relayUrl: stranger.url }))));
      await stranger.close();
    }
    expect(codes).to.deep.equal(["wrong_chain", "wrong_chain", "wrong_deployment", "wrong_chain"]);
  });

  it("says of a request of another account whose it is", async () => {
    const record = {
      ...{
        id: "gen-x",
        relay: world.ids.relayId,
        nonce: null,
        receiptHash: null,
        costPusd: null,
        createdAt: "",
      },
      ...{ bodyHash: `0x${"00".repeat(32)}` as const, channel: { user: 99, epoch: 1 } },
    };
    const error = await verifyGeneration(parametersOf({ id: "gen-x", known: [record] }) as never).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(AimoError);
    expect([(error as AimoError).code, (error as AimoError).message]).to.deep.equal([
      "not_found",
      `Request gen-x was made by user 99 at relay 1; this is the bill of user ${userId} at relay 1.`,
    ]);
  });

  it("finds an honest bill of a SIGNED channel in order, and names what is altered in it", async () => {
    const honest = bills.get("0");
    const signedUser = parametersOf({ userId: world.userIds[2] });
    bills.set("0", signedBill);
    const result = await verifyBill(signedUser);
    expect(result.problems).to.deep.equal([]);
    expect([result.batches, result.receipts]).to.deep.equal([1, 1]);
    bills.set("0", { ...signedBill, lines: [] });
    expect((await verifyBill(signedUser)).problems.map(({ kind, row }) => [kind, row])).to.deep.equal([
      ["dropped", 2],
    ]);
    bills.set("0", honest);
  });

  it("finds nothing billed, and nothing wrong, where a user never was", async () => {
    const result = await verifyBill(parametersOf({ userId: 99 }));
    expect([result.ok, result.batches, result.billedPusd]).to.deep.equal([true, 0, 0n]);
  });

  it("names what a relay altered, dropped, duplicated or hides", async () => {
    const honest = bills.get("0") as SettlementBill;
    const [a, b, c] = honest.lines;
    if (!a || !b || !c) throw new Error("Three lines expected.");
    const tales: [string, unknown, object][] = [
      [
        "altered",
        { ...honest, lines: [a, { ...b, receipt: { ...b.receipt, units: [1, 1, 1] } }, c] },
        { id: "gen-b", leaf: 1 },
      ],
      ["dropped", { ...honest, lines: [a, c] }, { leaf: 1 }],
      ["duplicated", { ...honest, lines: [a, b, a, c] }, { id: "gen-a", leaf: 2 }],
      ["unproven", undefined, {}],
    ];
    for (const [kind, shown, place] of tales) {
      bills.set("0", shown);
      const { ok, problems } = await verifyBill(parametersOf());
      expect([ok, problems.length], kind).to.deep.equal([false, 1]);
      expect(problems[0]).to.deep.include({ kind, batchNo: 0n, row: 1, ...place });
    }
    bills.set("0", honest);
  });

  it("verifies one request by its proof, and names a forged one", async () => {
    const result = await verifyGeneration({ ...parametersOf(), id: "gen-b" });
    expect(result.problems).to.deep.equal([]);
    expect(result).to.deep.include({ ok: true, id: "gen-b", batchNo: 0n });
    const honest = proofs.get("gen-b") as GenerationProof;
    const forgeries: [string, unknown][] = [
      ["altered", { ...honest, leafIndex: 0 }],
      ["altered", { ...honest, line: { ...honest.line, charge: "1" } }],
      ["altered", { ...honest, userPath: [] }],
      ["unproven", { ...honest, batch: { ...honest.batch, batchNo: "1" } }],
      ["unproven", { ...honest, leafPath: "none" }],
      ["unproven", undefined],
    ];
    const known = [
      { id: "gen-b", relay: 1, bodyHash: honest.line.bodyHash, nonce: honest.line.nonce, receiptHash: null },
    ].map((record) => ({ ...record, channel: null, costPusd: null, createdAt: "" }));
    for (const [kind, shown] of forgeries) {
      proofs.set("gen-b", shown);
      const { ok, problems } = await verifyGeneration({ ...parametersOf(), known, id: "gen-b" });
      expect([ok, problems.map((problem) => problem.kind)]).to.deep.equal([false, [kind]]);
    }
    proofs.set("gen-b", honest);
  });

  it("accuses nobody over a request that nobody knows", async () => {
    const id = "gen-000000000000000000000000";
    expect(await codeOf(verifyGeneration({ ...parametersOf(), id }))).to.equal("not_found");
    expect(await codeOf(verifyGeneration({ ...parametersOf(), known: [], id }))).to.equal("not_found");
  });

  it("refuses a chain, a deployment or an endpoint that is the wrong one", async () => {
    const { deployment } = world;
    const wrongChain = { ...deployment, chainId: 1 };
    const nowhere = { ...deployment, contracts: { ...deployment.contracts, settlement: signer.address } };
    expect(await codeOf(verifyBill(parametersOf({ deployment: wrongChain })))).to.equal("wrong_chain");
    expect(await codeOf(verifyBill(parametersOf({ deployment: nowhere })))).to.equal("wrong_deployment");
    expect(await codeOf(verifyBill(parametersOf({ rpcUrl: relay.url })))).to.equal("chain_unavailable");
  });

  it("keeps to the price that was in force, after it was replaced", async () => {
    const { providerId, modelId } = world.ids;
    const args = [providerId, modelId, 50n, 5n, 200n, 0x010101];
    await world.send(ACCOUNT.providerOwner, {
      address: world.deployment.contracts.registry,
      abi: registryAbi,
      functionName: "setPrice",
      args,
    });
    expect((await verifyBill(parametersOf())).ok).to.equal(true);
  });
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AimoError) return error.code;
  return String(error);
}
