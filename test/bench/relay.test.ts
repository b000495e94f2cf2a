import { expect } from "chai";
import { MODES } from "../../bench/relay/modes.ts";
import { benchRelay } from "../../bench/relay.ts";

/** What the report says of one figure of one target. */
type Report = { readonly [target: string]: { readonly [mode: string]: Record<string, { mean: number }> } };

describe("bench of the relay", function () {
  this.timeout(240_000);

  it("serves every mode from every target, and says why where it does not", async () => {
    const report = await benchRelay(() => {}, {
      ...{ rounds: 1, seconds: 0.2, warmUpSeconds: 0.2, portkey: false, pin: false },
    });
    const { targets } = report as { targets: Report };
    expect(targets).to.have.all.keys(
      "direct",
      "nodeUndici",
      "fastifyUndici",
      "aimo",
      "aimoSigned",
      "portkey",
    );
    expect(targets["portkey"]).to.deep.equal({ figures: "n/a", error: "Error: it was left out" });
    for (const name of ["direct", "nodeUndici", "fastifyUndici", "aimo", "aimoSigned"]) {
      expect(targets[name]).to.have.all.keys(Object.keys(MODES));
      for (const [mode, figures] of Object.entries(targets[name] ?? {})) {
        expect(figures, `${name} ${mode}`).not.to.have.property("error");
        expect(figures["framesLost"]?.mean ?? 0, `${name} ${mode}`).to.equal(0);
      }
    }
    expect(Object.keys(MODES)).to.include.members(["streams256", "streams500"]);
    expect((report["streams500FramesRatio"] as { mean: number }).mean).to.be.above(0);
    expect(report["ratioToBareProxy"]).to.be.above(0);
    expect((report["signed"] as Report)["ratioToBareProxy"]?.["mean"]).to.be.above(0);
  });
});
