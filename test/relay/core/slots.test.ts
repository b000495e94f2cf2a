import { expect } from "chai";
import fc from "fast-check";
import { Slots } from "../../../relay/src/core/slots.ts";

describe("slots of what is in flight", () => {
  it("keep what a map would, whatever comes and goes", () => {
    const step = fc.oneof(fc.constant("add" as const), fc.nat(200));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
        const slots = new Slots<{ readonly id: number }>();
        const model = new Map<number, { readonly id: number }>();
        for (const at of steps) {
          if (at === "add") {
            const entry = slots.add((id) => ({ id }));
            expect(model.has(entry.id), "an id in use was given out").to.equal(false);
            model.set(entry.id, entry);
          } else {
            const id = [...model.keys()][at] ?? at * 1_000;
            expect(slots.get(id)).to.equal(model.get(id));
            expect(slots.delete(id)).to.equal(model.delete(id));
          }
          expect(slots.size).to.equal(model.size);
        }
        expect(slots.all()).to.have.members([...model.values()]);
        slots.clear();
        expect([slots.size, slots.all()]).to.deep.equal([0, []]);
      }),
    );
  });

  it("give no id again soon, so that what is late for one that ended finds nothing", () => {
    const slots = new Slots<{ readonly id: number }>();
    const seen = new Set<number>();
    for (let i = 0; i < 10_000; i++) {
      const { id } = slots.add((free) => ({ id: free }));
      expect(seen.has(id)).to.equal(false);
      seen.add(id);
      slots.delete(id);
      expect(slots.get(id)).to.equal(undefined);
    }
  });
});
