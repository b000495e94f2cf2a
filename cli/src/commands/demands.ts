import { fraudProofsAbi } from "@aimo/protocol/abi/fraud-proofs";
import * as fraudProofs from "@aimo/protocol/actions/fraud-proofs";
import { AimoError } from "@aimo/protocol/errors";
import { type Demand, demandArguments } from "@aimo/protocol/proofs";
import { type Hex, isHex, parseEventLogs } from "viem";
import { readWhole, timeOf, usd } from "../amounts.ts";
import { CHAIN_OPTIONS, type Command, RELAY_OPTIONS, UsageError, WALLET_OPTIONS } from "../command.ts";
import { creditsOf } from "../deposit.ts";
import { findBackwards, readPosted, rowOf } from "../posted.ts";
import { relayIdOf } from "../relay.ts";
import { loadSettings } from "../settings.ts";
import { openWallet, type Wallet } from "../wallet.ts";

/** How a user makes a relay show, on the chain, what it billed. Needs no relay that works. */

const MAX_BATCH = Number.MAX_SAFE_INTEGER;
const MAX_LEAF = 2 ** 32 - 1;

export const demand: Command = {
  name: "bill demand",
  summary: "Make a relay show on the chain a receipt that it billed you and hides",
  description:
    "For what `aimo bill verify` calls dropped or unproven: it names batch and leaf. Locks 2 USD of your free credits, or\n" +
    "5 % of what the batch took from you if that is more. The relay gets them when it shows a receipt that holds; when it\n" +
    "does not, `aimo bill resolve` brings them back with what the batch took from you, out of the relay's bond. Only until\n" +
    "the batch is final, and once for each receipt. Other frauds are proven with `@aimo/protocol/proofs`.",
  arguments: [
    { name: "BATCH", summary: "number of the batch" },
    { name: "LEAF", summary: "index of the receipt in your part of it, from 0" },
  ],
  options: {
    ...RELAY_OPTIONS,
    ...CHAIN_OPTIONS,
    ...WALLET_OPTIONS,
    relay: { type: "string", value: "ID", summary: "relay id (default: that of the base URL)" },
  },
  examples: ["aimo bill demand 12 0 --wallet owner.key"],
  async run(input, context) {
    const batchNo = BigInt(readWhole("BATCH", input.argument("BATCH") ?? "", [0, MAX_BATCH]));
    const leaf = readWhole("LEAF", input.argument("LEAF") ?? "", [0, MAX_LEAF]);
    const settings = await loadSettings(input, context);
    const relayId = await relayIdOf(settings, input.text("relay"));
    const wallet = await openWallet(settings, context);
    const { userId } = await creditsOf(wallet);
    const posted = await readPosted(wallet, { relayId, batchNo });
    const [row, leafIndex] = demandArguments(posted, rowOf(posted, userId), leaf);
    const { deployment } = wallet.chain;
    const label = `Demand of receipt ${leaf} in batch ${batchNo} of relay ${relayId}`;
    const { logs } = await wallet.send(fraudProofs.demand.request({ deployment, row, leafIndex, label }));
    const [event] = parseEventLogs({ abi: fraudProofsAbi, eventName: "Demanded", logs });
    if (!event) throw new AimoError("internal_error", { message: "The transaction made no demand." });
    const { demandId, demand: made } = event.args;
    return {
      text:
        `Relay ${relayId} has to show the receipt by ${timeOf(made.deadline)}; ${usd(made.bond)} are locked until then.\n` +
        `After that: aimo bill resolve ${demandId}`,
      json: { demandId, relayId, batchNo, leaf, bondPusd: made.bond, deadline: made.deadline },
    };
  },
};

export const resolve: Command = {
  name: "bill resolve",
  summary: "End a demand: refunds you when the relay did not answer in time, tells when it did",
  arguments: [{ name: "DEMAND", summary: "id that `aimo bill demand` printed" }],
  options: { ...CHAIN_OPTIONS, ...WALLET_OPTIONS },
  async run(input, context) {
    const demandId = input.argument("DEMAND") ?? "";
    if (!isHex(demandId) || demandId.length !== 66)
      throw new UsageError(`DEMAND is "${demandId}": use the 0x… that \`aimo bill demand\` printed.`);
    const wallet = await openWallet(await loadSettings(input, context), context);
    const { public: reader, deployment } = wallet.chain;
    const open = await findDemand(wallet, demandId);
    if (!(await fraudProofs.isOpen(reader, { deployment, demandId }))) {
      const text = `The demand is closed: relay ${open.relayId} answered it, or it was resolved before.`;
      return { text, json: { demandId, isOpen: false, lossPusd: 0n } };
    }
    const label = `Resolution of the demand against relay ${open.relayId}`;
    const { logs } = await wallet.send(fraudProofs.resolve.request({ deployment, open, label }));
    const [event] = parseEventLogs({ abi: fraudProofsAbi, eventName: "Defaulted", logs });
    const loss = event?.args.loss ?? 0n;
    const { free } = await creditsOf(wallet);
    return {
      text: `Relay ${open.relayId} did not answer: user ${open.userId} is owed ${usd(loss)} of its bond. You have ${usd(free)} of free credits.`,
      json: { demandId, isOpen: false, lossPusd: loss, freePusd: free },
    };
  },
};

/** A demand out of its event: the contract keeps its hash alone. Throws `not_found`. */
async function findDemand(wallet: Wallet, demandId: Hex): Promise<Demand> {
  const { public: reader, deployment } = wallet.chain;
  const address = deployment.contracts.fraudProofs;
  const found = await findBackwards(wallet, async (blocks) => {
    const query = { address, abi: fraudProofsAbi, eventName: "Demanded", args: { demandId } } as const;
    const [event] = await reader.getContractEvents({ ...query, ...blocks, strict: true });
    return event?.args.demand;
  });
  if (found) return found;
  throw new AimoError("not_found", { message: `There was never a demand ${demandId}.` });
}
