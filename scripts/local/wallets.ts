import { waitForReceipt } from "@aimo/protocol/action";
import * as vault from "@aimo/protocol/actions/credit-vault";
import { approve, mint } from "@aimo/protocol/actions/test-dollar";
import type { Deployment } from "@aimo/protocol/deployment";
import { fromTokenUnits, PUSD_PER_TOKEN_UNIT } from "@aimo/protocol/units";
import {
  type Abi,
  type Account,
  type Address,
  createPublicClient,
  createWalletClient,
  type Hex,
  http,
  parseEther,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";

/** The mnemonic of every Hardhat network: public, so worth nothing anywhere else. */
const MNEMONIC = "test test test test test test test test test test test junk";

/** Who is who among the accounts of a local network. */
export const ACCOUNT = { deployer: 0, treasury: 1, relayOwner: 2, providerOwner: 5, user: 12 } as const;

export type LocalWallet = ReturnType<typeof localWallet>;

/** Wallet of account `index` of the local mnemonic. It has native coin from the start. */
export function localWallet(rpcUrl: string, index: number) {
  return createWalletClient({
    account: mnemonicToAccount(MNEMONIC, { addressIndex: index }),
    chain: hardhat,
    transport: http(rpcUrl),
    pollingInterval: 50,
  });
}

/** Private key of account `index`, for programs that want one in a file. */
export function localPrivateKey(index: number): Hex {
  const key = mnemonicToAccount(MNEMONIC, { addressIndex: index }).getHdKey().privateKey;
  if (!key) throw new Error(`Account ${index} has no private key.`);
  return `0x${Buffer.from(key).toString("hex")}`;
}

export function localReader(rpcUrl: string) {
  return createPublicClient({ chain: hardhat, transport: http(rpcUrl), pollingInterval: 50 });
}

type Call = {
  readonly address: Address;
  readonly abi: Abi | readonly unknown[];
  readonly functionName: string;
  readonly args?: readonly unknown[];
};

/** Simulates, sends and waits: a refusal names the contract's reason. */
export async function write(
  rpcUrl: string,
  wallet: { readonly account: Account } & LocalWallet,
  call: Call,
): Promise<Hex> {
  const reader = localReader(rpcUrl);
  const { request } = await reader.simulateContract({ ...call, account: wallet.account } as never);
  const hash = await wallet.writeContract(request as never);
  await reader.waitForTransactionReceipt({ hash });
  return hash;
}

/** Mints test dollars to an address and gives it native coin. `amount` in pUSD, whole token units. */
export async function faucet(
  rpcUrl: string,
  deployment: Deployment,
  to: Address,
  amount: bigint,
): Promise<void> {
  const deployer = localWallet(rpcUrl, ACCOUNT.deployer);
  const reader = localReader(rpcUrl);
  const minted = await mint(deployer, { deployment, to, amount: amount / PUSD_PER_TOKEN_UNIT });
  await waitForReceipt(reader, { hash: minted });
  if ((await reader.getBalance({ address: to })) < parseEther("1")) {
    const hash = await deployer.sendTransaction({ to, value: parseEther("10") });
    await waitForReceipt(reader, { hash });
  }
}

/** Mints, approves and deposits `amount` pUSD of credits for the wallet's own account. */
export async function deposit(
  rpcUrl: string,
  deployment: Deployment,
  wallet: LocalWallet,
  amount: bigint,
): Promise<void> {
  const tokens = amount / PUSD_PER_TOKEN_UNIT;
  const owner = wallet.account.address;
  const reader = localReader(rpcUrl);
  await faucet(rpcUrl, deployment, owner, fromTokenUnits(tokens));
  const spender = deployment.contracts.vault;
  const approved = await approve(wallet, { deployment, spender, value: tokens });
  await waitForReceipt(reader, { hash: approved });
  const deposited = await vault.deposit(wallet, { deployment, owner, tokens });
  await waitForReceipt(reader, { hash: deposited });
}
