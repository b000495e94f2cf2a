import { waitForReceipt } from "@aimo/protocol/action";
import { claimProvider, providerAccountOf } from "@aimo/protocol/actions/settlement";
import { balanceOf } from "@aimo/protocol/actions/test-dollar";
import { fromTokenUnits } from "@aimo/protocol/units";
import { type BillResult, verifyBill } from "@aimo/sdk";
import { localReader, localWallet } from "../local/wallets.ts";
import { type LocalNetwork, startLocalNetwork } from "../local-network.ts";
import { checkVault, readSums, type Sums, type VaultCheck } from "./sums.ts";
import { planOf, type Served, send } from "./traffic.ts";

export type Story = {
  readonly requests: number;
  /** What the relays' bills add up to, each verified by its user. pUSD. */
  readonly billed: bigint;
  readonly sums: Sums;
  readonly vault: VaultCheck;
  readonly billsVerified: number;
  /** Requests that got no answer, or one that was not billed: free for the user. */
  readonly unbilledFailures: number;
  readonly users: readonly { readonly name: string; readonly requests: number; readonly billed: bigint }[];
  readonly providers: readonly {
    readonly name: string;
    readonly served: number;
    readonly earned: bigint;
    readonly claimed: bigint;
  }[];
  /** Sums that are off, bills that do not verify; empty when all is well. */
  readonly problems: readonly string[];
};

const USERS = 3;
/** Requests under way at once. */
const CONCURRENCY = 6;

/** Plays the story from an empty chain to verified bills, and closes everything. */
export async function tellStory({ progress }: { progress: (line: string) => void }): Promise<Story> {
  const network = await startLocalNetwork({ ports: "free", users: USERS, progress });
  try {
    const served = await playTraffic(network, progress);
    progress("Posting the last batches…");
    for (const relay of network.relays) await relay.settle();
    const sums = await readSums(network);
    const claims = await claimAll(network);
    progress("Providers claimed; verifying every bill against the chain…");
    const bills = await verifyAll(network);
    const vault = await checkVault(network);
    return conclude({ network, served, sums, claims, bills, vault });
  } finally {
    await network.close();
  }
}

async function playTraffic(network: LocalNetwork, progress: (line: string) => void): Promise<Served[]> {
  const plan = planOf(network.users);
  const served: Served[] = [];
  const leaveAt = Math.floor(plan.length / 2);
  let next = 0;
  let leaving: Promise<void> | undefined;
  const worker = async () => {
    for (let step = plan[next++]; step; step = plan[next++]) {
      if (next > leaveAt && !leaving) {
        const [leaver] = network.providers;
        if (!leaver) throw new Error("The local network has no provider.");
        progress(`Provider ${leaver.name} leaves after ${next - 1} requests…`);
        leaving = leaver.close();
      }
      served.push(await send(network, step));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  await leaving;
  progress(`${served.length} requests sent, ${served.filter(({ ok }) => ok).length} answered.`);
  return served;
}

/** Every provider claims what it has at all relays to a fresh address, so that the tokens can be counted there. */
async function claimAll(
  network: LocalNetwork,
): Promise<{ providerId: number; earned: bigint; claimed: bigint }[]> {
  const { deployment } = network;
  const reader = localReader(network.rpcUrl);
  const relayIds = network.relays.map(({ id }) => id);
  const claims = [];
  for (const provider of network.providers) {
    const accounts = await Promise.all(
      relayIds.map((relayId) => providerAccountOf(reader, { deployment, relayId, providerId: provider.id })),
    );
    const earned = accounts.reduce((sum, account) => sum + account.paid, 0n);
    const owner = localWallet(network.rpcUrl, provider.ownerIndex);
    const to = owner.account.address;
    const balance = () => balanceOf(reader, { deployment, account: to });
    const before = await balance();
    const hash = await claimProvider(owner, { deployment, providerId: provider.id, relayIds, to });
    await waitForReceipt(reader, { hash });
    claims.push({ providerId: provider.id, earned, claimed: fromTokenUnits((await balance()) - before) });
  }
  return claims;
}

async function verifyAll(network: LocalNetwork): Promise<BillResult[]> {
  const { rpcUrl, deployment } = network;
  return Promise.all(
    network.users.map(({ baseUrl, apiKey, address }) =>
      verifyBill({ rpcUrl, deployment, relayUrl: baseUrl, apiKey, owner: address }),
    ),
  );
}

type Ending = {
  readonly network: LocalNetwork;
  readonly served: readonly Served[];
  readonly sums: Sums;
  readonly claims: readonly { providerId: number; earned: bigint; claimed: bigint }[];
  readonly bills: readonly BillResult[];
  readonly vault: VaultCheck;
};

function conclude({ network, served, sums, claims, bills, vault }: Ending): Story {
  const billed = bills.reduce((sum, bill) => sum + bill.billedPusd, 0n);
  const stated = served.reduce((sum, { costPusd }) => sum + costPusd, 0n);
  const receipts = bills.reduce((sum, bill) => sum + bill.receipts, 0);
  const earned = claims.reduce((sum, claim) => sum + claim.earned, 0n);
  const parts = sums.providers + sums.relayFees + sums.protocolFees;
  const checks: readonly (readonly [boolean, string])[] = [
    [billed === sums.settled, `Bills add up to ${billed} pUSD, batches to ${sums.settled} pUSD.`],
    [sums.settled === parts, `Batches debit ${sums.settled} pUSD, but ${parts} pUSD went out.`],
    [
      earned === sums.providers,
      `Providers' accounts got ${earned} pUSD, batches credit ${sums.providers} pUSD.`,
    ],
    [stated === billed, `Responses stated ${stated} pUSD, bills are ${billed} pUSD.`],
    [
      vault.ok,
      `The vault holds ${vault.tokens} pUSD; its books say ${vault.free + vault.stakes + vault.reserves + vault.books} pUSD.`,
    ],
    [sums.skippedRows === 0, `${sums.skippedRows} rows were skipped.`],
    [billed > 0n, "Nothing was billed."],
  ];
  return {
    requests: served.length,
    billed,
    sums,
    vault,
    billsVerified: bills.filter(({ ok }) => ok).length,
    unbilledFailures: served.length - receipts,
    users: network.users.map(({ name }, index) => ({
      name,
      requests: served.filter(({ user }) => user === index).length,
      billed: bills[index]?.billedPusd ?? 0n,
    })),
    providers: network.providers.map(({ id, name }) => {
      const claim = claims.find(({ providerId }) => providerId === id);
      return {
        name,
        served: served.filter(({ providerId }) => providerId === id).length,
        earned: claim?.earned ?? 0n,
        claimed: claim?.claimed ?? 0n,
      };
    }),
    problems: [
      ...checks.filter(([holds]) => !holds).map(([, text]) => text),
      ...bills.flatMap(({ problems }) => problems.map((problem) => `${problem.kind}: ${problem.detail}`)),
    ],
  };
}
