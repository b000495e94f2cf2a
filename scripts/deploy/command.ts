import { asking, describeRpcUrl } from "@aimo/node/chain";
import { loadKey, type NodeKey } from "@aimo/node/keys";
import { AimoError, isAimoError } from "@aimo/protocol/errors";
import { type Chain, createPublicClient, defineChain, formatEther, http, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { deployAll, type StepReport } from "../deploy.ts";
import {
  createJournal,
  finish,
  incomplete,
  type Journal,
  type Paths,
  pathsOf,
  readRecord,
  refuseOther,
} from "./journal.ts";
import { HELP, type Options, readOptions } from "./options.ts";
import type { DeploymentRecord } from "./plan.ts";
import { checkBeforeDeploying } from "./preflight.ts";
import { termsOf } from "./terms.ts";
import { verifyDeployment } from "./verify.ts";

type DeployOptions = Extract<Options, { command: "deploy" }>;
type VerifyOptions = Extract<Options, { command: "verify" }>;

/** Where a run of the command writes, and whom it asks. */
export type DeployContext = {
  /** Results. */
  readonly write: (text: string) => void;
  /** Progress. */
  readonly note: (line: string) => void;
  /** Asks for a keystore's password; undefined: there is nobody. */
  readonly askSecret: ((question: string) => Promise<string>) | undefined;
};

/** Runs `npm run deploy` and returns its exit code: 0 done, 1 refused or failed. */
export async function runDeploy(argv: readonly string[], context: DeployContext): Promise<number> {
  try {
    return await run(readOptions(argv), context);
  } catch (error) {
    const code = isAimoError(error) ? error.code : "failed";
    const message = error instanceof Error ? error.message : String(error);
    if (argv.includes("--json")) context.write(JSON.stringify({ ok: false, error: { code, message } }));
    context.note(isAimoError(error) ? `${code}: ${message}\n${error.hint}` : message);
    return 1;
  }
}

async function run(options: Options, context: DeployContext): Promise<number> {
  if (options.command === "help") {
    context.write(HELP);
    return 0;
  }
  const endpoint = describeRpcUrl(options.rpcUrl);
  const probe = createPublicClient({ transport: http(options.rpcUrl) });
  const chainId = await asking(endpoint, () => probe.getChainId());
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [options.rpcUrl] } },
  });
  const reader: PublicClient = createPublicClient({ chain, transport: http(options.rpcUrl) });
  const paths = pathsOf(options.folder, chainId);
  if (options.command === "verify") return verify(options, context, { reader, paths });
  const key = await loadDeployer(options, context);
  const deployer = key.address;
  const { terms, startOver } = options;
  termsOf(terms, deployer);
  await refuseOther(paths, { startOver, reader });
  const { note } = context;
  await asking(endpoint, () => checkBeforeDeploying({ ...terms, reader, chainId, deployer, note }));
  note(`Deploying with profile ${terms.profile} to chain ${chainId} at ${endpoint}, from ${deployer}.`);
  await deploy(options, context, { key, paths, chain });
  return 0;
}

/** The key never is an argument: it is in a file that only its owner can read, or in an encrypted one. */
function loadDeployer(
  { keyFile: path, passwordFile }: DeployOptions,
  { askSecret }: DeployContext,
): Promise<NodeKey> {
  if (passwordFile !== undefined) return loadKey({ path, password: { file: passwordFile } });
  return loadKey({ path, ...(askSecret ? { password: { prompt: askSecret } } : {}) });
}

async function deploy(
  { rpcUrl, terms, startOver, confirmations, json }: DeployOptions,
  { write, note }: DeployContext,
  { key, paths, chain }: { readonly key: NodeKey; readonly paths: Paths; readonly chain: Chain },
): Promise<void> {
  const account = privateKeyToAccount(key.privateKey);
  const journal = createJournal(paths, { startOver });
  let cost = 0n;
  const record = await deployAll({
    ...terms,
    rpcUrl,
    wallet: { account, chain },
    confirmations,
    onStep: async (step) => {
      await journal(step);
      cost += step.cost ?? 0n;
      note(lineOf(step));
    },
  });
  await finish(paths, record);
  note(`Verified: the code, the wiring, the windows and the roles are as they should be.`);
  const gas = record.steps.reduce((sum, step) => sum + (step.gas ?? 0), 0);
  write(
    json
      ? JSON.stringify({ ok: true, file: paths.finished, ...record, gas, costWei: String(cost) })
      : reportText(paths.finished, record, { gas, cost }),
  );
}

/** ` 3/17 vault 0x… 2,423,291 gas`, when it is mined; before that what is about to be sent. */
function lineOf({ number, of, name, hash, gas, record }: StepReport): string {
  const place = `${String(number).padStart(String(of).length)}/${of}`;
  if (gas === undefined) return `${place} ${name}: sending ${hash}`;
  const address = Object.entries(record.contracts).find(([contract]) => contract === name)?.[1];
  return `${place} ${name}: ${address ? `at ${address}, ` : ""}${gas.toLocaleString("en")} gas`;
}

function reportText(
  file: string,
  { chainId, contracts }: DeploymentRecord,
  { gas, cost }: { readonly gas: number; readonly cost: bigint },
): string {
  const rows = Object.entries(contracts).map(([name, address]) => `  ${name.padEnd(14)} ${address}`);
  return [
    `Deployed to chain ${chainId} with ${gas.toLocaleString("en")} gas (${formatEther(cost)} of native coin):`,
    ...rows,
    `Written to ${file}.`,
  ].join("\n");
}

/** Checks a finished deployment, or one whose steps are all mined but that was never verified, which it finishes. */
async function verify(
  { json }: VerifyOptions,
  { write, note }: DeployContext,
  { reader, paths }: { readonly reader: PublicClient; readonly paths: Paths },
): Promise<number> {
  const finished = await readRecord(paths.finished);
  const journal = finished ? undefined : ((await readRecord(paths.partial)) as Journal | undefined);
  const record = finished ?? journal;
  if (!record)
    throw new AimoError("config_invalid", {
      message: `There is no deployment to verify: ${paths.finished} does not exist.`,
    });
  if (journal && journal.steps.length < journal.stepsOf)
    throw await incomplete(journal, paths.partial, reader);
  const genesis = await reader.getBlock({ blockNumber: 0n });
  const faults =
    genesis.hash === record.genesisHash
      ? await verifyDeployment(reader, record)
      : [`the chain begins with block ${genesis.hash}, the deployment's with ${record.genesisHash}`];
  const { chainId, contracts } = record;
  if (journal && faults.length === 0) {
    const { stepsOf: _, ...whole } = journal;
    await finish(paths, whole);
    note(`It was not written down yet: now it is, in ${paths.finished}.`);
  }
  const isRight = faults.length === 0;
  const verdict = `The deployment on chain ${chainId} is ${isRight ? "" : "not "}as it should be`;
  const text = isRight ? `${verdict}.` : [`${verdict}:`, ...faults].join("\n  ");
  write(json ? JSON.stringify({ ok: isRight, chainId, contracts, faults }) : text);
  return isRight ? 0 : 1;
}
