import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import * as settlement from "@aimo/protocol/actions/settlement";
import type { BillPage, SettlementBill } from "@aimo/protocol/bill";
import { chargeBound } from "@aimo/protocol/units";
import { localReader } from "../../scripts/local/wallets.ts";
import type { Client } from "../faults/client.ts";
import type { World } from "../relay/world.ts";
import { FEE_BPS } from "../relay/world.ts";

/** A request whose answer a client has whole. */
export type Ack = { readonly id: string; readonly charge: string; readonly at: number };

export type Books = {
  readonly held: bigint;
  readonly pending: bigint;
  readonly charged: bigint;
  readonly settled: bigint;
};

/** The user's channel as the relay tells it. */
export async function readBooks(client: Client): Promise<Books> {
  type Channel = { readonly [name: string]: string };
  const { data } = await client.get<{ data: Channel[] }>("/v1/channels");
  const amount = (name: string) => BigInt(data[0]?.[name] ?? -1);
  return {
    held: amount("held_pusd"),
    pending: amount("pending_pusd"),
    charged: amount("charged_pusd"),
    settled: amount("settled_pusd"),
  };
}

const SETTLED_MS = 60_000;
const POLL_MS = 100;

/** Waits until all that was served is billed and on the chain. */
export async function awaitSettled(client: Client): Promise<Books> {
  const deadline = Date.now() + SETTLED_MS;
  for (;;) {
    const books = await readBooks(client);
    if (books.pending === 0n && books.held === 0n && books.settled === books.charged) return books;
    assert.ok(Date.now() < deadline, `All is settled in time: ${Object.values(books).join(" ")}`);
    await wait(POLL_MS);
  }
}

export type Audit = {
  /** Receipts on the chain, and those of them whose answers no client has whole. */
  readonly billed: number;
  readonly billedUnanswered: number;
  /** Answers that a kill made free: the client had them, and the books on disk did not yet. */
  readonly freed: readonly Ack[];
  readonly chargedPusd: string;
  readonly paidPusd: string;
  readonly lines: SettlementBill["lines"];
};

type Parties = { readonly client: Client; readonly world: World; readonly providerIds: readonly number[] };

/**
 * Holds every bill to the chain and to what clients were told. Throws when a receipt is billed twice, or at another price
 * than was told, or when the sums differ.
 */
export async function audit({ client, world, providerIds }: Parties, acks: readonly Ack[]): Promise<Audit> {
  const { charged } = await awaitSettled(client);
  const { rpcUrl, deployment, relayId } = world;
  const lines = await readAllLines(client, charged);
  const byId = new Map(lines.map((line) => [line.id, line]));
  const receipts = new Set(lines.map(({ receipt }) => receipt.requestHash));
  assert.equal(byId.size, lines.length, "no request is billed twice");
  assert.equal(receipts.size, lines.length, "no receipt is billed twice");
  let [sum, costs] = [0n, 0n];
  for (const { charge, receipt } of lines) {
    assert.equal(BigInt(charge), chargeBound(BigInt(receipt.cost), FEE_BPS), "the charge is cost and fee");
    sum += BigInt(charge);
    costs += BigInt(receipt.cost);
  }
  assert.equal(sum, charged, "the bills add up to what the channel was charged");
  let paid = 0n;
  for (const providerId of providerIds) {
    const pair = { deployment, relayId, providerId };
    paid += (await settlement.providerAccountOf(localReader(rpcUrl), pair)).paid;
  }
  assert.equal(paid, costs, "the chain paid the providers what the receipts cost");
  const freed: Ack[] = [];
  for (const ack of acks) {
    const line = byId.get(ack.id);
    if (line) assert.equal(line.charge, ack.charge, "a request is billed as its client was told");
    else freed.push(ack);
  }
  const answered = new Set(acks.map(({ id }) => id));
  return {
    billed: lines.length,
    billedUnanswered: lines.filter(({ id }) => !answered.has(id)).length,
    ...{ freed, lines, chargedPusd: `${sum}`, paidPusd: `${paid}` },
  };
}

const BOOKED_MS = 10_000;

/** The chain has a batch before the relay's books say so. */
async function readAllLines(client: Client, charged: bigint): Promise<SettlementBill["lines"]> {
  const deadline = Date.now() + BOOKED_MS;
  for (;;) {
    const lines = await readLines(client);
    const sum = lines.reduce((total, { charge }) => total + BigInt(charge), 0n);
    if (sum === charged || Date.now() > deadline) return lines;
    await wait(POLL_MS);
  }
}

async function readLines(client: Client): Promise<SettlementBill["lines"]> {
  const lines: SettlementBill["lines"][number][] = [];
  let page: BillPage | undefined;
  do {
    const after = page?.data.at(-1)?.batchNo;
    page = await client.get<BillPage>(`/v1/settlements${after === undefined ? "" : `?after=${after}`}`);
    for (const { batchNo } of page.data)
      lines.push(...(await client.get<SettlementBill>(`/v1/settlements/${batchNo}`)).lines);
  } while (page.has_more);
  return lines;
}
