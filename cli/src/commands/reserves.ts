import { resolve } from "node:path";
import { reservesAbi } from "@aimo/protocol/abi/reserves";
import { pairsOfRelay } from "@aimo/protocol/actions/lens";
import { ownerOf, providerCount } from "@aimo/protocol/actions/registry";
import * as reserves from "@aimo/protocol/actions/reserves";
import { providerAccountOf } from "@aimo/protocol/actions/settlement";
import { ROLES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import { type Address, type Hex, isAddress, isAddressEqual, isHex, parseEventLogs } from "viem";
import { readSum, readUsd, readWhole, table, timeOf, usd } from "../amounts.ts";
import { CHAIN_OPTIONS, type Command, type CommandInput, UsageError, WALLET_OPTIONS } from "../command.ts";
import type { CliContext } from "../context.ts";
import { ensureCredits } from "../deposit.ts";
import { readJsonIfThere } from "../files.ts";
import { idOf } from "../register.ts";
import { loadSettings } from "../settings.ts";
import { openWallet, type Wallet } from "../wallet.ts";

/** What relays set aside for providers, and how providers get it without the relay. */

const OPTIONS = { ...CHAIN_OPTIONS, ...WALLET_OPTIONS };
const PROVIDER = { name: "PROVIDER", summary: "id of the provider" };
const MAX_ID = 2 ** 32 - 1;

async function openPair(input: CommandInput, context: CliContext) {
  const providerId = readWhole("PROVIDER", input.argument("PROVIDER") ?? "", [1, MAX_ID]);
  const wallet = await openWallet(await loadSettings(input, context), context);
  return { wallet, providerId, relayId: await idOf(wallet, "relay") };
}

type Pair = { readonly wallet: Wallet; readonly relayId: number; readonly providerId: number };

async function stateOf({ wallet, relayId, providerId }: Pair) {
  const { public: reader, deployment } = wallet.chain;
  const reserve = await reserves.reserveOf(reader, { deployment, relayId, providerId });
  const { amount, thawing, thawEnd } = reserve;
  const thaw = thawing > 0n ? `, of which ${usd(thawing)} thaw until ${timeOf(thawEnd)}` : "";
  return {
    text: `The reserve of relay ${relayId} for provider ${providerId} is ${usd(amount)}${thaw}.`,
    json: { relayId, providerId, reservePusd: amount, thawingPusd: thawing, thawEnd },
  };
}

export const reserveFund: Command = {
  name: "relay reserve fund",
  summary: "Set credits aside for a provider, depositing what is missing",
  description: "A provider serves a relay as far as its reserve and the provider's own credit limit go.",
  arguments: [PROVIDER, { name: "AMOUNT", summary: "USD, e.g. 10" }],
  options: OPTIONS,
  examples: ["aimo relay reserve fund 3 10 --wallet owner.key"],
  async run(input, context) {
    const amount = readSum("AMOUNT", input.argument("AMOUNT") ?? "");
    const pair = await openPair(input, context);
    const { wallet, relayId, providerId } = pair;
    const { deployment } = wallet.chain;
    await requireProvider(pair);
    await ensureCredits(wallet, amount);
    const label = `Reserve of ${usd(amount)} for provider ${providerId}`;
    await reserves.fundReserve(wallet, { deployment, relayId, providerId, amount, label });
    return stateOf(pair);
  },
};

/** Before anything is deposited for it. */
async function requireProvider({ wallet, providerId }: Pair): Promise<void> {
  const { public: reader, deployment } = wallet.chain;
  const count = await providerCount(reader, { deployment });
  if (providerId <= count) return;
  throw new AimoError("invalid_request", {
    message: `There is no provider ${providerId}: the ids go up to ${count}. Nothing was sent.`,
    hint: "`aimo models list --json` names the providers of each model.",
  });
}

export const reserveThaw: Command = {
  name: "relay reserve thaw",
  summary: "Ask part of a provider's reserve back; the provider can use it until it is withdrawn",
  description: "One thaw of a reserve at a time: to change the amount, cancel it and start another.",
  arguments: [PROVIDER, { name: "AMOUNT", summary: "USD (default: all there is)", optional: true }],
  options: OPTIONS,
  async run(input, context) {
    const named = input.argument("AMOUNT");
    const asked = named === undefined ? undefined : readSum("AMOUNT", named);
    const pair = await openPair(input, context);
    const { wallet, relayId, providerId } = pair;
    const { public: reader, deployment } = wallet.chain;
    const { amount: all } = await reserves.reserveOf(reader, { deployment, relayId, providerId });
    const amount = asked ?? all;
    if (amount > all)
      throw new UsageError(
        `AMOUNT is ${usd(amount)}, and the reserve for provider ${providerId} is ${usd(all)}.`,
      );
    const label = `Thaw of the reserve for provider ${providerId}`;
    await reserves.thawReserve(wallet, { deployment, relayId, providerId, amount, label });
    return stateOf(pair);
  },
};

/** The contract's own refusal speaks of users' channels. */
async function requireThaw({ wallet, relayId, providerId }: Pair): Promise<void> {
  const { public: reader, deployment } = wallet.chain;
  const { thawEnd } = await reserves.reserveOf(reader, { deployment, relayId, providerId });
  if (thawEnd !== 0) return;
  throw new AimoError("invalid_request", {
    message: `Nothing thaws in the reserve of relay ${relayId} for provider ${providerId}. Nothing was sent.`,
    hint: "Start a thaw with `aimo relay reserve thaw`.",
  });
}

export const reserveCancelThaw: Command = {
  name: "relay reserve cancel-thaw",
  summary: "Leave in a provider's reserve what you asked back",
  arguments: [PROVIDER],
  options: OPTIONS,
  async run(input, context) {
    const pair = await openPair(input, context);
    await requireThaw(pair);
    const { wallet, relayId, providerId } = pair;
    const { deployment } = wallet.chain;
    const label = `End of the thaw of the reserve for provider ${providerId}`;
    await reserves.cancelReserveThaw(wallet, { deployment, relayId, providerId, label });
    return stateOf(pair);
  },
};

export const reserveWithdraw: Command = {
  name: "relay reserve withdraw",
  summary: "Move what has thawed of a provider's reserve to your free credits",
  arguments: [PROVIDER],
  options: OPTIONS,
  async run(input, context) {
    const pair = await openPair(input, context);
    await requireThaw(pair);
    const { wallet, relayId, providerId } = pair;
    const { deployment } = wallet.chain;
    const label = `Withdrawal from the reserve for provider ${providerId}`;
    const { logs } = await wallet.send(
      reserves.withdrawReserve.request({ deployment, relayId, providerId, label }),
    );
    const [event] = parseEventLogs({ abi: reservesAbi, eventName: "ReserveWithdrawn", logs });
    const withdrawn = event?.args.amount ?? 0n;
    const { text, json } = await stateOf(pair);
    return { text: `Withdrew ${usd(withdrawn)}. ${text}`, json: { ...json, withdrawnPusd: withdrawn } };
  },
};

/** Providers of a page of the lens. */
const PAGE = 256;

export const reserveShow: Command = {
  name: "relay reserve show",
  summary: "Show your relay's reserves, what its providers are owed and what they lend",
  options: {
    ...OPTIONS,
    relay: { type: "string", value: "ID", summary: "another relay's (default: yours)" },
  },
  async run(input, context) {
    const wallet = await openWallet(await loadSettings(input, context), context);
    const named = input.text("relay");
    const relayId =
      named === undefined ? await idOf(wallet, "relay") : readWhole("--relay", named, [1, MAX_ID]);
    const { public: reader, deployment } = wallet.chain;
    const found = [];
    for (let firstProviderId = 1; firstProviderId !== 0; ) {
      const { page, next } = await pairsOfRelay(reader, {
        deployment,
        relayId,
        firstProviderId,
        count: PAGE,
      });
      found.push(...page.filter(({ account, reserve }) => account.enlisted || reserve.amount > 0n));
      firstProviderId = next;
    }
    const pairs = found.map(({ providerId, reserve, account, creditLimit }) => ({
      providerId,
      reservePusd: reserve.amount,
      thawingPusd: reserve.thawing,
      thawEnd: reserve.thawEnd,
      creditLimitPusd: creditLimit,
      claimablePusd: account.claimable,
      paidPusd: account.paid,
    }));
    const rows = pairs.map((pair) => [
      String(pair.providerId),
      usd(pair.reservePusd),
      usd(pair.thawingPusd),
      usd(pair.creditLimitPusd),
      usd(pair.claimablePusd),
      usd(pair.paidPusd),
    ]);
    const head = [">PROVIDER", ">RESERVE", ">THAWING", ">CREDIT LIMIT", ">CLAIMABLE", ">PAID IN ALL"];
    const text = rows.length === 0 ? `Relay ${relayId} has no reserves and owes nobody.` : table(head, rows);
    return { text, json: { relayId, pairs } };
  },
};

export const redeem: Command = {
  name: "provider redeem",
  summary: "Turn a relay's voucher into tokens from its reserve, without the relay",
  description:
    "Your node writes each relay's newest voucher to relay-<id>.json in its voucher_folder. Anyone may redeem it for the\n" +
    "provider's owner, who alone may name somebody else to be paid.",
  arguments: [{ name: "FILE", summary: "the voucher's file" }],
  options: {
    ...OPTIONS,
    to: { type: "string", value: "ADDRESS", summary: "who gets the tokens (default: the owner)" },
  },
  examples: ["aimo provider redeem data-vouchers/relay-1.json --wallet owner.key"],
  async run(input, context) {
    const named = input.text("to");
    if (named !== undefined && !isAddress(named))
      throw new UsageError(`--to is "${named}", which is no address.`);
    const path = resolve(context.folder, input.argument("FILE") ?? "");
    const { signature, chainId, reserves: address, ...voucher } = await readVoucher(path);
    const wallet = await openWallet(await loadSettings(input, context), context);
    const { public: reader, deployment } = wallet.chain;
    if (chainId !== deployment.chainId || !isAddressEqual(address, deployment.contracts.reserves))
      throw new AimoError("wrong_deployment", {
        message: `The voucher is for the reserves ${address} on chain ${chainId}, not for this deployment's.`,
      });
    const { providerId } = voucher;
    const to = named ?? (await ownerOf(reader, { deployment, role: ROLES.provider, id: providerId }));
    const label = `Redemption of relay ${voucher.relayId}'s voucher`;
    const { logs } = await wallet.send(
      reserves.redeemProviderVoucher.request({ deployment, voucher, signature, to, label }),
    );
    const [event] = parseEventLogs({ abi: reservesAbi, eventName: "ProviderVoucherRedeemed", logs });
    const paidNow = event?.args.paidNow ?? 0n;
    const { paid } = await providerAccountOf(reader, { deployment, ...voucher });
    const rest = voucher.cumulative > paid ? voucher.cumulative - paid : 0n;
    const short = rest > 0n ? ` The reserve did not hold the other ${usd(rest)}; they stay owed.` : "";
    const { relayId } = voucher;
    return {
      text: `Provider ${providerId} was paid ${usd(paidNow)} to ${to}.${short}`,
      json: { relayId, providerId, to, paidPusd: paidNow, unpaidPusd: rest },
    };
  },
};

type Voucher = {
  readonly chainId: number;
  readonly reserves: Address;
  readonly relayId: number;
  readonly providerId: number;
  readonly cumulative: bigint;
  readonly signature: Hex;
};

const MAX_CUMULATIVE = 2n ** 80n - 1n;

/** A voucher as a node keeps it. Throws `config_invalid` that names what is wrong. */
async function readVoucher(path: string): Promise<Voucher> {
  const value = await readJsonIfThere(path);
  const fault = (what: string) =>
    new AimoError("config_invalid", { message: `The voucher file ${path} is not valid: ${what}.` });
  if (value === undefined) throw new AimoError("config_invalid", { message: `There is no file ${path}.` });
  if (typeof value !== "object" || value === null) throw fault("it is no object");
  const {
    chainId,
    reserves: address,
    relayId,
    providerId,
    cumulative,
    signature,
  } = value as Record<keyof Voucher, unknown>;
  const isId = (id: unknown): id is number => Number.isInteger(id) && Number(id) >= 1 && Number(id) <= MAX_ID;
  if (typeof chainId !== "number") throw fault("chainId is no number");
  if (typeof address !== "string" || !isAddress(address, { strict: false }))
    throw fault("reserves is no address");
  if (!isId(relayId)) throw fault("relayId is no id");
  if (!isId(providerId)) throw fault("providerId is no id");
  const isAmount = typeof cumulative === "string" && /^\d{1,25}$/.test(cumulative);
  if (!isAmount || BigInt(cumulative) > MAX_CUMULATIVE) throw fault("cumulative is no amount of pUSD");
  if (!isHex(signature)) throw fault("signature is no hex");
  return { chainId, reserves: address, relayId, providerId, cumulative: BigInt(cumulative), signature };
}

export const creditLimit: Command = {
  name: "provider credit-limit",
  summary: "Show or set how much your provider serves a relay above its reserve",
  description: "Relays read it; a node publishes its own at the start, so change its configuration too.",
  arguments: [{ name: "AMOUNT", summary: "USD, e.g. 0.5 (default: show)", optional: true }],
  options: OPTIONS,
  async run(input, context) {
    const named = input.argument("AMOUNT");
    const limit = named === undefined ? undefined : readUsd("AMOUNT", named);
    const wallet = await openWallet(await loadSettings(input, context), context);
    const { public: reader, deployment } = wallet.chain;
    const providerId = await idOf(wallet, "provider");
    if (limit !== undefined) {
      const label = `Credit limit of provider ${providerId}`;
      await reserves.setCreditLimit(wallet, { deployment, providerId, limit, label });
    }
    const now = await reserves.creditLimitOf(reader, { deployment, providerId });
    return {
      text: `Provider ${providerId} serves a relay up to ${usd(now)} above its reserve, and can lose that to each relay.`,
      json: { providerId, creditLimitPusd: now },
    };
  },
};
