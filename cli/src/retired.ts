import { AimoError, isAimoError } from "@aimo/protocol/errors";
import type { ChannelJson } from "@aimo/protocol/routes";
import { AimoError as RelayError } from "@aimo/sdk";
import type { CliContext } from "./context.ts";
import { openClient } from "./relay.ts";
import { openSession } from "./session.ts";
import type { Settings } from "./settings.ts";

type Channel = { readonly relayId: number; readonly userId: number };

/**
 * Asked before money goes into a channel that runs: whether the relay still charges it, which the relay alone knows.
 * Throws `channel_retired`. A relay that does not answer is no reason to stop, but is told.
 */
export async function refuseRetired(
  settings: Settings,
  context: CliContext,
  channel: Channel,
): Promise<void> {
  const { relayId } = channel;
  const known = await askRelay(settings, context, channel).catch((error: unknown) => {
    if (!isAimoError(error) && !(error instanceof RelayError)) throw error;
    context.note(`Relay ${relayId} does not say whether it still charges the channel: ${error.message}`);
    return undefined;
  });
  if (known?.retired === undefined) return;
  throw new AimoError("channel_retired", {
    message: `Relay ${relayId} can charge this channel no more: ${known.retired} Nothing was sent.`,
  });
}

/** By the account's API key where there is one, else signed in with the wallet. */
async function askRelay(
  settings: Settings,
  context: CliContext,
  { relayId, userId }: Channel,
): Promise<ChannelJson | undefined> {
  // The base URL is another relay's.
  if (settings.relayId !== undefined && settings.relayId !== relayId) return undefined;
  const isIt = (found: ChannelJson | null) => found?.relay === relayId && found.user === userId;
  if (settings.apiKey !== undefined) {
    const { channel } = (await openClient(settings).credits()).aimo;
    if (channel && isIt(channel)) return channel;
  }
  const { client } = await openSession(settings, context);
  return (await client.channels.list()).data.find(isIt);
}
