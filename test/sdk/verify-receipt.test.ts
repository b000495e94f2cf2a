import { expect } from "chai";
import type { ChainFacts } from "../../sdk/typescript/src/verify/types.ts";
import { makeEntry, NOW, PRICES, PROVIDER, providerKey } from "./bill-builder.ts";
import { FACTS, onlyProblem, prepareWorld, startOf, USER, verify } from "./bill-world.ts";

describe("sdk/verify, receipts", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  before(prepareWorld);

  it("names a charge above cost and fee, and a cost above units times price", async () => {
    const base = { userId: USER, epoch: 1, after: startOf() };
    const charged = await makeEntry({ ...base, name: "fee", tokens: 5, more: 1n });
    expect(onlyProblem(await verify({ committed: [charged.line] }))).to.deep.include({
      kind: "overcharged",
      id: "gen-fee",
    });
    const dear = await makeEntry({
      ...base,
      name: "dear",
      tokens: 5,
      change: { cost: 12n * 100n + 3n * 10n + 5n * 400n + 1n },
    });
    expect(onlyProblem(await verify({ committed: [dear.line] }))).to.deep.include({
      kind: "overcharged",
      id: "gen-dear",
    });
  });

  it("accepts a cost and a charge below what price and fee allow", async () => {
    const cheap = await makeEntry({
      name: "cheap",
      userId: USER,
      epoch: 1,
      after: startOf(),
      tokens: 5,
      change: { cost: 7n },
    });
    expect((await verify({ committed: [cheap.line] })).problems).to.deep.equal([]);
  });

  it("names a price version that does not exist, is not yet in force, or is long replaced", async () => {
    const base = { userId: USER, epoch: 1, after: startOf(), name: "p", tokens: 5 };
    const unknown = await makeEntry({ ...base, change: { priceVersion: 2 } });
    expect(onlyProblem(await verify({ committed: [unknown.line] })).detail).to.contain("no price version 2");
    const { line } = await makeEntry({ ...base, ids: { modelId: 6 } });
    const { issuedAt } = line.receipt;
    for (const [effectiveFrom, effectiveUntil, isRight] of [
      [issuedAt + 1, undefined, false],
      [issuedAt, undefined, true],
      [1, issuedAt - 600, false],
      [1, issuedAt - 599, true],
    ] as const) {
      const own = {
        prices: PRICES,
        kinds: ["token", "token", "token"] as const,
        effectiveFrom,
        effectiveUntil,
      };
      const priceOf: ChainFacts["priceOf"] = async (provider, model, version) =>
        model === 6 ? own : FACTS.priceOf(provider, model, version);
      const result = await verify({ committed: [line], facts: { priceOf } });
      expect(result.ok, `${effectiveFrom} to ${effectiveUntil}`).to.equal(isRight);
      if (!isRight) expect(onlyProblem(result)).to.deep.include({ kind: "overcharged", id: "gen-p" });
    }
  });

  it("names a signature by a stranger, by a key not yet or no longer valid, and by no provider", async () => {
    const base = { userId: USER, epoch: 1, after: startOf(), name: "s", tokens: 5 };
    const stranger = await makeEntry({ ...base, signer: providerKey("stranger") });
    expect(onlyProblem(await verify({ committed: [stranger.line] }))).to.deep.include({
      kind: "unsigned",
      id: "gen-s",
    });
    const { line } = await makeEntry(base);
    const closedAt = NOW - 1;
    for (const [validFrom, validUntil, isRight] of [
      [closedAt + 1, NOW + 9, false],
      [0, closedAt, false],
      [closedAt, closedAt + 1, true],
    ] as const) {
      const signersOf = async () => [{ key: PROVIDER.address, validFrom, validUntil }];
      expect((await verify({ committed: [line], facts: { signersOf } })).ok).to.equal(isRight);
    }
    const nobody = await makeEntry({ ...base, ids: { providerId: 9 } });
    expect(onlyProblem(await verify({ committed: [nobody.line] })).detail).to.contain("no provider 9");
  });

  it("names a provider that was not registered, had left, or had too little stake", async () => {
    const { line } = await makeEntry({ userId: USER, epoch: 1, after: startOf(), name: "q", tokens: 5 });
    const { issuedAt } = line.receipt;
    for (const [registeredAt, deactivatedAt, isRight] of [
      [issuedAt + 60, 0, true],
      [issuedAt + 61, 0, false],
      [1, issuedAt - 600, true],
      [1, issuedAt - 601, false],
    ] as const) {
      const facts = { providerOf: async () => ({ registeredAt, deactivatedAt }) };
      expect((await verify({ committed: [line], facts })).ok).to.equal(isRight);
    }
    const spans: unknown[] = [];
    const wasStaked: ChainFacts["wasStaked"] = async (...span) => {
      spans.push(span);
      return false;
    };
    const result = await verify({ committed: [line], facts: { wasStaked } });
    expect(spans).to.deep.include([2, issuedAt - 600, issuedAt + 60]);
    expect(result.problems.map(({ kind, id }) => `${kind} ${id}`)).to.include("unsigned gen-q");
  });

  it("names receipts signed at impossible times or billed too late", async () => {
    const base = { userId: USER, epoch: 1, after: startOf(), name: "t", tokens: 5 };
    const cases = [
      { closedAt: NOW - 1, change: { issuedAt: NOW } },
      { closedAt: NOW - 1, change: { issuedAt: NOW - 1 - 3_601 } },
      { closedAt: NOW + 61, change: { issuedAt: NOW } },
      { closedAt: NOW - 58, change: { issuedAt: NOW - 61 } },
    ];
    for (const parameters of cases) {
      const { line } = await makeEntry({ ...base, ...parameters });
      expect(onlyProblem(await verify({ committed: [line] }))).to.deep.include({ id: "gen-t", leaf: 0 });
    }
  });

  it("names a receipt that was made for another user or another epoch of the channel", async () => {
    for (const other of [{ userId: 8 }, { epoch: 2 }]) {
      const foreign = await makeEntry({
        userId: USER,
        epoch: 1,
        after: startOf(),
        name: "o",
        tokens: 5,
        ...other,
      });
      const problem = onlyProblem(await verify({ committed: [foreign.line] }));
      expect(problem).to.deep.include({ kind: "altered", id: "gen-o" });
      expect(problem.detail).to.contain("request hash");
    }
  });
});
