import { accountOf, depositWithPermit, userIdOf } from "@aimo/protocol/actions/credit-vault";
import { balanceOf, eip712Domain, nonces } from "@aimo/protocol/actions/test-dollar";
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
  const { deployment } = chain;
  const tokens = toTokenUnits(amount);
  if (tokens === 0n || fromTokenUnits(tokens) !== amount)
    throw new AimoError("invalid_request", {
      message: `${usd(amount)} is not a whole number of the token's units of 0.000001 USD.`,
    });
  await refuseTooLittle(wallet, tokens);
  const permit = await signPermit(wallet, tokens);
  const label = `Deposit of ${usd(amount)} (token ${deployment.contracts.token})`;
  await depositWithPermit(wallet, { deployment, owner: account.address, tokens, ...permit, label });
}

async function refuseTooLittle({ chain, account }: Wallet, tokens: bigint): Promise<void> {
  const { public: reader, deployment } = chain;
  const has = await balanceOf(reader, { deployment, account: account.address });
  if (has >= tokens) return;
  const hint =
    deployment.profile === "local"
      ? `Get test dollars: aimo dev faucet ${account.address}`
      : `Send tokens (${deployment.contracts.token}) to the wallet, or choose a smaller amount.`;
  throw new AimoError("insufficient_credits", {
    message: `${account.address} holds ${usd(fromTokenUnits(has))} in tokens, this needs ${usd(fromTokenUnits(tokens))}.`,
    hint,
  });
}

async function signPermit({ chain, account }: Wallet, value: bigint) {
  const { public: reader, deployment } = chain;
  const [domain, nonce, block] = await Promise.all([
    eip712Domain(reader, { deployment }),
    nonces(reader, { deployment, owner: account.address }),
    ask(() => reader.getBlock()),
  ]);
  const { name, version, chainId, verifyingContract } = domain;
  const spender = deployment.contracts.vault;
  const deadline = block.timestamp + PERMIT_SECONDS;
  const signature = await account.signTypedData({
    domain: { name, version, chainId, verifyingContract },
    types: PERMIT_TYPES,
    primaryType: "Permit",
    message: { owner: account.address, spender, value, nonce, deadline },
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
  const { public: reader, deployment } = chain;
  const userId = await userIdOf(reader, { deployment, owner: account.address });
  if (userId === 0) return { userId, free: 0n, nonce: 0n };
  return { userId, ...(await accountOf(reader, { deployment, userId })) };
}
