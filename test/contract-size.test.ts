import { readFileSync } from "node:fs";
import { expect } from "chai";

/** EIP-170: a chain takes no larger contract. Bytes. */
const MOST = 24_576;
const DEPLOYED = [
  ...["CreditVault", "FraudProofs", "ProtocolClock", "Registry", "Reserves", "Settlement", "StakeManager"],
  ...["periphery/DepositRouter", "periphery/Lens"],
];

describe("contracts", () => {
  it("are small enough to be deployed", () => {
    for (const path of DEPLOYED) {
      const file = `../artifacts/contracts/${path}.sol/${path.split("/").at(-1)}.json`;
      const { deployedBytecode } = JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8"));
      const size = (deployedBytecode.length - 2) / 2;
      expect(size, path).to.be.within(1, MOST);
    }
  });
});
