import { isAimoError } from "@aimo/protocol/errors";
import { formatUsd } from "@aimo/protocol/units";
import { type Story, tellStory } from "./demo/story.ts";
import { readOptions } from "./project/options.ts";

const HELP = `Usage: npm run demo -- [options]

Plays a whole story on a network of its own: three users pay with credits, 63 requests of four kinds go through two relays
to three providers, one provider leaves midway, batches are posted, providers claim, every bill is verified against the
chain. Ends with one line of JSON; the exit code is 1 if any sum is off by one pUSD.

Options:
  --json   print the line of JSON only
  --help   this text`;

async function main(): Promise<void> {
  const { values } = readOptions(HELP, { json: { type: "boolean", default: false } });
  const story = await tellStory({ progress: (line) => console.error(line) });
  if (!values.json) console.log(tableOf(story));
  console.log(JSON.stringify(resultOf(story)));
  for (const problem of story.problems) console.error(`PROBLEM ${problem}`);
  process.exit(story.problems.length === 0 ? 0 : 1);
}

function resultOf(story: Story) {
  const { sums } = story;
  return {
    ok: story.problems.length === 0,
    requests: story.requests,
    billedPusd: story.billed.toString(),
    settledPusd: sums.settled.toString(),
    providersPusd: sums.providers.toString(),
    relayFeesPusd: sums.relayFees.toString(),
    protocolFeesPusd: sums.protocolFees.toString(),
    billsVerified: story.billsVerified,
    unbilledFailures: story.unbilledFailures,
    batches: sums.batches,
    vaultPusd: story.vault.tokens.toString(),
    booksPusd: (story.vault.free + story.vault.stakes + story.vault.reserves + story.vault.books).toString(),
  };
}

function tableOf(story: Story): string {
  const usd = (pusd: bigint) => `${formatUsd(pusd)} USD`;
  const rows = [
    ...story.users.map(({ name, requests, billed }) => [name, `${requests} requests`, `paid ${usd(billed)}`]),
    ...story.providers.map(({ name, served, earned, claimed }) => [
      `provider ${name}`,
      `${served} requests`,
      `earned ${usd(earned)}, claimed ${usd(claimed)}`,
    ]),
    ["relays", `${story.sums.batches} batches`, `keep ${usd(story.sums.relayFees)}`],
    ["protocol", "", `got ${usd(story.sums.protocolFees)}`],
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return [
    "",
    ...rows.map((row) => `  ${row[0]?.padEnd(widths[0] ?? 0)}  ${row[1]?.padEnd(widths[1] ?? 0)}  ${row[2]}`),
    "",
  ].join("\n");
}

main().catch((error: unknown) => {
  console.error(isAimoError(error) ? `${error.code}: ${error.message}\n${error.hint}` : error);
  process.exit(1);
});
