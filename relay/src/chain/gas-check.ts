import { asking, type Chain } from "@aimo/node/chain";
import type { Log } from "@aimo/node/log";
import { AimoError } from "@aimo/protocol/errors";
import { type Address, formatEther } from "viem";

/** Some tens of posts at usual prices: time for the operator to send more. */
export const MINIMUM_GAS_WEI = 10n ** 16n;
/** A batch of few rows takes some 150,000. */
const POST_GAS = 200_000n;

export type GasCheckParameters = {
  readonly chain: Pick<Chain, "public">;
  /** The relay's hot key, which posts. */
  readonly signer: Address;
  readonly log: Pick<Log, "warn">;
};

/**
 * Asked before a request is taken: what cannot be posted is the relay's loss, and its users' channels are retired for
 * it. Throws `low_gas` when the key cannot pay for one batch; tells when it can pay for few.
 */
export async function requireGas({ chain, signer, log }: GasCheckParameters): Promise<void> {
  const { public: reader } = chain;
  const [balance, { maxFeePerGas }] = await asking("The chain's RPC endpoint", () =>
    Promise.all([reader.getBalance({ address: signer }), reader.estimateFeesPerGas()]),
  );
  const needed = POST_GAS * maxFeePerGas;
  if (balance < needed)
    throw new AimoError("low_gas", {
      message:
        `The relay's key ${signer} has ${formatEther(balance)} of the chain's native coin. It pays the gas of every batch: ` +
        `one takes up to ${formatEther(needed)} now, and ${formatEther(MINIMUM_GAS_WEI)} are advised.`,
      details: { address: signer, balance, needed, advised: MINIMUM_GAS_WEI },
    });
  if (balance < MINIMUM_GAS_WEI)
    log.warn(
      { code: "low_gas", account: signer, balance: `${balance}`, advised: `${MINIMUM_GAS_WEI}` },
      "The relay's key has little native coin for gas; send it some.",
    );
}
