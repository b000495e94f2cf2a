import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { openData } from "@aimo/node/data-dir";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { silentLog } from "@aimo/node/log";
import { fraudProofsAbi } from "@aimo/protocol/abi/fraud-proofs";
import * as vault from "@aimo/protocol/actions/credit-vault";
import * as fraudProofs from "@aimo/protocol/actions/fraud-proofs";
import * as clock from "@aimo/protocol/actions/protocol-clock";
import { bondOf } from "@aimo/protocol/actions/stake-manager";
import { ROLES } from "@aimo/protocol/deployment";
import { demandBond } from "@aimo/protocol/penalties";
import { demandArguments } from "@aimo/protocol/proofs";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { createTestClient, http, parseEventLogs } from "viem";
import { hardhat } from "viem/chains";
import { makeConfig } from "../../../relay/src/config.ts";
import { type RelayNode, startRelay } from "../../../relay/src/node.ts";
import { mined, registerModel, setPrice } from "../../../scripts/local/register.ts";
import {
  ACCOUNT,
  type LocalWallet,
  localReader,
  localWallet,
  write,
} from "../../../scripts/local/wallets.ts";
import { readPosted } from "../../protocol/read-posted.ts";
import type { Disk, Signer } from "../store/books-world.ts";
import { addPayer, billOne, startMoney, startTestNetwork, type TestNetwork } from "./network.ts";

const CENT = USD / 100n;
const CHARGE = (CENT * 105n) / 100n;
/** Receipts in each row. */
const RECEIPTS = 2;

const chainOf = ({ rpcUrl }: TestNetwork) =>
  createTestClient({ chain: hardhat, transport: http(rpcUrl), mode: "hardhat" });

describe("demands against an honest relay, on a real chain", function () {
  this.timeout(60_000);
  let network: TestNetwork;
  let provider: Signer;
  let relay: Signer;
  let folder: string;
  let owner: LocalWallet;
  let challenger: LocalWallet;
  let node: RelayNode | undefined;

  before(async () => {
    await initFastCrypto();
    network = await startTestNetwork();
    provider = await network.addProvider();
    const providerOwner = localWallet(network.rpcUrl, ACCOUNT.providerOwner);
    const modelId = await registerModel(network, providerOwner, "some-model");
    const kinds = ["token", "token", "token"] as const;
    await setPrice(network, providerOwner, {
      ...{ providerId: provider.id, modelId, prices: [CENT, CENT, CENT], kinds },
    });
    relay = await network.addRelay(100n * USD);
    owner = localWallet(network.rpcUrl, ACCOUNT.relayOwner);
    challenger = await network.addUser(20n * USD);
    folder = await mkdtemp(join(tmpdir(), "aimo-demands-"));
    await writeFile(join(folder, "relay.key"), relay.key, { mode: 0o600 });
    await writeFile(join(folder, "deployment.json"), JSON.stringify(network.deployment));
  });
  afterEach(() => node?.close());
  after(async () => {
    await network.close();
    await rm(folder, { recursive: true });
  });

  const dataFolder = () => join(folder, "data");
  const start = async () => {
    const config = makeConfig({
      ...{ keyFile: join(folder, "relay.key"), deploymentFile: join(folder, "deployment.json") },
      ...{ rpcUrl: network.rpcUrl, dataFolder: dataFolder(), http: { port: 0 }, groupWaitMs: 0 },
    });
    node = await startRelay(config, { log: silentLog() });
    return node;
  };

  /** Bills a user's receipts in the relay's books, while its node is down, and posts them if asked to. */
  async function billRow({ isPosted }: { readonly isPosted: boolean }): Promise<void> {
    const { chainId, genesisHash, contracts } = network.deployment;
    const identity = { chainId, genesisHash, settlement: contracts.settlement };
    const db = await openData({ location: { folder: dataFolder() }, identity });
    const disk: Disk = { db, reopen: async () => db, remove: () => db.close() };
    const money = await startMoney(network, { relay, disk });
    const { userId } = await addPayer(network, money);
    for (let count = 0; count < RECEIPTS; count += 1)
      await billOne(money, userId, { provider, cost: CENT, charge: CHARGE });
    if (isPosted) await money.settling.settleNow();
    await money.settling.close();
    await money.journal.close();
    await disk.remove();
  }

  /** Demands a receipt of the relay's newest batch. */
  async function demand(leafIndex: number) {
    const { rpcUrl, deployment } = network;
    const reader = localReader(rpcUrl);
    const { posted } = await readPosted(reader, { deployment, relayId: relay.id, batchNo: batches++ });
    const hash = await write(rpcUrl, challenger, {
      ...{ address: deployment.contracts.fraudProofs, abi: fraudProofsAbi, functionName: "demand" },
      args: demandArguments(posted, 0, leafIndex),
    });
    const { logs } = await reader.getTransactionReceipt({ hash });
    const [event] = parseEventLogs({ abi: fraudProofsAbi, eventName: "Demanded", logs });
    if (!event) throw new Error("Nothing was demanded.");
    return event.args;
  }
  let batches = 0n;

  const creditsOf = async (wallet: LocalWallet) => {
    const { deployment, rpcUrl } = network;
    const reader = localReader(rpcUrl);
    const userId = await vault.userIdOf(reader, { deployment, owner: wallet.account.address });
    return (await vault.accountOf(reader, { deployment, userId })).free;
  };
  const bondOfRelay = () =>
    bondOf(localReader(network.rpcUrl), {
      ...{ deployment: network.deployment, role: ROLES.relay, id: relay.id },
    });
  const answersTo = async (demandId: `0x${string}`) => {
    const { rpcUrl, deployment } = network;
    const reader = localReader(rpcUrl);
    while (await fraudProofs.isOpen(reader, { deployment, demandId })) await wait(100);
    return reader.getContractEvents({
      ...{ address: deployment.contracts.fraudProofs, abi: fraudProofsAbi, eventName: "Answered" },
      ...{ args: { demandId }, fromBlock: 0n },
    });
  };

  for (const [what, leafIndex] of [
    ["a receipt that it billed", 1],
    ["a receipt behind the last", RECEIPTS],
  ] as const)
    it(`are answered by its node alone: ${what}`, async () => {
      await billRow({ isPosted: false });
      await (await start()).settle();
      const [owned, held, bonded] = [
        await creditsOf(owner),
        await creditsOf(challenger),
        await bondOfRelay(),
      ];
      const { demandId, demand: made } = await demand(leafIndex);
      expect(made.bond).to.equal(demandBond(BigInt(RECEIPTS) * CHARGE));
      expect(await answersTo(demandId)).to.have.length(1);
      expect((await creditsOf(owner)) - owned).to.equal(made.bond);
      expect(held - (await creditsOf(challenger))).to.equal(made.bond);
      expect(await bondOfRelay()).to.deep.equal(bonded);
    });

  it("are answered when its node comes back, if it was down when they were made", async () => {
    await (await start()).close();
    await billRow({ isPosted: true });
    const owned = await creditsOf(owner);
    const { demandId, demand: made } = await demand(0);
    // The deadline comes no nearer meanwhile; answers are taken in a pause.
    const { deployment } = network;
    const guardian = localWallet(network.rpcUrl, ACCOUNT.treasury);
    await mined(network, clock.pause(guardian, { deployment }));
    // More blocks than any start looks back by itself.
    await chainOf(network).mine({ blocks: 8 });
    await start();
    expect(await answersTo(demandId)).to.have.length(1);
    expect((await creditsOf(owner)) - owned).to.equal(made.bond);
    await mined(network, clock.unpause(guardian, { deployment }));
  });
});
