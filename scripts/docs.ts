/**
 * `npm run docs`: writes the pages of `docs/` that derive from tables in the code. With `--check` it writes nothing
 * and fails if a page is not what it would write.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "@aimo/cli/commands";
import { referencePage } from "@aimo/cli/help";
import { CONTRACT_ERRORS } from "@aimo/protocol/contract-error-table";
import { ERRORS } from "@aimo/protocol/errors";
import { settingsPage } from "./docs/settings.ts";
import { tableRow } from "./docs/table.ts";
import { readOptions } from "./project/options.ts";

const HELP = `Usage: npm run docs -- [options]

Writes the pages of docs/ that derive from tables in the code.

Options:
  --check   write nothing; exit with 1 when a page is out of date
  --help    this text`;

type Page = { readonly path: string; readonly render: () => string };

const PAGES: readonly Page[] = [
  { path: "docs/errors.md", render: errorsPage },
  { path: "docs/reference/cli.md", render: () => referencePage(COMMANDS) },
  { path: "docs/reference/settings.md", render: settingsPage },
];

function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, message, hint }]) =>
    tableRow([`\`${code}\``, String(status), message, hint]),
  );
  return [
    "<!-- Generated from protocol/src/errors.ts by `npm run docs`. -->",
    "# Errors",
    "",
    "A failed request is answered with this status and a body of OpenAI's shape; `error.code` is the code below.",
    "Where an inference server refused the request, its own code for that is in `error.metadata.provider_code`.",
    "",
    tableRow(["Code", "Status", "What happened", "What to do"]),
    tableRow(["---", "---", "---", "---"]),
    ...rows,
    "",
    "## Refusals of the contracts",
    "",
    "`transaction_failed` names the contract's error in `error.metadata.error`, with its values beside it. Values in braces.",
    "",
    tableRow(["Error", "What happened", "What to do"]),
    tableRow(["---", "---", "---"]),
    ...Object.entries(CONTRACT_ERRORS).map(([name, { text, hint }]) =>
      tableRow([`\`${name}\``, text.replaceAll(/\{(\w+)(:\w+)?\}/g, "{$1}"), hint ?? ""]),
    ),
    "",
  ].join("\n");
}

function isFresh(file: string, text: string): boolean {
  try {
    return readFileSync(file, "utf8") === text;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

const { values } = readOptions(HELP, { check: { type: "boolean", default: false } });
for (const { path, render } of PAGES) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const text = render();
  if (isFresh(file, text)) continue;
  if (values.check) {
    console.error(`${path} is out of date: run \`npm run docs\` and commit it.`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`wrote ${path}`);
}
