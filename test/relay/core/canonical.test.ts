import { expect } from "chai";
import fc from "fast-check";
import { canonicalBody } from "../../../relay/src/core/canonical.ts";

/** What arrives is JSON: no undefined, no -0 that would be written as 0. */
const json = fc
  .jsonValue({ maxDepth: 4, noUnicodeString: false })
  .map((value) => JSON.parse(JSON.stringify(value)));
const bodies = fc.dictionary(fc.string(), json, { maxKeys: 6 });

function shuffled(value: unknown, by: (length: number) => number): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, by));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, inner]) => [name, shuffled(inner, by)] as const);
  return Object.fromEntries(entries.toSorted(() => by(3) - 1));
}

describe("a body's canonical text", () => {
  it("does not depend on the order of fields, at any depth", () => {
    fc.assert(
      fc.property(bodies, fc.array(fc.nat(2), { minLength: 1 }), (body, draws) => {
        let at = 0;
        const by = (length: number) => (draws[at++ % draws.length] ?? 0) % length;
        const other = shuffled(body, by) as typeof body;
        expect(canonicalBody(other)).to.equal(canonicalBody(body));
      }),
    );
  });

  it("is JSON of the same meaning, so two texts are equal only if the bodies are", () => {
    fc.assert(
      fc.property(bodies, (body) => {
        const { user, metadata, session_id, safety_identifier, prompt_cache_key, ...told } = body;
        expect(JSON.parse(canonicalBody(body))).to.deep.equal(told);
      }),
    );
  });

  it("leaves out what says who asks, at the top only", () => {
    const asked = { model: "m", messages: [{ role: "user", user: "x", metadata: 1 }] };
    const told = { ...asked, user: "u", metadata: { a: "b" }, session_id: "s", prompt_cache_key: "k" };
    expect(canonicalBody(told)).to.equal(canonicalBody(asked));
    const inner = { model: "m", messages: [{ role: "user", user: "y", metadata: 1 }] };
    expect(canonicalBody(inner)).not.to.equal(canonicalBody(asked));
  });
});
