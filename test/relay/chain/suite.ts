import { initFastCrypto } from "@aimo/node/fast-crypto";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { type LocalWallet, write } from "../../../scripts/local/wallets.ts";
import { type Disk, DRIVERS, type Signer } from "../store/books-world.ts";
import {
  addPayer,
  billOne,
  type MoneyOptions,
  type Relay,
  startMoney,
  startTestNetwork,
  type TestNetwork,
} from "./network.ts";

const BOND = 100n * USD;

/** For a suite: one network with a provider, and for each of its tests a fresh disk, whose relays end with the test. */
export function useNetwork() {
  let network: TestNetwork;
  let provider: Signer;
  let relay: Signer | undefined;
  let disk: Disk;
  const started: Relay[] = [];

  before(async () => {
    await initFastCrypto();
    network = await startTestNetwork();
    provider = await network.addProvider();
  });
  after(() => network.close());
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
  });
  afterEach(async () => {
    for (const each of started.splice(0)) await each.settling.close();
    await disk.remove();
  });

  return {
    get network() {
      return network;
    },
    get provider() {
      return provider;
    },
    /** Books of a relay on the test's disk: of the suite's own, unless another is named. */
    async start(options: Partial<MoneyOptions> = {}): Promise<Relay> {
      relay ??= options.relay ? undefined : await network.addRelay(BOND);
      const own = options.relay ?? relay;
      if (!own) throw new Error("There is no relay to start.");
      const money = await startMoney(network, { disk, ...options, relay: own });
      started.push(money);
      return money;
    },
    addUser: (money: Relay, credits?: bigint) => addPayer(network, money, credits),
    bill: (money: Relay, userId: number, cost: bigint, charge = (cost * 105n) / 100n) =>
      billOne(money, userId, { provider, cost, charge }),
    /** Calls the settlement contract. */
    call: (wallet: LocalWallet, functionName: string, args: readonly unknown[]) =>
      write(network.rpcUrl, wallet, {
        ...{ address: network.deployment.contracts.settlement, abi: settlementAbi, functionName, args },
      }),
    /** What the chain has paid the suite's provider for a relay. */
    paidTo: async (money: Relay): Promise<bigint> =>
      (await money.real.paidTo([provider.id])).get(provider.id) ?? 0n,
  };
}
