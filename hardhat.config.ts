import { fileURLToPath } from "node:url";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatMocha, hardhatViem],
  solidity: {
    version: "0.8.37",
    // The compiler comes from npm, so that a build never downloads one.
    path: fileURLToPath(import.meta.resolve("solc/soljson.js")),
    settings: { viaIR: true, evmVersion: "cancun", optimizer: { enabled: true, runs: 20_000 } },
  },
  paths: { tests: { mocha: "./test", solidity: "./test/contracts" } },
});
