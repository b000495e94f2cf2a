import { ChatRecord } from "@aimo/provider/core/chat-record";
import { expect } from "chai";
import fc from "fast-check";

/** A chunk of `tokens` letters, each of which is a token here; `states`: whether the server counts in it. */
const chunks = fc.array(
  fc.record({ choice: fc.nat(3), tokens: fc.integer({ min: 1, max: 5 }), states: fc.boolean() }),
  { minLength: 1, maxLength: 40 },
);

describe("provider/core running usage", () => {
  for (const countedBy of ["per_choice", "in_all"] as const)
    it(`counts an answer exactly at every frame, whichever of them state a count (${countedBy})`, () => {
      fc.assert(
        fc.property(chunks, (sent) => {
          const record = new ChatRecord(countedBy);
          const own = new Map<number, number>();
          const inAll: number[] = [];
          let all = 0;
          for (const { choice, tokens, states } of sent) {
            own.set(choice, (own.get(choice) ?? 0) + tokens);
            all += tokens;
            inAll.push(all);
            const completion_tokens = countedBy === "per_choice" ? own.get(choice) : all;
            const usage = states ? { usage: { prompt_tokens: 7, completion_tokens } } : {};
            record.addChunk({
              choices: [{ index: choice, delta: { content: "x".repeat(tokens) } }],
              ...usage,
            });
          }
          for (const [at, delivered] of inAll.entries()) {
            const { usage, uncounted } = record.deliveredUpTo(at + 1);
            const isStated = sent.slice(0, at + 1).some(({ states }) => states);
            expect(usage !== undefined).to.equal(isStated);
            if (usage) expect(usage.completion + uncounted.length).to.equal(delivered);
          }
        }),
      );
    });

  it("gives details with the count that they belong to, and none of several choices together", () => {
    const record = new ChatRecord("per_choice");
    const usage = (completion_tokens: number, reasoning_tokens: number) => ({
      ...{ prompt_tokens: 7, completion_tokens, completion_tokens_details: { reasoning_tokens } },
    });
    const add = (index: number, stated: object) =>
      record.addChunk({ choices: [{ index, delta: { content: "x" } }], usage: stated });
    add(0, usage(4, 2));
    add(0, usage(5, 3));
    add(1, usage(1, 1));
    const detailsAt = (frames: number) => record.deliveredUpTo(frames).usage?.details;
    expect(detailsAt(1)).to.deep.equal({ completion_tokens_details: { reasoning_tokens: 2 } });
    expect(detailsAt(2)).to.deep.equal({ completion_tokens_details: { reasoning_tokens: 3 } });
    expect(detailsAt(3)).to.equal(undefined);
  });

  it("takes no count of one choice from a chunk that has several", () => {
    const record = new ChatRecord("per_choice");
    const choices = [0, 1].map((index) => ({ index, delta: { content: "x" } }));
    record.addChunk({ choices, usage: { prompt_tokens: 7, completion_tokens: 1 } });
    expect(record.deliveredUpTo(1).usage).to.equal(undefined);
  });
});
