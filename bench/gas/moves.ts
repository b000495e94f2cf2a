import { sign } from "@aimo/node/fast-crypto";
import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { reservesAbi } from "@aimo/protocol/abi/reserves";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { testDollarAbi } from "@aimo/protocol/abi/test-dollar";
import { digestOf } from "@aimo/protocol/typed-data";
import { PUSD_PER_TOKEN_UNIT, PUSD_PER_USD } from "@aimo/protocol/units";
import { ACCOUNT } from "../../scripts/local/wallets.ts";
import type { Figures } from "./batches.ts";
import type { Call } from "./chain.ts";
import { CHANNEL, openCall } from "./people.ts";
import { accountOf, callAll, type Person, type World, YEAR } from "./world.ts";

const TOKENS = 10n ** 9n;
/** Relay buckets are 70 s; two of them and what is in them is earned. */
const TILL_EARNED = 150;

/** What single transactions of users, relays and providers cost. */
export async function measureMoves(
  world: World,
): Promise<{ readonly figures: Figures; readonly user: Person }> {
  world.progress("single transactions");
  const { chain, at, metered, signed, provider } = world;
  const user = accountOf(ACCOUNT.user);
  const token = { address: at.token, abi: testDollarAbi };
  const vault = { address: at.vault, abi: creditVaultAbi };
  const settlement = { address: at.settlement, abi: settlementAbi };
  const reserves = { address: at.reserves, abi: reservesAbi };
  await callAll(world, [{ ...token, functionName: "mint", args: [user.address, 10n * TOKENS] }]);
  const gasOf = async (who: Person, call: Call) => Number((await chain.send(who.address, call)).gasUsed);
  const by = { user, relay: metered.owner, provider: provider.owner };
  await gasOf(user, { ...token, functionName: "approve", args: [at.vault, 10n * TOKENS] });
  const deposit = { ...vault, functionName: "deposit", args: [user.address, TOKENS] };
  const until = chain.now() + YEAR;
  const pair = [metered.id, provider.id];
  const open = [metered.id, CHANNEL, until, 0, `0x${"00".repeat(20)}`];
  const voucher = (cumulative: bigint): Call => {
    const message = { relayId: metered.id, providerId: provider.id, cumulative };
    const signature = sign(digestOf(world.separator, "ProviderVoucher", message), metered.signer.key);
    const args = [message, signature, provider.owner.address];
    return { ...reserves, functionName: "redeemProviderVoucher", args };
  };
  const figures = {
    depositFirst: await gasOf(user, deposit),
    deposit: await gasOf(user, deposit),
    openChannelBySig: await gasOf(
      world.deployer,
      openCall(world, user, { relayId: signed.id, mode: 1, nonce: 0n }),
    ),
    openChannel: await gasOf(user, { ...settlement, functionName: "openChannel", args: open }),
    topUpChannel: await gasOf(user, {
      ...settlement,
      functionName: "topUpChannel",
      args: [metered.id, CHANNEL],
    }),
    extendChannel: await gasOf(user, {
      ...settlement,
      functionName: "extendChannel",
      args: [metered.id, until + 60],
    }),
    thawChannel: await gasOf(user, {
      ...settlement,
      functionName: "thawChannel",
      args: [metered.id, CHANNEL],
    }),
    fundReserve: await gasOf(by.relay, {
      ...{ ...reserves, functionName: "fundReserve" },
      args: [...pair, 1_000n * PUSD_PER_USD],
    }),
    redeemVoucherFirst: await gasOf(by.provider, voucher(1_234_567_890_123n)),
    redeemVoucher: await gasOf(by.provider, voucher(3_456_789_012_345n)),
    withdraw: await gasOf(user, {
      ...{ ...vault, functionName: "withdraw" },
      args: [PUSD_PER_USD + PUSD_PER_TOKEN_UNIT, user.address],
    }),
  };
  chain.skip(TILL_EARNED);
  const claims = {
    withdrawChannel: await gasOf(user, {
      ...settlement,
      functionName: "withdrawChannel",
      args: [metered.id],
    }),
    claimRelay: await gasOf(by.relay, {
      ...{ ...settlement, functionName: "claimRelay" },
      args: [metered.id, by.relay.address],
    }),
  };
  return { figures: { ...figures, ...claims }, user };
}
