import { expect } from "chai";
import type { Outcome } from "../../../relay/src/core/types.ts";
import type { Desk, Held } from "../../../relay/src/flow/serve-ports.ts";
import type { OpenMessage } from "../../../relay/src/workers/messages.ts";
import { WorkerBooks, type WorkerBooksParameters } from "../../../relay/src/workers/worker-books.ts";
import { makeAsk, makeOffer } from "../support/offers.ts";

const FREE: Outcome = { kind: "free", reason: "overloaded", attempts: [] };
const HASH = `0x${"11".repeat(32)}` as const;

/** Books of one worker over a desk that writes down what is done with its holds. */
function openBooks(change: Partial<Held> = {}) {
  const ended: string[] = [];
  const faults: unknown[] = [];
  const offer = makeOffer(1, 1_000n);
  const held = (): Held => ({
    terms: { offers: [offer] } as unknown as Held["terms"],
    begin: () => () => ended.push("try"),
    commit: (outcome) => {
      ended.push(outcome.kind === "free" ? `free ${outcome.reason}` : outcome.kind);
      return undefined;
    },
    leave: () => void ended.push("left"),
    ...change,
  });
  const desk = { open: async () => held() } as Desk;
  const keys = { byHash: () => ({ caller: {}, record: {} }) };
  const books = new WorkerBooks({
    ...{ desk, keys, inFlight: { begin: () => {}, end: () => {} } },
    ...{ onRefusal: () => {}, onSticky: () => {}, onCounted: () => {}, onCommit: () => {} },
    onFault: (error: unknown) => faults.push(error),
  } as unknown as WorkerBooksParameters);
  const name = { providerId: 1, modelId: offer.model.modelId, priceVersion: offer.price.version };
  const message = { ask: makeAsk(), keyHash: "", offers: [name] } as unknown as OpenMessage;
  return {
    ...{ books, ended, faults },
    open: async (ticket: number) => books.questions.open({ ...message, ticket }),
    commit: async (ticket: number) => books.questions.commit({ ticket, outcome: FREE }),
    leave: (ticket: number) => books.news.leave({ ticket, usedTokens: 0 }, undefined),
    begin: (ticket: number) =>
      books.news.begin({ ticket, at: 0, maxTokens: undefined, requestHash: HASH }, undefined),
  };
}

const thrown = (promise: Promise<unknown>) => promise.then(() => undefined).catch((error: unknown) => error);
const broken = (what: string) => () => {
  throw new RangeError(what);
};

describe("the books of a worker", () => {
  it("give a request's place back, also where its commit failed", async () => {
    const { open, commit, leave, ended } = openBooks({ commit: broken("disk") });
    await open(1);
    expect(await thrown(commit(1))).to.be.instanceOf(RangeError);
    leave(1);
    expect(ended).to.deep.equal(["left"]);
    expect(await thrown(commit(1))).to.include({ message: "Ticket 1 holds nothing." });
  });

  it("free each request of a worker that is gone, whatever happens to the others", async () => {
    let tries = 0;
    const { books, open, begin, ended, faults } = openBooks({
      begin: () => () => {
        if (++tries === 1) throw new RangeError("try");
      },
      commit: broken("disk"),
    });
    for (const ticket of [1, 2, 3]) await open(ticket);
    for (const ticket of [1, 2, 3]) begin(ticket);
    books.close();
    expect([tries, ended]).to.deep.equal([3, ["left", "left", "left"]]);
    expect(faults).to.have.length(4);
    expect(books.held).to.equal(0);
  });

  it("hold for nobody who is gone", async () => {
    const { books, open, ended } = openBooks();
    const late = open(1);
    books.close();
    expect(await thrown(late)).to.include({ code: "overloaded" });
    expect(ended).to.deep.equal(["free internal_error", "left"]);
    expect(await thrown(open(2))).to.include({ code: "overloaded" });
    expect(ended).to.have.length(2);
  });

  it("write down as cancelled what a client did not wait for", async () => {
    const { books, open, ended } = openBooks();
    const late = open(1);
    books.news.gone(1, undefined);
    expect(await thrown(late)).to.include({ code: "overloaded" });
    expect(ended).to.deep.equal(["free cancelled", "left"]);
  });
});
