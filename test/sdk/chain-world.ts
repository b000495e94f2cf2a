import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { registryAbi } from "@aimo/protocol/abi/registry";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import type { SettlementBill } from "@aimo/protocol/bill";
import { toHex } from "@aimo/protocol/bytes";
import { CHANNEL_MODES, type Deployment } from "@aimo/protocol/deployment";
import { type DebitRow, encodeRows, type SignedRow } from "@aimo/protocol/rows";
import { toCompact } from "@aimo/protocol/signatures";
import { digestOf, domainSeparator } from "@aimo/protocol/typed-data";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import type { Abi, Address, Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { deployAll } from "../../scripts/deploy.ts";
import { startChain } from "../../scripts/local/chain.ts";
import {
  openChannel,
  registerModel,
  registerProvider,
  registerRelay,
  setPrice,
} from "../../scripts/local/register.ts";
import {
  ACCOUNT,
  deposit,
  type LocalWallet,
  localPrivateKey,
  localReader,
  localWallet,
  write,
} from "../../scripts/local/wallets.ts";
import { type Account, FEE_BPS, type Ids, makeBatch, PRICES } from "./bill-builder.ts";
import { sendJson, startServer, type TestServer } from "./relay-double.ts";

const USER_ACCOUNTS = [ACCOUNT.user, ACCOUNT.user + 1, ACCOUNT.user + 2];
/** Keys of the nodes: accounts that own nothing else. */
export const RELAY_SIGNER = 16;
export const PROVIDER_SIGNER = 17;
const SESSION_KEY = 19;
const STAKE = 20n * PUSD_PER_USD;
/** A channel takes 1 USD of it, a demand of a user 2 USD. */
const DEPOSIT = 4n * PUSD_PER_USD;

/**
 * A chain with the contracts on it, a relay, a provider with a priced model and three users with channels, the last of
 * which is SIGNED.
 */
export type ChainWorld = {
  readonly rpcUrl: string;
  readonly deployment: Deployment;
  readonly ids: Ids;
  readonly userIds: readonly number[];
  readonly separator: Uint8Array;
  /** Protocol seconds of the latest block. */
  now(): Promise<number>;
  send(
    account: number,
    call: { address: Address; abi: Abi; functionName: string; args: readonly unknown[] },
  ): Promise<Hex>;
  /** Posts a batch of the relay and returns each account's bill. */
  post(batchNo: bigint, accounts: readonly Account[]): Promise<SettlementBill[]>;
  close(): Promise<void>;
};

export async function startChainWorld(): Promise<ChainWorld> {
  const chain = await startChain({ port: 0 });
  const rpcUrl = chain.url;
  const deployment = await deployAll({
    rpcUrl,
    wallet: localWallet(rpcUrl, ACCOUNT.deployer),
    profile: "local",
    treasury: localWallet(rpcUrl, ACCOUNT.treasury).account.address,
    protocolFeeBps: 100,
    minRelayStake: STAKE,
    minProviderStake: STAKE,
  });
  const network = { rpcUrl, deployment };
  const relayOwner = localWallet(rpcUrl, ACCOUNT.relayOwner);
  const providerOwner = localWallet(rpcUrl, ACCOUNT.providerOwner);
  await deposit(rpcUrl, deployment, relayOwner, STAKE);
  await deposit(rpcUrl, deployment, providerOwner, STAKE);
  const relayId = await registerRelay(network, relayOwner, {
    signerKey: localPrivateKey(RELAY_SIGNER),
    feeBps: FEE_BPS,
    bond: STAKE,
  });
  const providerId = await registerProvider(network, providerOwner, {
    signerKey: localPrivateKey(PROVIDER_SIGNER),
    stake: STAKE,
  });
  const modelId = await registerModel(network, providerOwner, "demo-text");
  await setPrice(network, providerOwner, {
    providerId,
    modelId,
    prices: PRICES,
    kinds: ["token", "token", "token"],
  });
  const reader = localReader(rpcUrl);
  const userIds: number[] = [];
  for (const account of USER_ACCOUNTS) {
    const wallet = localWallet(rpcUrl, account);
    await deposit(rpcUrl, deployment, wallet, DEPOSIT);
    const isSigned = account === USER_ACCOUNTS.at(-1);
    if (isSigned) await openSignedChannel(network, wallet, relayId);
    else await openChannel(network, wallet, { relayId, amount: PUSD_PER_USD, days: 1 });
    const vault = { address: deployment.contracts.vault, abi: creditVaultAbi } as const;
    userIds.push(
      await reader.readContract({ ...vault, functionName: "userIdOf", args: [wallet.account.address] }),
    );
  }
  const send: ChainWorld["send"] = (account, call) => write(rpcUrl, localWallet(rpcUrl, account), call);
  const { settlement } = deployment.contracts;
  const separator = domainSeparator({ chainId: deployment.chainId, verifyingContract: settlement });
  return {
    rpcUrl,
    deployment,
    ids: { relayId, providerId, modelId },
    userIds,
    separator,
    now: async () => Number((await reader.getBlock()).timestamp),
    send,
    async post(batchNo, accounts) {
      const { header, bills, metered } = makeBatch(batchNo, accounts, separator);
      const isMetered = ({ userId }: DebitRow) => userId !== userIds.at(-1);
      const own = metered.filter(isMetered);
      const vouched = metered.filter((row) => !isMetered(row));
      const signed = await Promise.all(vouched.map((row) => signRow(separator, relayId, row)));
      const rows = toHex(encodeRows({ metered: own, signed, providers: [] }));
      const args = [relayId, { ...header, nA: own.length, nB: signed.length }, rows];
      await send(ACCOUNT.relayOwner, { address: settlement, abi: settlementAbi, functionName: "post", args });
      return bills;
    },
    close: () => chain.close(),
  };
}

const sessionKey = privateKeyToAccount(localPrivateKey(SESSION_KEY));
/** What the vouchers exceed the rows by, pUSD. */
const EXCESS = 12_345n;

async function openSignedChannel(
  { rpcUrl, deployment }: { readonly rpcUrl: string; readonly deployment: Deployment },
  wallet: LocalWallet,
  relayId: number,
): Promise<void> {
  const expiry = Math.floor(Date.now() / 1000) + 86_400;
  const args = [relayId, PUSD_PER_USD, expiry, CHANNEL_MODES.signed, sessionKey.address];
  const address = deployment.contracts.settlement;
  await write(rpcUrl, wallet, { address, abi: settlementAbi, functionName: "openChannel", args });
}

async function signRow(separator: Uint8Array, relayId: number, row: DebitRow): Promise<SignedRow> {
  const cumulative = row.cumEnd + EXCESS;
  const digest = digestOf(separator, "SpendVoucher", {
    relayId,
    userId: row.userId,
    channelEpoch: 1,
    cumulative,
  });
  return { ...row, excess: EXCESS, ...toCompact(await sessionKey.sign({ hash: toHex(digest) })) };
}

/** Rotates the provider's signer to another account's key. */
export async function rotateSigner(
  world: ChainWorld,
  proof: { signer: Address; deadline: number; signature: Hex },
): Promise<void> {
  await world.send(ACCOUNT.providerOwner, {
    address: world.deployment.contracts.registry,
    abi: registryAbi,
    functionName: "rotateSigner",
    args: [2, world.ids.providerId, proof.signer, proof.deadline, proof.signature],
  });
}

/** What a relay of this chain says of itself. */
export const identityOf = ({ deployment, ids }: ChainWorld) => ({
  relay: { id: ids.relayId },
  chain: { id: deployment.chainId, genesis_hash: deployment.genesisHash },
  contracts: deployment.contracts,
});

/** A relay that has nothing but bills and proofs to show. */
export async function startBillServer(
  world: ChainWorld,
  shown: {
    readonly bills: Map<string, unknown>;
    readonly proofs: Map<string, unknown>;
    readonly credits?: unknown;
  },
): Promise<TestServer> {
  const notFound = { error: { code: "not_found", message: "The account has no row in this batch." } };
  return startServer(({ url }, response) => {
    if (url === "/.well-known/aimo") return sendJson(response, 200, identityOf(world));
    if (url === "/v1/credits" && shown.credits) return sendJson(response, 200, shown.credits);
    const found = url.startsWith("/v1/settlements/")
      ? shown.bills.get(url.slice("/v1/settlements/".length))
      : shown.proofs.get(/^\/v1\/generation\/(.*)\/proof$/.exec(url)?.[1] ?? "");
    return found === undefined ? sendJson(response, 404, notFound) : sendJson(response, 200, found);
  });
}
