import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { relayCount } from "@aimo/protocol/actions/registry";
import { claimProvider, providerAccountOf } from "@aimo/protocol/actions/settlement";
import { type Address, isAddress, parseEventLogs } from "viem";
import { readWhole, usd } from "../amounts.ts";
import { CHAIN_OPTIONS, type Command, UsageError, WALLET_OPTIONS } from "../command.ts";
import { idOf } from "../register.ts";
import { loadSettings } from "../settings.ts";
import { openWallet, type Wallet } from "../wallet.ts";

export const claim: Command = {
  name: "provider claim",
  summary: "Take out what your provider earned, as tokens",
  options: {
    ...CHAIN_OPTIONS,
    ...WALLET_OPTIONS,
    relays: {
      type: "string",
      value: "IDS",
      summary: "relays to claim from, separated by commas (default: all)",
    },
    to: { type: "string", value: "ADDRESS", summary: "who gets the tokens (default: the wallet)" },
  },
  async run(input, context) {
    const named = input.text("to");
    if (named !== undefined && !isAddress(named))
      throw new UsageError(`--to is "${named}", which is no address.`);
    const wallet = await openWallet(await loadSettings(input, context), context);
    const providerId = await idOf(wallet, "provider");
    const relays = input.text("relays")?.split(",");
    const relayIds =
      relays?.map((id) => readWhole("--relays", id.trim(), [1, 2 ** 32 - 1])) ?? (await allRelays(wallet));
    const owed = await claimableOf(wallet, providerId, relayIds);
    if (owed.length === 0)
      return { text: `Provider ${providerId} has nothing to claim.`, json: { providerId, claimedPusd: 0n } };
    const to = named ?? wallet.account.address;
    const claimed = await send(wallet, { providerId, relayIds: owed, to });
    return {
      text: `Provider ${providerId} was paid ${usd(claimed)} to ${to}.`,
      json: { providerId, relayIds: owed, to, claimedPusd: claimed },
    };
  },
};

/** There are few relays; a network with very many needs --relays. */
const MAX_RELAYS_ASKED = 500;

async function allRelays({ chain }: Wallet): Promise<number[]> {
  const count = await relayCount(chain.public, { deployment: chain.deployment });
  if (count > MAX_RELAYS_ASKED) throw new UsageError(`There are ${count} relays: name yours with --relays.`);
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** The relays at which there is something to claim. */
async function claimableOf(
  { chain }: Wallet,
  providerId: number,
  relayIds: readonly number[],
): Promise<number[]> {
  const { public: reader, deployment } = chain;
  const owed: number[] = [];
  for (const relayId of relayIds) {
    const account = await providerAccountOf(reader, { deployment, relayId, providerId });
    if (account.claimable > 0n) owed.push(relayId);
  }
  return owed;
}

type ClaimParameters = {
  readonly providerId: number;
  readonly relayIds: readonly number[];
  readonly to: Address;
};

async function send(wallet: Wallet, parameters: ClaimParameters): Promise<bigint> {
  const { deployment } = wallet.chain;
  const label = `Claim of provider ${parameters.providerId}`;
  const { logs } = await wallet.send(claimProvider.request({ deployment, ...parameters, label }));
  const claims = parseEventLogs({ abi: settlementAbi, eventName: "ProviderClaimed", logs });
  return claims.reduce((sum, { args }) => sum + args.amount, 0n);
}
