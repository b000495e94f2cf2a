import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
import { AimoError } from "@aimo/protocol/errors";
import { fromTokenUnits, toTokenUnits } from "@aimo/protocol/units";
import { parseSignature } from "viem";
import { usd } from "./amounts.ts";
import { ask } from "./read.ts";
import type { Wallet } from "./wallet.ts";

const PERMIT_TYPES = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
} as const;
/** A permit is used at once; this covers a slow block. */
const PERMIT_SECONDS = 1_800n;

/** Pays tokens of the wallet into its credits, with a permit: one transaction. `amount` in pUSD, whole token units. */
export async function deposit(wallet: Wallet, amount: bigint): Promise<void> {
  const { chain, account } = wallet;
  const { vault, token } = chain.deployment.contracts;
  const tokens = toTokenUnits(amount);
  if (tokens === 0n || fromTokenUnits(tokens) !== amount)
    throw new AimoError("invalid_request", {
      message: `${usd(amount)} is not a whole number of the token's units of 0.000001 USD.`,
    });
  await refuseTooLittle(wallet, tokens);
  const { deadline, v, r, s } = await signPermit(wallet, tokens);
  await wallet.send({
    to: vault,
    abi: creditVaultAbi,
    functionName: "depositWithPermit",
    args: [account.address, tokens, deadline, v, r, s],
    label: `Deposit of ${usd(amount)} (token ${token})`,
  });
}

async function refuseTooLittle({ chain, account }: Wallet, tokens: bigint): Promise<void> {
  const { token } = chain.deployment.contracts;
  const has = await ask(() =>
    chain.public.readContract({
      address: token,
      abi: testDollarAbi,
      functionName: "balanceOf",
      args: [account.address],
    }),
  );
  if (has >= tokens) return;
  const hint =
    chain.deployment.profile === "local" ? ` Get test dollars: aimo dev faucet ${account.address}` : "";
  throw new AimoError("insufficient_credits", {
    message: `${account.address} holds ${usd(fromTokenUnits(has))} in tokens, this needs ${usd(fromTokenUnits(tokens))}.${hint}`,
  });
}

async function signPermit({ chain, account }: Wallet, value: bigint) {
  const { token, vault } = chain.deployment.contracts;
  const contract = { address: token, abi: testDollarAbi } as const;
  const [domain, nonce, block] = await ask(() =>
    Promise.all([
      chain.public.readContract({ ...contract, functionName: "eip712Domain" }),
      chain.public.readContract({ ...contract, functionName: "nonces", args: [account.address] }),
      chain.public.getBlock(),
    ]),
  );
  const [, name, version, chainId, verifyingContract] = domain;
  const deadline = block.timestamp + PERMIT_SECONDS;
  const signature = await account.signTypedData({
    domain: { name, version, chainId, verifyingContract },
    types: PERMIT_TYPES,
    primaryType: "Permit",
    message: { owner: account.address, spender: vault, value, nonce, deadline },
  });
  const { r, s, yParity } = parseSignature(signature);
  return { deadline, v: 27 + yParity, r, s };
}

/** Makes sure that the wallet's free credits are at least `amount` pUSD, depositing what is missing. */
export async function ensureCredits(wallet: Wallet, amount: bigint): Promise<void> {
  const { free } = await creditsOf(wallet);
  if (free >= amount) return;
  // Up to whole token units: what is over stays in the credits.
  const missing = amount - free;
  const rounded = fromTokenUnits(toTokenUnits(missing));
  await deposit(wallet, rounded < missing ? rounded + fromTokenUnits(1n) : rounded);
}

export type Credits = { readonly userId: number; readonly free: bigint; readonly nonce: bigint };

/** Account of the wallet in the vault; user id 0 when it never got a deposit. */
export async function creditsOf(wallet: Pick<Wallet, "chain" | "account">): Promise<Credits> {
  const { chain, account } = wallet;
  const vault = { address: chain.deployment.contracts.vault, abi: creditVaultAbi } as const;
  const userId = await ask(() =>
    chain.public.readContract({ ...vault, functionName: "userIdOf", args: [account.address] }),
  );
  if (userId === 0) return { userId, free: 0n, nonce: 0n };
  const { free, nonce } = await ask(() =>
    chain.public.readContract({ ...vault, functionName: "accountOf", args: [userId] }),
  );
  return { userId, free, nonce };
}
