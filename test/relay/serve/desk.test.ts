import { expect } from "chai";
import type { Outcome } from "../../../relay/src/core/types.ts";
import { BooksDesk, type BooksDeskParameters } from "../../../relay/src/flow/desk.ts";
import { makeAsk, makeOffer } from "../support/offers.ts";

describe("the desk of the books", () => {
  it("frees a hold whose outcome the ledger does not take, and says so", async () => {
    const commits: Outcome["kind"][] = [];
    const parameters = {
      ledger: {
        balanceOf: () => ({ epoch: 1, free: 10n ** 15n }),
        usageOfKey: () => ({}),
        hold: () => {},
        commit: (_id: string, { kind }: Outcome) => {
          commits.push(kind);
          if (kind === "usage") throw new RangeError("More than was held.");
        },
      },
      admission: { enter: () => undefined, leave: () => {}, takeTokens: () => ({ used: () => {} }) },
      vouchers: { admit: () => {} },
      ...{ accounts: {}, credit: {}, onHold: () => {}, onCommit: () => {} },
      ...{ feeBps: () => 500, now: () => 0, randomHex: () => "0x00" },
    } as unknown as BooksDeskParameters;
    const caller = { userId: 1, keyHash: "k" } as Parameters<BooksDesk["open"]>[0]["caller"];
    const ask = makeAsk({ max_tokens: 16 });
    const held = await new BooksDesk(parameters).open(
      { ask, caller, bodyHash: "0x", route: "chat" },
      { choose: () => [makeOffer(1, 1n)], onGone: () => {} },
    );
    const outcome = { kind: "usage", providerId: 1, modelId: 1, attempts: [] } as unknown as Outcome;
    expect(() => held.commit(outcome)).to.throw(RangeError, "More than was held.");
    expect(commits).to.deep.equal(["usage", "free"]);
  });
});
