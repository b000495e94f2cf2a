import { ERRORS } from "@aimo/protocol/errors";
import type { ChannelJson, CreditsJson } from "@aimo/protocol/routes";
import { privateKeyToAccount } from "viem/accounts";
import { readSum, readWhole, timeOf, usd } from "../amounts.ts";
import { authorizeChannel, fundChannel, requireFundable } from "../channel.ts";
import { channelState, channelsOf } from "../channel-state.ts";
import { CHAIN_OPTIONS, type Command, RELAY_OPTIONS, UsageError, WALLET_OPTIONS } from "../command.ts";
import { creditsOf, deposit } from "../deposit.ts";
import { openClient, relayIdOf } from "../relay.ts";
import { refuseRetired } from "../retired.ts";
import { openSession } from "../session.ts";
import { loadSettings } from "../settings.ts";
import { loadWalletKey, openChain, openWallet } from "../wallet.ts";

const SECONDS_PER_DAY = 86_400;

export const buy: Command = {
  name: "credits buy",
  summary: "Pay tokens of your wallet into credits, and put them into your channel to the relay",
  description:
    "Deposits with a permit (one transaction), then opens the channel to the relay, or tops it up and extends it. With\n" +
    "--gasless nothing is deposited: your signature lets the relay fill the channel from your free credits, at its gas.",
  arguments: [{ name: "AMOUNT", summary: "USD, e.g. 5 or 0.25" }],
  options: {
    ...RELAY_OPTIONS,
    ...CHAIN_OPTIONS,
    ...WALLET_OPTIONS,
    relay: { type: "string", value: "ID", summary: "relay id (default: that of the base URL)" },
    days: {
      type: "string",
      value: "N",
      default: "30",
      summary: "how long the relay may serve from the channel",
    },
    channel: { type: "boolean", default: true, summary: "deposit only; leave the channel alone" },
    gasless: { type: "boolean", summary: "let the relay fill the channel from free credits" },
  },
  examples: ["aimo credits buy 5 --wallet owner.key", "aimo credits buy 2 --gasless"],
  async run(input, context) {
    const amount = readSum("AMOUNT", input.argument("AMOUNT") ?? "");
    const days = readWhole("--days", input.text("days") ?? "", [1, 3_650]);
    const isGasless = input.flag("gasless");
    if (isGasless && !input.flag("channel"))
      throw new UsageError("--gasless fills the channel: leave --no-channel out.");
    const settings = await loadSettings(input, context);
    const wallet = await openWallet(settings, context);
    if (!input.flag("channel")) {
      await deposit(wallet, amount);
      const { userId, free } = await creditsOf(wallet);
      return { text: `User ${userId} has ${usd(free)} of free credits.`, json: { userId, freePusd: free } };
    }
    const relayId = await relayIdOf(settings, input.text("relay"));
    const running = await requireFundable(wallet, relayId);
    if (running) await refuseRetired(settings, context, running);
    const plan = { relayId, amount, expiry: wallet.chain.time.now() + days * SECONDS_PER_DAY };
    if (isGasless) await authorizeChannel(wallet, (await openSession(settings, context)).client, plan);
    else {
      await deposit(wallet, amount);
      await fundChannel(wallet, plan);
    }
    return channelState(wallet, relayId);
  },
};

export const balance: Command = {
  name: "credits balance",
  summary: "Show your credits and your channel to the relay",
  description:
    "Asks the relay with your API key. With --wallet it asks the chain instead, and needs no key and no relay that works:\n" +
    "it lists your channels to all relays. What a relay has not settled yet, and whether it still charges a channel, it\n" +
    "alone knows.",
  options: { ...RELAY_OPTIONS, ...CHAIN_OPTIONS, ...WALLET_OPTIONS },
  async run(input, context) {
    const settings = await loadSettings(input, context);
    if (input.text("wallet") === undefined) return relayBalance(await openClient(settings).credits());
    const account = privateKeyToAccount((await loadWalletKey(settings, context)).privateKey);
    const wallet = { chain: await openChain(settings), account };
    const { userId, free } = await creditsOf(wallet);
    const channels = await channelsOf(wallet, userId);
    const lines = [`User ${userId} (${account.address}): ${usd(free)} of free credits.`];
    for (const { relayId, availablePusd, spentPusd, thawingPusd, thawEnd } of channels) {
      lines.push(`Channel to relay ${relayId}: ${usd(availablePusd)} left, ${usd(spentPusd)} spent.`);
      lines.push(...thawLines(thawingPusd, thawEnd));
    }
    if (channels.length === 0) lines.push("No channel to any relay.");
    return { text: lines.join("\n"), json: { userId, owner: account.address, freePusd: free, channels } };
  },
};

/** What the relay says of the account. */
function relayBalance({ aimo }: CreditsJson) {
  const free = BigInt(aimo.credits_pusd);
  const channel = aimo.channel && channelOfRelay(aimo.channel);
  const lines = channel
    ? channelLines(channel)
    : ["No channel to this relay: open one with `aimo credits buy`."];
  return {
    text: [`Free credits: ${usd(free)}.`, ...lines].join("\n"),
    json: { freePusd: free, channels: channel ? [channel] : [] },
  };
}

type RelayChannel = ReturnType<typeof channelOfRelay>;

/** Its names are this program's, as everywhere in its JSON. */
function channelOfRelay(channel: ChannelJson) {
  const { relay: relayId, user: userId, epoch, mode, voucher_pusd: voucherPusd, retired } = channel;
  return {
    ...{ relayId, userId, epoch, mode },
    limitPusd: BigInt(channel.limit_pusd),
    availablePusd: BigInt(channel.free_pusd),
    chargedPusd: BigInt(channel.charged_pusd),
    settledPusd: BigInt(channel.settled_pusd),
    pendingPusd: BigInt(channel.pending_pusd),
    heldPusd: BigInt(channel.held_pusd),
    thawingPusd: BigInt(channel.thawing_pusd ?? 0),
    thawEnd: channel.thaw_end ?? 0,
    ...(voucherPusd === undefined ? {} : { voucherPusd: BigInt(voucherPusd) }),
    ...(retired === undefined ? {} : { retired }),
  };
}

function channelLines(channel: RelayChannel): string[] {
  const { relayId, retired, thawingPusd, thawEnd } = channel;
  const why = retired === undefined ? [] : [`  retired: ${retired} ${ERRORS.channel_retired.hint}`];
  return [
    `Channel to relay ${relayId}: ${usd(channel.availablePusd)} left of ${usd(channel.limitPusd)}.`,
    ...why,
    `  charged ${usd(channel.chargedPusd)} (${usd(channel.settledPusd)} of it settled on the chain)`,
    `  pending ${usd(channel.pendingPusd)}, held for requests in flight ${usd(channel.heldPusd)}`,
    ...thawLines(thawingPusd, thawEnd),
  ];
}

/** What was asked back is still in the channel, but no request can use it. */
function thawLines(thawing: bigint, thawEnd: number): string[] {
  if (thawEnd === 0) return [];
  const what = `  thawing ${usd(thawing)}, which requests cannot use`;
  return [`${what}: withdraw it from ${timeOf(thawEnd)} on, or keep it with \`aimo channel cancel-thaw\``];
}
