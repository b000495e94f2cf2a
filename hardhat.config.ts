import { fileURLToPath } from "node:url";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import { defineConfig } from "hardhat/config";

// AIMO_DEEP=1 makes fuzz and invariant tests run for minutes instead of seconds.
// biome-ignore lint/style/noProcessEnv: a build tool's switch, not a node's setting
const isDeep = process.env["AIMO_DEEP"] === "1";
// AIMO_MUTANTS=1 makes compiler and tests as quick as they still mean something: scripts/mutate.ts runs them per fault.
// biome-ignore lint/style/noProcessEnv: likewise
const isMutating = process.env["AIMO_MUTANTS"] === "1";
const RUNS = isDeep
  ? { fuzz: 10_000, invariant: 10_000, depth: 32 }
  : isMutating
    ? { fuzz: 64, invariant: 8, depth: 48 }
    : { fuzz: 256, invariant: 32, depth: 64 };

const ACCESS_MANAGER = "@openzeppelin/contracts/access/manager/AccessManager.sol";

// The compiler comes from npm, so that a build never downloads one.
const solc = { version: "0.8.37", path: fileURLToPath(import.meta.resolve("solc/soljson.js")) };
const settings = { evmVersion: "cancun" } as const;
// A compiler run of its own for each contract that is deployed, and one for all the rest: tests take contracts from
// their artifacts, so they need no optimizer, and sixty runs for sixty test files would take minutes.
const deployed = (runs = 20_000) => ({
  ...solc,
  settings: { ...settings, viaIR: true, ...(isMutating ? {} : { optimizer: { enabled: true, runs } }) },
});

export default defineConfig({
  plugins: [hardhatMocha, hardhatViem],
  solidity: {
    compilers: [{ ...solc, settings }],
    npmFilesToBuild: [ACCESS_MANAGER],
    overrides: {
      [ACCESS_MANAGER]: deployed(),
      "contracts/CreditVault.sol": deployed(),
      "contracts/ProtocolClock.sol": deployed(),
      "contracts/Registry.sol": deployed(),
      "contracts/Reserves.sol": deployed(),
      "contracts/StakeManager.sol": deployed(),
      "contracts/periphery/DepositRouter.sol": deployed(),
      "contracts/periphery/Lens.sol": deployed(),
      "contracts/test/TestDollar.sol": deployed(),
      // as many runs as leave them below the size limit of 24,576 bytes
      "contracts/Settlement.sol": deployed(1_000),
      "contracts/FraudProofs.sol": deployed(200),
    },
  },
  test: {
    solidity: {
      fsPermissions: { readDirectory: ["./protocol/vectors"] },
      fuzz: { runs: RUNS.fuzz },
      invariant: { runs: RUNS.invariant, depth: RUNS.depth, failOnRevert: false },
    },
  },
  paths: { tests: { mocha: "./test", solidity: "./test/contracts" } },
});
