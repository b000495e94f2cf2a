import { CONTRACT_ERRORS } from "@aimo/protocol/contract-error-table";
import { contractAbis, decodeReason, refusedTransaction } from "@aimo/protocol/contract-errors";
import { expect } from "chai";
import { encodeErrorResult, parseAbi } from "viem";

const errors = contractAbis.flatMap((abi) => abi.filter((item) => item.type === "error"));

describe("protocol/contract-error-table", () => {
  it("has a row for every custom error of every contract, and no other row", () => {
    const names = [...new Set(errors.map(({ name }) => name))].sort();
    expect(names).to.have.length.greaterThan(100);
    expect(Object.keys(CONTRACT_ERRORS).sort()).to.deep.equal(names);
  });

  it("speaks of values only that the error has, wherever it is declared", () => {
    for (const { name, inputs } of errors) {
      const text = CONTRACT_ERRORS[name]?.text ?? "";
      for (const [, field, format] of text.matchAll(/\{(\w+)(?::(\w+))?\}/g)) {
        const input = inputs.find((each) => each.name === field);
        expect(input, `${name}: ${field}`).to.not.equal(undefined);
        if (format !== undefined) expect(input?.type, `${name}: ${field}:${format}`).to.match(/^uint/);
      }
      expect(text, name).to.match(/^[^A-Z].*[^.]$|^"/);
    }
  });

  it("says in words what was refused, keeps the contract's own, and advises", () => {
    const abi = parseAbi(["error InsufficientCredits(uint32 userId, uint96 free, uint96 wanted)"]);
    const args = [7, 1_500_000_000_000n, 2_000_000_000_000n] as const;
    const data = encodeErrorResult({ abi, errorName: "InsufficientCredits", args });
    const error = refusedTransaction("Opening of a channel", decodeReason(data, contractAbis));
    expect(error.code).to.equal("transaction_failed");
    expect(error.message).to.equal(
      "Opening of a channel was refused by the contract: the account has 1.5 USD of free credits and 2 USD are needed: " +
        "InsufficientCredits(userId 7, free 1500000000000, wanted 2000000000000).",
    );
    expect(error.hint).to.contain("aimo credits buy");
    expect(error.details).to.include({
      error: "InsufficientCredits",
      userId: 7,
      free: args[1],
      wanted: args[2],
    });
  });

  it("shows an error that it does not know as it is", () => {
    const { message } = refusedTransaction("A call", decodeReason("0x12345678", contractAbis));
    expect(message).to.contain("an error that is not known: 0x12345678");
  });
});
