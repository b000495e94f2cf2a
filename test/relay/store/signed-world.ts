import { recoverAddress } from "@aimo/node/fast-crypto";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { expect } from "chai";
import { createVoucherGate } from "../../../relay/src/flow/vouchers.ts";
import { SESSION_ADDRESS, voucherText } from "../support/session-key.ts";
import {
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
  type World,
} from "./books-world.ts";

export const USER = 5;
export const DOMAIN = { separator: SEPARATOR, relayId: RELAY_ID, userId: USER };
const FREE = { kind: "free", reason: "cancelled", attempts: [] } as const;

/** A relay's ledger with one SIGNED channel, and the gate before it. */
export async function openSigned(db: Parameters<typeof openWorld>[0], available = 5n * USD) {
  const world = await openWorld(db, newClock());
  const setChannel = (change = {}) =>
    world.ledger.setChannel(
      channelOf(USER, { mode: CHANNEL_MODES.signed, sessionKey: SESSION_ADDRESS, available, ...change }),
    );
  setChannel();
  const gate = createVoucherGate({ ...DOMAIN, recover: recoverAddress, book: world.ledger.vouchers });
  /** As serving does it: both in one turn. */
  const hold = (voucher: string | undefined, amount: bigint, epoch = 1) => {
    const start = startOf(world, USER, epoch);
    gate.admit(USER, voucher, amount);
    world.ledger.hold(start, callerOf(USER), amount);
    return start;
  };
  return { world, gate, hold, setChannel };
}

/** All that the relay could ever collect of the channel, as things are. */
export function claimed({ ledger }: World): bigint {
  const balance = ledger.balanceOf(USER);
  return balance ? balance.charged + balance.pending + balance.held : 0n;
}

type Planned = { readonly max: bigint; readonly part: number };
type Sent = Planned & { readonly voucher: string; start?: ReturnType<typeof startOf>; charge?: bigint };

/** A client as the rule has it, and what becomes of its requests in any order. */
export class SigningClient {
  readonly #relay: Awaited<ReturnType<typeof openSigned>>;
  readonly #stages: Record<"sent" | "held" | "done", Sent[]> = { sent: [], held: [], done: [] };
  #accounted = 0n;
  #signed = 0n;
  served = 0;

  constructor(relay: Awaited<ReturnType<typeof openSigned>>) {
    this.#relay = relay;
  }

  get unheard(): number {
    return Object.values(this.#stages).reduce((sum, { length }) => sum + length, 0);
  }

  get #inFlight(): bigint {
    return Object.values(this.#stages)
      .flat()
      .reduce((sum, { max }) => sum + max, 0n);
  }

  send(request: Planned): void {
    const wanted = this.#accounted + this.#inFlight + request.max;
    this.#signed = wanted > this.#signed ? wanted : this.#signed;
    this.#stages.sent.push({ ...request, voucher: voucherText(DOMAIN, this.#signed) });
  }

  /** The voucher that came with it, and none other, has to do: nobody is refused. */
  arrive(pick: number): void {
    const sent = take(this.#stages.sent, pick);
    if (!sent) return;
    sent.start = this.#relay.hold(sent.voucher, sent.max);
    this.#stages.held.push(sent);
    this.served += 1;
  }

  finish(pick: number): void {
    const sent = take(this.#stages.held, pick);
    if (!sent?.start) return;
    const { world } = this.#relay;
    sent.charge = (sent.max * BigInt(sent.part)) / 100n;
    const used: Used = usageFor(world, sent.start, { cost: sent.charge });
    world.ledger.commit(sent.start.id, sent.part === 0 ? FREE : used.outcome);
    this.#stages.done.push(sent);
  }

  hear(pick: number): void {
    const sent = take(this.#stages.done, pick);
    if (sent) this.#accounted += sent.charge ?? 0n;
  }

  check(): void {
    expect(claimed(this.#relay.world) <= this.#signed).to.equal(true);
  }

  async drain(pick: () => number): Promise<void> {
    while (this.unheard > 0) {
      this.arrive(pick());
      this.finish(pick());
      this.hear(pick());
      this.check();
    }
    expect(claimed(this.#relay.world)).to.equal(this.#accounted);
  }
}

function take<T>(list: T[], pick: number): T | undefined {
  return list.length === 0 ? undefined : list.splice(pick % list.length, 1)[0];
}
