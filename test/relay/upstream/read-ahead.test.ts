import { expect } from "chai";
import { readAhead } from "../../../relay/src/upstream/events.ts";

describe("events that wait for something", () => {
  async function* count(most: number, error?: Error) {
    for (let number = 1; number <= most; number++) yield number;
    if (error) throw error;
  }

  it("come in their order, and their waits begin together", async () => {
    const waits: (() => void)[] = [];
    const allWait = Promise.withResolvers<void>();
    const ready = () =>
      new Promise<void>((resolve) => {
        if (waits.push(resolve) === 3) allWait.resolve();
      });
    const got: number[] = [];
    const reading = (async () => {
      for await (const number of readAhead(count(4), { ready, most: 3 })) got.push(number);
    })();
    await allWait.promise;
    expect(got).to.deep.equal([]);
    for (const end of waits.splice(0).reverse()) end();
    while (waits.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(got).to.deep.equal([1, 2, 3]);
    waits[0]?.();
    await reading;
    expect(got).to.deep.equal([1, 2, 3, 4]);
  });

  it("come before an error that was read after them", async () => {
    const got: number[] = [];
    const reading = (async () => {
      const ready = () => undefined;
      for await (const number of readAhead(count(2, new Error("cut")), { ready, most: 8 })) got.push(number);
    })();
    expect(await reading.catch((error: unknown) => error)).to.include({ message: "cut" });
    expect(got).to.deep.equal([1, 2]);
  });
});
