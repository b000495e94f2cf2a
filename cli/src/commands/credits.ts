import type { CreditsJson } from "@aimo/protocol/routes";
import { privateKeyToAccount } from "viem/accounts";
import { readSum, readWhole, timeOf, usd } from "../amounts.ts";
import { authorizeChannel, channelOf, fundChannel, requireFundable } from "../channel.ts";
import { CHAIN_OPTIONS, type Command, RELAY_OPTIONS, UsageError, WALLET_OPTIONS } from "../command.ts";
import { creditsOf, deposit } from "../deposit.ts";
import { openClient, relayIdOf } from "../relay.ts";
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
    await requireFundable(wallet, relayId);
    const plan = { relayId, amount, expiry: wallet.chain.time.now() + days * SECONDS_PER_DAY };
    if (isGasless) await authorizeChannel(wallet, (await openSession(settings, context)).client, plan);
    else {
      await deposit(wallet, amount);
      await fundChannel(wallet, plan);
    }
    const { userId, free } = await creditsOf(wallet);
    const { available, epoch } = await channelOf(wallet, relayId, userId);
    return {
      text: `User ${userId} has ${usd(available)} in its channel to relay ${relayId}, and ${usd(free)} of free credits.`,
      json: { userId, relayId, epoch, channelPusd: available, freePusd: free },
    };
  },
};

export const balance: Command = {
  name: "credits balance",
  summary: "Show your credits and your channel to the relay",
  description:
    "Asks the relay with your API key. With --wallet it asks the chain instead, and needs no key and no relay that works.",
  options: { ...RELAY_OPTIONS, ...CHAIN_OPTIONS, ...WALLET_OPTIONS },
  async run(input, context) {
    const settings = await loadSettings(input, context);
    if (input.text("wallet") === undefined) {
      const credits = await openClient(settings).credits();
      return { text: relayText(credits), json: credits };
    }
    const account = privateKeyToAccount((await loadWalletKey(settings, context)).privateKey);
    const wallet = { chain: await openChain(settings), account };
    const { userId, free } = await creditsOf(wallet);
    const relayId = await relayIdOf(settings).catch(() => undefined);
    const channel = relayId === undefined ? undefined : await channelOf(wallet, relayId, userId);
    const lines = [`User ${userId} (${account.address}): ${usd(free)} of free credits.`];
    if (channel) {
      lines.push(`Channel to relay ${relayId}: ${usd(channel.available)} left, ${usd(channel.spent)} spent.`);
      lines.push(...thawLines(channel.thawAmount, channel.thawEnd));
    }
    return {
      text: lines.join("\n"),
      json: { userId, owner: account.address, freePusd: free, relayId, channel },
    };
  },
};

function relayText({ aimo }: CreditsJson): string {
  const free = `Free credits: ${usd(BigInt(aimo.credits_pusd))}.`;
  if (!aimo.channel) return `${free}\nNo channel to this relay: open one with \`aimo credits buy\`.`;
  const { relay, free_pusd, charged_pusd, pending_pusd, held_pusd, settled_pusd, limit_pusd } = aimo.channel;
  const { thawing_pusd = "0", thaw_end = 0 } = aimo.channel;
  const amount = (text: string) => usd(BigInt(text));
  return [
    free,
    `Channel to relay ${relay}: ${amount(free_pusd)} left of ${amount(limit_pusd)}.`,
    `  charged ${amount(charged_pusd)} (${amount(settled_pusd)} of it settled on the chain)`,
    `  pending ${amount(pending_pusd)}, held for requests in flight ${amount(held_pusd)}`,
    ...thawLines(BigInt(thawing_pusd), thaw_end),
  ].join("\n");
}

/** What was asked back is still in the channel, but no request can use it. */
function thawLines(thawing: bigint, thawEnd: number): string[] {
  if (thawEnd === 0) return [];
  const what = `  thawing ${usd(thawing)}, which requests cannot use`;
  return [`${what}: withdraw it from ${timeOf(thawEnd)} on, or keep it with \`aimo channel cancel-thaw\``];
}
