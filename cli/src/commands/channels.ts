import { resolve } from "node:path";
import { loadOrCreateKey } from "@aimo/node/keys";
import * as settlement from "@aimo/protocol/actions/settlement";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { type Address, isAddress } from "viem";
import { readSum, readWhole, timeOf, usd } from "../amounts.ts";
import { channelOf, openChannel, requireActiveRelay } from "../channel.ts";
import { channelState } from "../channel-state.ts";
import {
  CHAIN_OPTIONS,
  type Command,
  type CommandInput,
  RELAY_OPTIONS,
  UsageError,
  WALLET_OPTIONS,
} from "../command.ts";
import type { CliContext } from "../context.ts";
import { creditsOf, ensureCredits } from "../deposit.ts";
import { relayIdOf } from "../relay.ts";
import { loadSettings } from "../settings.ts";
import { openWallet, type Wallet } from "../wallet.ts";

/** What a user does with a channel by its own wallet; none of it needs a relay that works. */

const SECONDS_PER_DAY = 86_400;

const OPTIONS = {
  ...RELAY_OPTIONS,
  ...CHAIN_OPTIONS,
  ...WALLET_OPTIONS,
  relay: { type: "string", value: "ID", summary: "relay id (default: that of the base URL)" },
} as const;

async function open(input: CommandInput, context: CliContext) {
  const settings = await loadSettings(input, context);
  const relayId = await relayIdOf(settings, input.text("relay"));
  return { relayId, wallet: await openWallet(settings, context) };
}

export const channelOpen: Command = {
  name: "channel open",
  summary: "Open a channel to a relay with your credits, depositing what is missing",
  description:
    "A metered channel pays by API key and the relay counts; what it holds is the most that can be lost. With --signed it\n" +
    "pays by vouchers that your session key signs for each request: the relay can collect no more than was signed. `aimo\n" +
    "chat --session-key FILE` and the SDK sign them; clients that do not are refused there (`voucher_required`).",
  arguments: [{ name: "AMOUNT", summary: "USD, e.g. 5 or 0.25" }],
  options: {
    ...OPTIONS,
    days: {
      type: "string",
      value: "N",
      default: "30",
      summary: "how long the relay may serve from the channel",
    },
    signed: { type: "boolean", summary: "pay by signed vouchers" },
    "session-key": {
      type: "string",
      value: "KEY",
      summary:
        "address of the session key, or its key file, which is made when it is missing (default: session.key)",
    },
  },
  examples: [
    "aimo channel open 5 --wallet owner.key",
    "aimo channel open 5 --signed --session-key session.key",
  ],
  async run(input, context) {
    const amount = readSum("AMOUNT", input.argument("AMOUNT") ?? "");
    const days = readWhole("--days", input.text("days") ?? "", [1, 3_650]);
    const isSigned = input.flag("signed");
    const named = input.text("session-key");
    if (named !== undefined && !isSigned)
      throw new UsageError("--session-key is for a channel that is --signed.");
    if (named?.startsWith("0x") && !isAddress(named, { strict: false }))
      throw new UsageError(`--session-key is "${named}", which is no address.`);
    const { relayId, wallet } = await open(input, context);
    await requireActiveRelay(wallet, relayId);
    await refuseRunning(wallet, relayId);
    const session = isSigned ? { sessionKey: await sessionAddress(named ?? "session.key", context) } : {};
    await ensureCredits(wallet, amount);
    const expiry = wallet.chain.time.now() + days * SECONDS_PER_DAY;
    await openChannel(wallet, { relayId, amount, expiry, ...session });
    const state = await channelState(wallet, relayId);
    return { ...state, text: `${state.text}${isSigned ? signedNote(session.sessionKey) : ""}` };
  },
};

const signedNote = (sessionKey: Address | undefined) =>
  ` Its vouchers are signed by ${sessionKey}.\nAn API key alone cannot draw on it: use` +
  " `aimo chat --session-key FILE`, or the SDK's `session`. Other clients are refused (voucher_required).";

/** Before anything is deposited for it. */
async function refuseRunning(wallet: Wallet, relayId: number): Promise<void> {
  const { userId } = await creditsOf(wallet);
  const { available, settleBy } = await channelOf(wallet, relayId, userId);
  if (settleBy < wallet.chain.time.now()) return;
  throw new AimoError("invalid_request", {
    message: `The channel to relay ${relayId} holds ${usd(available)} and runs until ${timeOf(settleBy)}.`,
    hint: "Add to it with `aimo credits buy`, or thaw and withdraw it first.",
  });
}

async function sessionAddress(named: string, context: CliContext): Promise<Address> {
  if (isAddress(named, { strict: false })) return named;
  const path = resolve(context.folder, named);
  const key = await loadOrCreateKey({
    path,
    ...(context.askSecret ? { password: { prompt: context.askSecret } } : {}),
  });
  if (key.created) context.note(`Made the session key in ${path}: whoever has it can spend the channel.`);
  return key.address;
}

export const channelRevokeKey: Command = {
  name: "channel revoke-key",
  summary: "Take the session key of your channel back, when it is lost or stolen",
  description:
    "The relay may serve no longer, collects what was signed until the post window ends, and then the rest can be\n" +
    "withdrawn.",
  options: OPTIONS,
  async run(input, context) {
    const { relayId, wallet } = await open(input, context);
    await requireSigned(wallet, relayId);
    const { deployment } = wallet.chain;
    const label = `Revocation of the session key of the channel to relay ${relayId}`;
    await settlement.revokeSessionKey(wallet, { deployment, relayId, label });
    const state = await channelState(wallet, relayId);
    const until = timeOf(state.json.channel.settleBy);
    return {
      ...state,
      text: `The session key is revoked. What it signed can be collected until ${until}. ${state.text}`,
    };
  },
};

async function requireSigned(wallet: Wallet, relayId: number): Promise<void> {
  const { userId } = await creditsOf(wallet);
  const { epoch, mode } = await channelOf(wallet, relayId, userId);
  if (epoch === 0 || mode === CHANNEL_MODES.signed) return;
  throw new AimoError("invalid_request", {
    message: `The channel to relay ${relayId} is metered: it has no session key. Nothing was sent.`,
    hint: "Ask its credits back with `aimo channel thaw`; a lost API key ends with `aimo keys revoke`.",
  });
}

export const channelThaw: Command = {
  name: "channel thaw",
  summary: "Ask credits back from your channel; they can be withdrawn when the thaw has ended",
  description:
    "Requests cannot use what thaws. One thaw at a time: to change the amount, cancel it and start another.",
  arguments: [{ name: "AMOUNT", summary: "USD (default: all there is)", optional: true }],
  options: OPTIONS,
  async run(input, context) {
    const named = input.argument("AMOUNT");
    const amount = named === undefined ? undefined : readSum("AMOUNT", named);
    const { relayId, wallet } = await open(input, context);
    const { userId } = await creditsOf(wallet);
    const all = (await channelOf(wallet, relayId, userId)).available;
    if (amount !== undefined && amount > all)
      throw new UsageError(
        `AMOUNT is ${usd(amount)}, and the channel to relay ${relayId} holds ${usd(all)}.`,
      );
    const { deployment } = wallet.chain;
    const label = `Thaw of the channel to relay ${relayId}`;
    await settlement.thawChannel(wallet, { deployment, relayId, amount: amount ?? all, label });
    const state = await channelState(wallet, relayId);
    const { thawingPusd, thawEnd } = state.json.channel;
    return { ...state, text: `${usd(thawingPusd)} can be withdrawn from ${timeOf(thawEnd)} on.` };
  },
};

export const channelCancelThaw: Command = {
  name: "channel cancel-thaw",
  summary: "Keep in your channel what you asked back; requests can use it again",
  options: OPTIONS,
  async run(input, context) {
    const { relayId, wallet } = await open(input, context);
    const { deployment } = wallet.chain;
    const label = `End of the thaw of the channel to relay ${relayId}`;
    await settlement.cancelThaw(wallet, { deployment, relayId, label });
    return channelState(wallet, relayId);
  },
};

export const channelWithdraw: Command = {
  name: "channel withdraw",
  summary: "Move what has thawed, or all of a channel that is over, to your free credits",
  options: OPTIONS,
  async run(input, context) {
    const { relayId, wallet } = await open(input, context);
    const { deployment } = wallet.chain;
    const label = `Withdrawal from the channel to relay ${relayId}`;
    await settlement.withdrawChannel(wallet, { deployment, relayId, label });
    return channelState(wallet, relayId);
  },
};
