import { expect } from "chai";
import { watchLoneliness } from "../../../relay/src/gossip/lonely.ts";

describe("a relay without peers", () => {
  it("says so each time that it is alone, and at once when it has nobody to dial", () => {
    const told: string[] = [];
    let peers = 0;
    let look = () => {};
    const watch = (bootstrap: readonly string[]) =>
      watchLoneliness({
        p2p: { peers: () => Array(peers).fill({}), addresses: () => ["/ip4/127.0.0.1/tcp/1"] },
        bootstrap,
        log: { info: () => told.push("info"), warn: () => told.push("warn") } as never,
        every: (again) => {
          look = again;
          return () => {};
        },
      });
    watch(["/ip4/127.0.0.1/tcp/2"]);
    expect(told).to.deep.equal([]);
    watch([]);
    expect(told).to.deep.equal(["info"]);
    for (const now of [0, 0, 1, 0]) {
      peers = now;
      look();
    }
    expect(told).to.deep.equal(["info", "warn", "warn"]);
  });
});
