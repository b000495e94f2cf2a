import { readUsageDetails } from "@aimo/protocol/usage-details";
import { expect } from "chai";
import fc from "fast-check";

describe("usage details", () => {
  const totals = { prompt: 10, completion: 6 };

  it("are counts of the fields that are known, none above its whole", () => {
    const prompt_tokens_details = { cached_tokens: 3, audio_tokens: 11, cache_write_tokens: 0, other: 1 };
    const completion_tokens_details = { reasoning_tokens: 6, text_tokens: -1, accepted_prediction_tokens: 2 };
    const usage = { prompt_tokens: 10, prompt_tokens_details, completion_tokens_details };
    const expected = {
      prompt_tokens_details: { cache_write_tokens: 0, audio_tokens: 10 },
      completion_tokens_details: { reasoning_tokens: 6, accepted_prediction_tokens: 2 },
    };
    expect(readUsageDetails(usage, totals)).to.deep.equal(expected);
    expect(readUsageDetails(expected, totals)).to.deep.equal(expected);
    expect(readUsageDetails(usage, { prompt: 0, completion: 0 })).to.deep.equal({});
  });

  it("are a few small numbers, whatever is read, and stay the same when read again", () => {
    const name = fc.constantFrom("reasoning_tokens", "audio_tokens", "cache_write_tokens", "__proto__", "x");
    const details = fc.oneof(fc.anything(), fc.dictionary(name, fc.oneof(fc.anything(), fc.integer())));
    const usage = fc.oneof(
      fc.anything(),
      fc.record({ prompt_tokens_details: details, completion_tokens_details: details }),
    );
    fc.assert(
      fc.property(usage, (junk) => {
        const read = readUsageDetails(junk, totals);
        expect(JSON.stringify(read).length).to.be.below(400);
        for (const [part, counts] of Object.entries(read)) {
          const most = part === "prompt_tokens_details" ? totals.prompt : totals.completion;
          for (const count of Object.values(counts)) expect(count).to.be.within(0, most);
        }
        expect(readUsageDetails(read, totals)).to.deep.equal(read);
      }),
    );
  });
});
