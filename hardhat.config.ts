import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import { defineConfig } from "hardhat/config";

// The compiler comes from npm, so that a build never downloads one.
const solc = { version: "0.8.37", path: fileURLToPath(import.meta.resolve("solc/soljson.js")) };
const contracts = {
  ...solc,
  settings: { viaIR: true, evmVersion: "cancun", optimizer: { enabled: true, runs: 20_000 } },
};
// Tests take the contracts from their artifacts, so they themselves need not be optimized: that saves a minute.
const tests = { ...solc, settings: { evmVersion: "cancun" } };
const testFiles = readdirSync(new URL("test/contracts/", import.meta.url), {
  recursive: true,
  encoding: "utf8",
})
  .filter((file) => file.endsWith(".sol"))
  .map((file) => `test/contracts/${file.replaceAll("\\", "/")}`);

// AIMO_DEEP=1 makes fuzz and invariant tests run for minutes instead of seconds.
// biome-ignore lint/style/noProcessEnv: a build tool's switch, not a node's setting
const isDeep = process.env["AIMO_DEEP"] === "1";

export default defineConfig({
  plugins: [hardhatMocha, hardhatViem],
  solidity: {
    compilers: [contracts],
    overrides: Object.fromEntries(testFiles.map((file) => [file, tests])),
  },
  test: {
    solidity: {
      fsPermissions: { readDirectory: ["./protocol/vectors"] },
      fuzz: { runs: isDeep ? 20_000 : 256 },
      invariant: { runs: isDeep ? 256 : 24, depth: isDeep ? 256 : 64, failOnRevert: false },
    },
  },
  paths: { tests: { mocha: "./test", solidity: "./test/contracts" } },
});
