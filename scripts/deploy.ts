import { contractAbis, revertReason } from "@aimo/protocol/contract-errors";
import {
  type Address,
  BaseError,
  type Chain,
  createPublicClient,
  createWalletClient,
  encodeDeployData,
  type Hex,
  http,
  keccak256,
  type LocalAccount,
  type PublicClient,
  type TransactionReceipt,
  type Transport,
  type WalletClient,
} from "viem";
import {
  argumentsOf,
  artifactOf,
  type DeploymentRecord,
  type DeployStep,
  predictContracts,
  stepsFor,
  type Terms,
} from "./deploy/plan.ts";
import { roleCalls } from "./deploy/roles.ts";
import { type TermsParameters, termsOf } from "./deploy/terms.ts";
import { verifyDeployment } from "./deploy/verify.ts";

export type DeployParameters = TermsParameters & {
  readonly rpcUrl: string;
  /** Who deploys, and on which chain. The account is a local one: a step is signed, written down, and then sent. */
  readonly wallet: { readonly account: LocalAccount; readonly chain: Chain };
  /** Blocks on top of the last step before it counts; 1 unless given. */
  readonly confirmations?: number;
  /** Told before a step is sent and after it is mined; may write a journal, and stops the deployment by throwing. */
  readonly onStep?: (step: StepReport) => Promise<void>;
};

export type StepReport = DeployStep & {
  readonly number: number;
  readonly of: number;
  /** What is to be there afterwards. */
  readonly record: Omit<DeploymentRecord, "steps">;
  /** Wei that the step cost; absent until it is mined. */
  readonly cost?: bigint;
};

/** A local chain mines at once. */
const POLL_MS = { main: 2_000, local: 100 } as const;

type Call = { readonly name: string; readonly data: Hex; readonly to?: Address; readonly creates?: Address };

/**
 * Deploys all contracts from one account, gives the roles away, reads everything back, and returns where it is. Nothing
 * is returned unless all of it is as it should be. Throws a RangeError for terms that cannot be, an Error that names the
 * step that failed, and one that names everything found wrong afterwards.
 */
export async function deployAll(parameters: DeployParameters): Promise<DeploymentRecord> {
  const { rpcUrl, wallet, profile, token, onStep } = parameters;
  const deployer = wallet.account.address;
  const terms = termsOf(parameters, deployer);
  const options = { chain: wallet.chain, transport: http(rpcUrl), pollingInterval: POLL_MS[profile] };
  const reader = createPublicClient(options);
  const signer = createWalletClient({ ...options, account: wallet.account });
  const [firstNonce, genesis, head] = await Promise.all([
    reader.getTransactionCount({ address: deployer }),
    reader.getBlock({ blockNumber: 0n }),
    reader.getBlock(),
  ]);
  const record = {
    chainId: wallet.chain.id,
    genesisHash: genesis.hash,
    deployedAtBlock: Number(head.number) + 1,
    profile,
    contracts: predictContracts(deployer, firstNonce, token),
    deployer,
    ownToken: !token,
    terms,
  };
  const calls = callsOf(record);
  const steps: DeployStep[] = [];
  for (const [index, call] of calls.entries()) {
    const nonce = firstNonce + index;
    const serialized = await sign(signer, call, nonce);
    const step = { name: call.name, nonce, hash: keccak256(serialized) };
    const report = { ...step, number: index + 1, of: calls.length, record };
    await onStep?.(report);
    const confirmations = index === calls.length - 1 ? (parameters.confirmations ?? 1) : 1;
    const receipt = await send(reader, serialized, confirmations);
    checkStep(call, receipt);
    steps.push({ ...step, gas: Number(receipt.gasUsed) });
    await onStep?.({
      ...report,
      gas: Number(receipt.gasUsed),
      cost: receipt.gasUsed * receipt.effectiveGasPrice,
    });
  }
  const faults = await verifyDeployment(reader, { ...record, steps });
  if (faults.length > 0)
    throw new Error(`The deployment is not as it should be, do not use it: ${faults.join("; ")}.`);
  return { ...record, steps };
}

function callsOf(record: {
  readonly contracts: DeploymentRecord["contracts"];
  readonly deployer: Address;
  readonly profile: DeploymentRecord["profile"];
  readonly ownToken: boolean;
  readonly terms: Terms;
}): readonly Call[] {
  const { contracts: at, deployer, profile, terms, ownToken } = record;
  return [
    ...stepsFor(ownToken ? undefined : at.token).map((name) => {
      const { abi, bytecode } = artifactOf(name);
      const args = argumentsOf(name, { at, deployer, profile, terms });
      return { name, creates: at[name], data: encodeDeployData({ abi, bytecode, args }) };
    }),
    ...roleCalls(at, terms, deployer).map((call) => ({ ...call, to: at.accessManager })),
  ];
}

/** Estimates and signs. A step that would revert is refused here, before anything of it is on the chain. */
async function sign(
  signer: WalletClient<Transport, Chain, LocalAccount>,
  call: Call,
  nonce: number,
): Promise<Hex> {
  const { data, to } = call;
  try {
    const request = await signer.prepareTransactionRequest({ data, nonce, ...(to ? { to } : {}) });
    return await signer.signTransaction(request as Parameters<typeof signer.signTransaction>[0]);
  } catch (error) {
    const reason = revertReason(error, contractAbis);
    const text = reason?.text ?? (error instanceof BaseError ? error.shortMessage : String(error));
    throw new Error(`Step "${call.name}" cannot be sent: ${text}`, { cause: error });
  }
}

async function send(
  reader: PublicClient,
  serializedTransaction: Hex,
  confirmations: number,
): Promise<TransactionReceipt> {
  const hash = await reader.sendRawTransaction({ serializedTransaction });
  return reader.waitForTransactionReceipt({ hash, confirmations, timeout: 0 });
}

function checkStep({ name, creates }: Call, receipt: TransactionReceipt): void {
  const { contractAddress, status, transactionHash } = receipt;
  const isThere = creates === undefined || contractAddress?.toLowerCase() === creates.toLowerCase();
  if (status === "success" && isThere) return;
  throw new Error(
    `Step "${name}" failed in transaction ${transactionHash}: the deployment is not usable, start over.`,
  );
}
