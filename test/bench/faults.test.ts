import { type Test, testOf } from "../../bench/faults/fault.ts";
import { type FaultNetwork, SMALL_LIMITS, startFaultNetwork } from "../../bench/faults/network.ts";
import { Tally } from "../../bench/faults/tally.ts";
import { FAULTS, runFault } from "../../bench/faults.ts";

/** The sixteen faults of the bench with short time limits. */
describe("faults of providers", function () {
  this.timeout(120_000);
  let network: FaultNetwork;
  let tally: Tally;
  let test: Test;

  before(async () => {
    network = await startFaultNetwork(SMALL_LIMITS);
    tally = new Tally(network);
    test = testOf(network, tally);
  });
  after(() => network?.close());

  for (const fault of FAULTS) it(fault.name, () => runFault(fault, test));

  it("and the chain takes and pays what the answers came to, to the pUSD", () => tally.expectSettled());
});
