import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import * as settlement from "@aimo/protocol/actions/settlement";
import { chargeBound, costOf, type Units } from "@aimo/protocol/units";
import { localReader } from "../../scripts/local/wallets.ts";
import { ANSWER_TOKENS, PROMPT_TOKENS } from "../relay/mock.ts";
import { FEE_BPS, PRICES } from "../relay/world.ts";
import type { Answer, AttemptSeen } from "./client.ts";
import type { FaultNetwork } from "./network.ts";

/**
 * What a request should have come to: who failed, with which code, and who served; nobody: it is free. What was delivered
 * is what the script delivers, whatever the relay says of it.
 */
export type Expected = {
  readonly failed?: readonly (readonly [provider: number, code: string])[];
  readonly servedBy?: number;
  /** Words of the answer, each a frame of a stream; those of a whole answer unless the script has fewer. */
  readonly words?: number;
  /** What is to be paid for: a token for each word, unless somebody counts otherwise. */
  readonly units?: Units;
};

type Generation = {
  readonly data: {
    readonly state: string;
    readonly aimo: { readonly cost_pusd: string; readonly attempts: readonly AttemptSeen[] };
  };
};
type Channels = {
  readonly data: readonly {
    readonly held_pusd: string;
    readonly pending_pusd: string;
    readonly charged_pusd: string;
    readonly settled_pusd: string;
  }[];
};

const BOOKED_MS = 12_000;
const POLL_MS = 25;

/** Adds up what every answer should have cost, and holds the relay and the chain to it, to the pUSD. */
export class Tally {
  readonly #network: FaultNetwork;
  readonly #costs = new Map<number, bigint>();
  #charged = 0n;
  #requests = 0;

  constructor(network: FaultNetwork) {
    this.#network = network;
  }

  get charged(): bigint {
    return this.#charged;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Holds one answer and what the relay keeps of it to what was expected. */
  async add(answer: Answer, expected: Expected): Promise<void> {
    this.#requests++;
    const { failed = [], servedBy } = expected;
    const { client } = this.#network;
    assert.ok(answer.generationId, `No generation is named: ${JSON.stringify(answer)}`);
    const generation = await client.get<Generation>(`/v1/generation?id=${answer.generationId}`);
    const { state, aimo } = generation.data;
    const attempts = aimo.attempts.map(({ provider, status, error }) => [provider, error ?? status]);
    const wanted = [...failed, ...(servedBy === undefined ? [] : [[servedBy, "ok"] as const])];
    assert.deepEqual(attempts, wanted, "the attempts");
    if (servedBy === undefined) {
      assert.equal(answer.aimo?.cost_pusd ?? "0", "0", "what the client was told");
      assert.deepEqual([state, aimo.cost_pusd], ["free", "0"], "what the relay keeps");
      return;
    }
    const { words = ANSWER_TOKENS, units = [PROMPT_TOKENS, 0, words] } = expected;
    assert.equal(answer.text.trim().split(" ").length, words, "the words that came");
    assert.deepEqual(answer.units, units, "the usage that was told is what the script delivered");
    const cost = costOf(units, PRICES);
    const charge = chargeBound(cost, FEE_BPS);
    assert.equal(answer.aimo?.provider.id, servedBy, "who served");
    assert.equal(answer.aimo?.provider_cost_pusd, `${cost}`, "what the client was told of the cost");
    assert.equal(answer.aimo?.cost_pusd, `${charge}`, "what the client was told of the charge");
    assert.equal(aimo.cost_pusd, `${charge}`, "what the relay keeps");
    this.#charged += charge;
    this.#costs.set(servedBy, (this.#costs.get(servedBy) ?? 0n) + cost);
  }

  /** Waits until everything is signed for, and holds the channel's books to the sum. Nothing may be held. */
  async expectBooked(): Promise<void> {
    const deadline = Date.now() + BOOKED_MS;
    for (;;) {
      const [channel] = (await this.#network.client.get<Channels>("/v1/channels")).data;
      if (channel?.pending_pusd !== "0" && Date.now() < deadline) {
        await wait(POLL_MS);
        continue;
      }
      const books = {
        held: channel?.held_pusd,
        pending: channel?.pending_pusd,
        charged: channel?.charged_pusd,
      };
      assert.deepEqual(books, { held: "0", pending: "0", charged: `${this.#charged}` }, "the channel");
      return;
    }
  }

  /** Settles, and holds the chain to the same sums: what the user paid and what each provider got. */
  async expectSettled(): Promise<void> {
    const { relay, client, world } = this.#network;
    await relay.settle();
    const [channel] = (await client.get<Channels>("/v1/channels")).data;
    assert.equal(channel?.settled_pusd, `${this.#charged}`, "what the chain took from the channel");
    const { rpcUrl, deployment, relayId } = world;
    const { raw, throttled, flapping, faulty, sound, third } = this.#network;
    for (const { id: providerId } of [raw, throttled, flapping, faulty, sound, third]) {
      const pair = { deployment, relayId, providerId };
      const { paid } = await settlement.providerAccountOf(localReader(rpcUrl), pair);
      assert.equal(paid, this.#costs.get(providerId) ?? 0n, `what the chain paid provider ${providerId}`);
    }
  }
}
