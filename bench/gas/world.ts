import { readFileSync } from "node:fs";
import { addressOfPublicKey, initFastCrypto, publicKeyOf, sign } from "@aimo/node/fast-crypto";
import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { registryAbi } from "@aimo/protocol/abi/registry";
import { stakeManagerAbi } from "@aimo/protocol/abi/stake-manager";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
import { toBytes } from "@aimo/protocol/bytes";
import { type Deployment, ROLES } from "@aimo/protocol/deployment";
import { digestOf, domainSeparator } from "@aimo/protocol/typed-data";
import { PUSD_PER_TOKEN_UNIT, PUSD_PER_USD, packKinds } from "@aimo/protocol/units";
import { type Address, encodeFunctionData, type Hex, pad, parseAbi, type TransactionReceipt } from "viem";
import { deployAll } from "../../scripts/deploy.ts";
import { ACCOUNT, localPrivateKey, localWallet } from "../../scripts/local/wallets.ts";
import { type BenchChain, type Call, startBenchChain } from "./chain.ts";

/** Somebody with a key and native coin. */
export type Person = { readonly address: Address; readonly key: Uint8Array };
/** A relay or provider: its owner and its hot key. */
export type Operator = { readonly id: number; readonly owner: Person; readonly signer: Person };

type Ground = {
  readonly chain: BenchChain;
  readonly chainId: number;
  readonly at: Deployment["contracts"];
  /** EIP-712 separator of the settlement. */
  readonly separator: Uint8Array;
  /** Has more test dollars than anybody needs, and the vault may take them. */
  readonly manyCalls: Address;
  readonly deployer: Person;
  readonly treasury: Person;
  progress(text: string): void;
};

/** All contracts, a relay for metered channels, one for signed ones, and a provider with a price for a model. */
export type World = Ground & {
  readonly metered: Operator;
  readonly signed: Operator;
  readonly provider: Operator;
  readonly modelId: number;
};

export const YEAR = 365 * 86_400;
export const FEE_BPS = 500;
export const PRICES = [150_000n, 150_000n, 600_000n] as const;
export const NO_METADATA: Hex = pad("0x", { size: 32 });
const MIN_STAKE = 10n * PUSD_PER_USD;
const BOND = 10_000_000n * PUSD_PER_USD;
const RICHES = 10n ** 16n;
const manyCallsAbi = parseAbi(["function callAll(address[] targets, bytes[] data)"]);

export async function openWorld(progress: (text: string) => void): Promise<World> {
  await initFastCrypto();
  const chain = await startBenchChain();
  const { rpcUrl } = chain;
  const [deployer, treasury] = [accountOf(ACCOUNT.deployer), accountOf(ACCOUNT.treasury)];
  progress("deploying the contracts");
  const wallet = localWallet(rpcUrl, ACCOUNT.deployer);
  const { chainId, contracts: at } = await deployAll({
    ...{ rpcUrl, wallet, profile: "local", protocolFeeBps: 100, treasury: treasury.address },
    ...{ minRelayStake: MIN_STAKE, minProviderStake: MIN_STAKE },
  });
  const separator = domainSeparator({ chainId, verifyingContract: at.settlement });
  const manyCalls = await deployManyCalls(chain, deployer);
  const ground = { chain, chainId, at, separator, manyCalls, deployer, treasury, progress };
  await callAll(ground, [
    { address: at.token, abi: testDollarAbi, functionName: "mint", args: [manyCalls, RICHES] },
    { address: at.token, abi: testDollarAbi, functionName: "approve", args: [at.vault, RICHES] },
  ]);
  const metered = await addOperator(ground, ROLES.relay, 2);
  const signed = await addOperator(ground, ROLES.relay, 4);
  const provider = await addOperator(ground, ROLES.provider, 6);
  const modelId = await addModel(ground, provider);
  return { ...ground, metered, signed, provider, modelId };
}

/** Account of the local mnemonic. */
export function accountOf(index: number): Person {
  const key = toBytes(localPrivateKey(index));
  return { key, address: addressOfPublicKey(publicKeyOf(key)) };
}

/** All calls in one transaction. */
export function callAll(
  { chain, manyCalls, deployer }: Ground,
  calls: readonly Call[],
): Promise<TransactionReceipt> {
  const data = calls.map(({ address: _, ...call }) => encodeFunctionData(call as never));
  const args = [calls.map(({ address }) => address), data];
  return chain.send(deployer.address, {
    address: manyCalls,
    abi: manyCallsAbi,
    functionName: "callAll",
    args,
  });
}

export function depositCall({ at }: Ground, owner: Address, amount: bigint): Call {
  const args = [owner, amount / PUSD_PER_TOKEN_UNIT];
  return { address: at.vault, abi: creditVaultAbi, functionName: "deposit", args };
}

/** A signer's proof for who registers it. */
export function signerProof({ chain, chainId, at }: Ground, owner: Address, role: number, key: Uint8Array) {
  const separator = domainSeparator({ chainId, verifyingContract: at.registry });
  const deadline = chain.now() + YEAR;
  return { deadline, proof: sign(digestOf(separator, "SignerProof", { owner, role, deadline }), key) };
}

async function deployManyCalls({ client }: BenchChain, { address }: Person): Promise<Address> {
  const artifact = new URL("../../artifacts/contracts/test/ManyCalls.sol/ManyCalls.json", import.meta.url);
  const { bytecode } = JSON.parse(readFileSync(artifact, "utf8")) as { readonly bytecode: Hex };
  const hash = await client.sendTransaction({ account: address, data: bytecode });
  const { contractAddress } = await client.getTransactionReceipt({ hash });
  if (!contractAddress) throw new Error("ManyCalls was not deployed.");
  return contractAddress;
}

/** Registers account `index` with the next one as its hot key, and bonds. */
async function addOperator(ground: Ground, role: 1 | 2, index: number): Promise<Operator> {
  const { chain, at } = ground;
  const [owner, signer] = [accountOf(index), accountOf(index + 1)];
  const { deadline, proof } = signerProof(ground, owner.address, role, signer.key);
  const isRelay = role === ROLES.relay;
  const terms = isRelay ? [FEE_BPS, NO_METADATA] : [NO_METADATA];
  const functionName = isRelay ? "registerRelay" : "registerProvider";
  const address = at.registry;
  await chain.send(owner.address, {
    ...{ address, abi: registryAbi, functionName },
    args: [signer.address, ...terms, deadline, proof],
  });
  const id = await chain.client.readContract({
    ...{ address, abi: registryAbi, args: [owner.address] },
    functionName: isRelay ? "relayIdOf" : "providerIdOf",
  });
  await callAll(ground, [depositCall(ground, owner.address, 2n * BOND)]);
  await chain.send(owner.address, {
    ...{ address: at.stakeManager, abi: stakeManagerAbi, functionName: "bond" },
    args: [role, id, BOND],
  });
  return { id, owner, signer };
}

async function addModel({ chain, at }: Ground, { id, owner }: Operator): Promise<number> {
  const registry = { address: at.registry, abi: registryAbi };
  await chain.send(owner.address, { ...registry, functionName: "registerModel", args: ["bench/model"] });
  const kinds = packKinds(["token", "token", "token"]);
  await chain.send(owner.address, { ...registry, functionName: "setPrice", args: [id, 1, ...PRICES, kinds] });
  return 1;
}
