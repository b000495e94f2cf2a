import { setTimeout as wait } from "node:timers/promises";
import { recoverAddress } from "@aimo/node/fast-crypto";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { expect } from "chai";
import type { JobRecord } from "../../../relay/src/core/batch-job.ts";
import { createVoucherGate } from "../../../relay/src/flow/vouchers.ts";
import { JobStore } from "../../../relay/src/store/jobs.ts";
import { SESSION_ADDRESS, voucherText } from "../support/session-key.ts";
import {
  billAll,
  callerOf,
  channelOf,
  newClock,
  openWorld,
  RELAY_ID,
  SEPARATOR,
  startOf,
  USD,
  type Used,
  usageFor,
} from "./books-world.ts";
import type { CutDisk } from "./cut-disk.ts";

const USER = 5;
/** Longer than the journal's tick. */
const TICK_MS = 7;
const CHANNEL = 1_000n * USD;
const DOMAIN = { separator: SEPARATOR, relayId: RELAY_ID, userId: USER };
const CALLER = callerOf(USER);
const BODY = `0x${"aa".repeat(32)}` as const;
const FREE = { kind: "free", reason: "timeout", attempts: [] } as const;
const JOB: JobRecord = {
  ...{ id: "batch_1", userId: USER, keyHash: CALLER.keyHash, endpoint: "/v1/chat/completions" },
  ...{ inputFileId: "file_1", status: "in_progress", times: {}, createdAt: 1, expiresAt: 2, keepMs: 3 },
  ...{ counts: { total: 0, completed: 0, failed: 0 }, faults: [], metadata: null },
};

/** How a request is served: by key or as a line of a batch, and when what is kept of it is written. */
export type Serving = { readonly isLine: boolean; readonly isFree: boolean; readonly isApart: boolean };
type Asked = { readonly no: number; readonly id: string; readonly isLine: boolean };

/**
 * Requests on a SIGNED channel, under Idempotency-Keys and as lines of a batch, on a disk whose power is cut. What belongs
 * together must be there together: a charge and the voucher that pays for it, a charge and the reply that is kept of it.
 */
export class CutRecords {
  readonly #disk: CutDisk;
  readonly #clock = newClock();
  readonly #asked: Asked[] = [];
  readonly #unsigned: Used[] = [];
  /** Batches that their owner was told have ended, and how many syncs there were then. */
  readonly #ended: { readonly syncs: number; readonly job: JobRecord }[] = [];
  readonly #work: Promise<unknown>[] = [];
  #relay: Relay | undefined;
  #signed = 0n;

  constructor(disk: CutDisk) {
    this.#disk = disk;
  }

  async start(): Promise<void> {
    this.#relay = await openRelay(this.#disk.db, this.#clock);
    this.#relay.jobs.save(JOB);
  }

  /** A request from its voucher to its end. `isApart`: what is kept of it is written a sync late, which is wrong. */
  async serve(charge: bigint, { isLine, isFree, isApart }: Serving): Promise<void> {
    const { world, gate, jobs } = this.#on();
    const no = this.#asked.length;
    if (!isLine) expect(await world.replies.claim(CALLER, `key-${no}`, BODY)).to.equal("new");
    const { charged = 0n, pending = 0n, held = 0n } = world.ledger.balanceOf(USER) ?? {};
    const needed = charged + pending + held + charge;
    if (needed > this.#signed) this.#signed = needed;
    const start = startOf(world, USER);
    gate.admit(USER, voucherText(DOMAIN, this.#signed), charge);
    world.ledger.hold(start, CALLER, charge);
    this.#asked.push({ no, id: start.id, isLine });
    if (no % 3 === 0) await this.sync();
    const used = usageFor(world, start, { cost: charge });
    world.ledger.commit(start.id, isFree ? FREE : used.outcome);
    if (!isFree) this.#unsigned.push(used);
    if (isApart) await this.sync();
    if (isLine && !isFree) jobs.saveLine(JOB.id, no, { isError: false, text: start.id });
    if (!isLine) world.replies.settle(CALLER, `key-${no}`, isFree ? undefined : replyOf(start.id));
  }

  /** The provider signs for what it served since. Not awaited. */
  sign(): void {
    const own = this.#unsigned.splice(0);
    if (own.length > 0) this.#work.push(billAll(this.#on().world, own));
  }

  /** Ends a batch of its own, as writing its files does. Not awaited. */
  end(): void {
    const { jobs } = this.#on();
    const job: JobRecord = { ...JOB, id: `batch_${2 + this.#work.length}`, status: "completed" };
    jobs.save(job);
    this.#work.push(jobs.flushed().then(() => this.#ended.push({ syncs: this.#disk.syncs, job })));
  }

  tick(): Promise<void> {
    return wait(TICK_MS);
  }

  sync(): Promise<void> {
    return this.#on().world.journal.flushed();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#work);
    await this.sync();
  }

  /** Cuts the power at each sync, and holds what is found to what belongs together. */
  async cutEverywhere(): Promise<void> {
    for (let syncs = 0; syncs <= this.#disk.syncs; syncs++) {
      const relay = await openRelay(await this.#disk.after(syncs), this.#clock);
      try {
        await this.#expectPaired(relay);
        for (const { job } of this.#ended.filter((fact) => fact.syncs <= syncs))
          expect(relay.jobs.find(USER, job.id), "a batch that had ended is not known").to.deep.equal(job);
        this.#expectPaid(relay);
      } finally {
        await relay.world.journal.close();
      }
    }
  }

  /** A request is charged and what is kept of it is known, or neither: then it is free and may be sent again. */
  async #expectPaired({ world, jobs }: Relay): Promise<void> {
    const lines = await jobs.endedLines(JOB.id);
    for (const { no, id, isLine } of this.#asked) {
      const generation = await world.ledger.generationOf(id);
      const isCharged = generation?.outcome?.kind === "usage";
      const reply = isLine ? undefined : await world.replies.claim(CALLER, `key-${no}`, BODY);
      if (isLine) expect(lines.has(no), `charged and kept: line ${no}`).to.equal(isCharged);
      else expect(reply, `charged and kept: key ${no}`).to.deep.equal(isCharged ? replyOf(id) : "new");
    }
  }

  /** Nothing is charged without the voucher that pays for it, and the channel goes on from there. */
  #expectPaid({ world, gate }: Relay): void {
    const { charged = 0n, pending = 0n, held, voucher = 0n } = world.ledger.balanceOf(USER) ?? {};
    expect(held).to.equal(0n);
    expect(voucher <= this.#signed, "a voucher that nobody signed").to.equal(true);
    expect(charged + pending <= voucher, "a charge without the voucher that pays for it").to.equal(true);
    gate.admit(USER, voucherText(DOMAIN, charged + pending + USD), USD);
    world.ledger.hold(startOf(world, USER), CALLER, USD);
  }

  #on(): Relay {
    if (!this.#relay) throw new Error("The relay was not started.");
    return this.#relay;
  }
}

const replyOf = (generationId: string) => ({
  ...{ status: 200, contentType: "application/json", generationId, body: Buffer.from(generationId) },
});

type Relay = Awaited<ReturnType<typeof openRelay>>;

async function openRelay(db: CutDisk["db"], clock: ReturnType<typeof newClock>) {
  const world = await openWorld(db, clock);
  const jobs = await JobStore.open(world.journal);
  const signed = { mode: CHANNEL_MODES.signed, sessionKey: SESSION_ADDRESS, available: CHANNEL };
  world.ledger.setChannel(channelOf(USER, signed));
  await world.ledger.reconcile();
  const gate = createVoucherGate({ ...DOMAIN, recover: recoverAddress, book: world.ledger.vouchers });
  return { world, jobs, gate };
}
