import { onShutdown } from "@aimo/node/shutdown";
import { isAimoError } from "@aimo/protocol/errors";
import { MAX_WORKERS } from "@aimo/protocol/session";
import { readyText } from "./local/ready.ts";
import { DEFAULT_DATA_FOLDER, type LocalNetwork, startLocalNetwork } from "./local-network.ts";
import { endWithUsage, readOptions } from "./project/options.ts";

const HELP = `Usage: npm start -- [options]

Runs an AiMo network on this machine: a chain, the contracts, two relays, three providers and a funded user. It stays up
until Ctrl-C, which finishes what is in flight, posts the last batch and closes.

Options:
  --upstream URL     an OpenAI-compatible server to put behind a fourth provider, e.g. http://127.0.0.1:11434/v1
  --model NAME       the model of that server (needed with --upstream)
  --port-base PORT   first of the ports used: chain, relays, providers (default 8787)
  --data DIR         folder for keys, ledgers and addresses (default .aimo/local); each start
                     has a new chain, and empties what a local network left there
  --workers N        processes of each relay that serve requests, 1 to ${MAX_WORKERS} (default 1)
  --json             print the ready message as one line of JSON
  --help             this text`;

async function main(): Promise<void> {
  const { values } = readOptions(HELP, {
    upstream: { type: "string" },
    model: { type: "string" },
    "port-base": { type: "string", default: "8787" },
    data: { type: "string", default: DEFAULT_DATA_FOLDER },
    workers: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  });
  const portBase = Number(values["port-base"]);
  if (portBase !== 0 && !(Number.isInteger(portBase) && portBase >= 1024 && portBase <= 65_000))
    endWithUsage(`--port-base is "${values["port-base"]}": use a port from 1024 to 65000, or 0 for any.`);
  if ((values.upstream === undefined) !== (values.model === undefined))
    endWithUsage("--upstream and --model go together: name the server and the model it serves.");

  const workers = Number(values.workers);
  if (!(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS))
    endWithUsage(`--workers is "${values.workers}": use a whole number from 1 to ${MAX_WORKERS}.`);

  const network = await startLocalNetwork({
    ports: portBase === 0 ? "free" : portBase,
    ...{ dataFolder: values.data, workers },
    progress: (line) => console.error(line),
    ...(values.upstream && values.model ? { upstream: { url: values.upstream, model: values.model } } : {}),
  });
  console.log(values.json ? JSON.stringify(summaryOf(network)) : readyText(network, { data: values.data }));
  onShutdown({
    source: process,
    drain: () => network.close(),
    exit: (code) => process.exit(code),
    onEvent: (event, error) => console.error(SHUTDOWN_LINES[event], error ?? ""),
  });
}

const SHUTDOWN_LINES = {
  draining:
    "Stopping: finishing requests in flight and posting the last batch (Ctrl-C again to leave at once)…",
  drained: "Stopped.",
  forced: "Left at once. The chain was in memory, so its credits are gone with it.",
  failed: "Stopping failed:",
} as const;

function summaryOf(network: LocalNetwork) {
  const [user] = network.users;
  return {
    ready: true,
    baseUrl: user?.baseUrl,
    apiKey: user?.apiKey,
    model: network.model,
    rpcUrl: network.rpcUrl,
    relays: network.relays.map(({ id, url, p2p }) => ({ id, url, p2p })),
    providers: network.providers.map(({ id, url, name }) => ({ id, url, name })),
  };
}

main().catch((error: unknown) => {
  console.error(isAimoError(error) ? `${error.code}: ${error.message}\n${error.hint}` : error);
  process.exit(1);
});
