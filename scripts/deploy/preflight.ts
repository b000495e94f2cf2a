import { AimoError } from "@aimo/protocol/errors";
import { type Address, formatEther, type PublicClient, parseAbi } from "viem";
import { PERMIT2 } from "./plan.ts";
import type { TermsParameters } from "./terms.ts";

export type PreflightParameters = TermsParameters & {
  readonly reader: PublicClient;
  readonly chainId: number;
  readonly deployer: Address;
  /** Told what is allowed but worth knowing. */
  readonly note: (line: string) => void;
};

/** Gas of a whole deployment, with a fifth to spare; a test holds it. */
export const GAS_OF_ALL = 36_000_000n;
const LOCAL_CHAIN_IDS: readonly number[] = [31_337, 1_337];
const MAX_DECIMALS = 12;

const tokenAbi = parseAbi(["function decimals() view returns (uint8)"]);

/**
 * Refuses, before anything is sent, what would leave a deployment half done. Throws `config_invalid`, `low_gas`, and
 * `transaction_failed` while transactions of the deployer wait.
 */
export async function checkBeforeDeploying(parameters: PreflightParameters): Promise<void> {
  const { reader, chainId, profile, deployer, token } = parameters;
  if (profile === "local" && !LOCAL_CHAIN_IDS.includes(chainId))
    throw invalid(
      `Profile local has windows of seconds and a test dollar: it is not for chain ${chainId}. Use --profile main.`,
    );
  const [mined, known, balance, fees] = await Promise.all([
    reader.getTransactionCount({ address: deployer, blockTag: "latest" }),
    reader.getTransactionCount({ address: deployer, blockTag: "pending" }),
    reader.getBalance({ address: deployer }),
    reader.estimateFeesPerGas(),
  ]);
  if (known > mined)
    throw new AimoError("transaction_failed", {
      message: `${known - mined} transactions of the deployer ${deployer} wait to be mined; addresses follow from its nonce.`,
      details: { deployer, waiting: known - mined },
    });
  const needed = GAS_OF_ALL * fees.maxFeePerGas;
  if (balance < needed)
    throw new AimoError("low_gas", {
      message: `The deployer ${deployer} has ${formatEther(balance)} of native coin; ${GAS_OF_ALL} gas may cost ${formatEther(needed)}.`,
      details: { address: deployer, balance, needed },
    });
  if (token) await checkToken(reader, token);
  await notePermit2(parameters);
}

async function checkToken(reader: PublicClient, token: Address): Promise<void> {
  const decimals = await reader
    .readContract({ address: token, abi: tokenAbi, functionName: "decimals" })
    .catch(() => undefined);
  if (decimals === undefined) throw invalid(`There is no token with decimals() at ${token}.`);
  if (decimals > MAX_DECIMALS)
    throw invalid(`The token ${token} has ${decimals} decimals; credits have ${MAX_DECIMALS}.`);
}

async function notePermit2({ reader, permit2, note }: PreflightParameters): Promise<void> {
  const address = permit2 ?? PERMIT2;
  const code = await reader.getCode({ address });
  if (!code) note(`There is no Permit2 at ${address}: deposits by Permit2 will be refused on this chain.`);
}

const invalid = (message: string) => new AimoError("config_invalid", { message });
