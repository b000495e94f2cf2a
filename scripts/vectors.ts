/**
 * Writes the golden vectors of `protocol/vectors/`, which TypeScript, Solidity and every other language must
 * reproduce. With `--check` it writes nothing and fails if a file is not what it would write. A change of a vector is
 * a change of the protocol: look at the difference before you commit it.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readOptions } from "./project/options.ts";
import { batchCases } from "./vectors/batches.ts";
import type { Case } from "./vectors/case.ts";
import { groupCases } from "./vectors/groups.ts";
import { judgementCases } from "./vectors/judgement.ts";
import { penaltyCases } from "./vectors/penalties.ts";
import { proofCases } from "./vectors/proofs.ts";
import { receiptCases } from "./vectors/receipts.ts";
import { rowCases } from "./vectors/rows.ts";
import { treeCases } from "./vectors/trees.ts";
import { typedDataCases } from "./vectors/typed-data.ts";
import { unitCases } from "./vectors/units.ts";
import { voucherCases } from "./vectors/vouchers.ts";

const HELP = `Usage: node scripts/bootstrap.mjs scripts/vectors.ts [options]

Writes the golden vectors of protocol/vectors/. A change of one is a change of the protocol.

Options:
  --check   write nothing; exit with 1 when a file is out of date
  --help    this text`;

const FILES: Readonly<Record<string, () => readonly Case[] | Promise<readonly Case[]>>> = {
  units: unitCases,
  "typed-data": typedDataCases,
  receipts: receiptCases,
  groups: groupCases,
  rows: rowCases,
  batches: batchCases,
  vouchers: voucherCases,
  judgement: judgementCases,
  penalties: penaltyCases,
  proofs: proofCases,
  trees: treeCases,
};

function textOf(cases: readonly Case[]): string {
  return `{"cases":[\n${cases.map((entry) => JSON.stringify(entry)).join(",\n")}\n]}\n`;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

const { values } = readOptions(HELP, { check: { type: "boolean", default: false } });
const folder = fileURLToPath(new URL("../protocol/vectors/", import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, cases] of Object.entries(FILES)) {
  const text = textOf(await cases());
  if (readOrEmpty(`${folder}${name}.json`) === text) continue;
  if (values.check) {
    console.error(
      `protocol/vectors/${name}.json is out of date: run scripts/vectors.ts and look at what changed.`,
    );
    process.exitCode = 1;
    continue;
  }
  writeFileSync(`${folder}${name}.json`, text);
  console.log(`wrote protocol/vectors/${name}.json`);
}
