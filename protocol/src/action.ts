import type {
  Abi,
  AbiParameter,
  AbiParameterToPrimitiveType,
  AbiStateMutability,
  Account,
  Address,
  Chain,
  Client,
  ContractFunctionName,
  Hash,
  Hex,
  TransactionReceipt,
  Transport,
} from "viem";
import { decodeFunctionResult, encodeFunctionData } from "viem";
import { call, sendTransaction, waitForTransactionReceipt } from "viem/actions";
import { callFailure } from "./contract-errors.ts";
import type { Deployment } from "./deployment.ts";
import { AimoError } from "./errors.ts";

// Actions on the contracts, one for each external function: `action(client, parameters)`, with the function's arguments
// by name beside `deployment`. Amounts are pUSD unless they are called tokens; times are protocol seconds.
// Every action throws `transaction_failed` when the contract refuses, with its reason in words and its error and values
// in `details`; `chain_unavailable` when the endpoint fails; `wrong_deployment` when nothing answers at the address.

/** Which deployment is meant: its addresses. */
export type At = { readonly deployment: { readonly contracts: Deployment["contracts"] } };
/** The state that a read sees; the latest block unless given. */
export type AtBlock = {
  readonly blockTag?: "latest" | "safe" | "finalized" | "pending";
  readonly blockNumber?: bigint;
};

/** Any viem client reads. */
export type ReadClient = Client<Transport, Chain | undefined, Account | undefined>;
/** What sends: a viem client with an account, or whoever owns an account's nonces, such as a node's `Transactions`. */
export type WriteClient = Client<Transport, Chain | undefined, Account> | Sender;
export type Sender = {
  /** Simulates, sends, and resolves when the transaction is mined. */
  send(request: CallRequest): Promise<Pick<TransactionReceipt, "transactionHash">>;
};
export type CallRequest = {
  readonly to: Address;
  readonly data: Hex;
  /** What it does, for progress and errors; the function's name unless given. */
  readonly label: string;
};

type FunctionOf<abi extends Abi, name extends string> = Extract<
  abi[number],
  { type: "function"; name: name }
>;
type Inputs<abi extends Abi, name extends string> = FunctionOf<abi, name>["inputs"];
type Outputs<abi extends Abi, name extends string> = FunctionOf<abi, name>["outputs"];
type ByName<list extends readonly AbiParameter[], kind extends "inputs" | "outputs"> = {
  readonly [each in list[number] as each["name"] extends string
    ? each["name"]
    : never]: AbiParameterToPrimitiveType<each, kind>;
};
/** What a function returns: nothing, one value, or several by name. */
export type ResultOf<abi extends Abi, name extends string> =
  Outputs<abi, name> extends readonly []
    ? undefined
    : Outputs<abi, name> extends readonly [infer only extends AbiParameter]
      ? AbiParameterToPrimitiveType<only, "outputs">
      : ByName<Outputs<abi, name>, "outputs">;
/** The function's arguments by name, and where the contract is. */
export type ParametersOf<abi extends Abi, name extends string> = At & ByName<Inputs<abi, name>, "inputs">;

type View = Extract<AbiStateMutability, "view" | "pure">;
type Change = Exclude<AbiStateMutability, View>;

export type ReadAction<abi extends Abi, name extends ContractFunctionName<abi, View>> = (
  client: ReadClient,
  parameters: ParametersOf<abi, name> & AtBlock,
) => Promise<ResultOf<abi, name>>;

export type WriteParameters<abi extends Abi, name extends string> = ParametersOf<abi, name> & {
  readonly label?: string;
};
export type WriteAction<abi extends Abi, name extends ContractFunctionName<abi, Change>> = {
  /** Simulates, sends, and returns the hash; `waitForReceipt` waits. */
  (client: WriteClient, parameters: WriteParameters<abi, name>): Promise<Hash>;
  /** What the function would return if `account` called it. Sends nothing. */
  simulate(
    client: ReadClient,
    parameters: WriteParameters<abi, name> & AtBlock & { readonly account: Address },
  ): Promise<ResultOf<abi, name>>;
  /** The call itself, for whoever sends it in another way. */
  request(parameters: WriteParameters<abi, name>): CallRequest;
};

type ContractName = keyof Deployment["contracts"];
/** Parameters as the code here sees them: by the names that the ABI gives. */
type Loose = At & { readonly label?: string } & Readonly<Record<string, unknown>>;

/** Makes the action of a function that only reads. */
export function readAction<const abi extends Abi, name extends ContractFunctionName<abi, View>>(
  contract: ContractName,
  abi: abi,
  name: name,
): ReadAction<abi, name> {
  return (client, parameters) => evaluate(client, { contract, abi, name }, parameters as Loose) as never;
}

/** Makes the action of a function that changes something. */
export function writeAction<const abi extends Abi, name extends ContractFunctionName<abi, Change>>(
  contract: ContractName,
  abi: abi,
  name: name,
): WriteAction<abi, name> {
  const one = { contract, abi, name };
  const request = (parameters: Loose) => requestOf(one, parameters);
  const simulate = (client: ReadClient, parameters: Loose) => evaluate(client, one, parameters);
  const action = (client: WriteClient, parameters: Loose) => send(client, request(parameters));
  return Object.assign(action, { simulate, request }) as unknown as WriteAction<abi, name>;
}

/** Waits until a transaction is mined. Throws `transaction_failed` when it was reverted, and `chain_unavailable`. */
export async function waitForReceipt(
  client: ReadClient,
  { hash, confirmations = 1 }: { readonly hash: Hash; readonly confirmations?: number },
): Promise<TransactionReceipt> {
  const receipt = await asked(hash, () => waitForTransactionReceipt(client, { hash, confirmations }));
  if (receipt.status === "success") return receipt;
  throw new AimoError("transaction_failed", {
    message: `Transaction ${hash} was mined and reverted.`,
    details: { transaction: hash },
  });
}

type One = { readonly contract: ContractName; readonly abi: Abi; readonly name: string };

function requestOf({ contract, abi, name }: One, parameters: Loose): CallRequest {
  const fn = functionOf(abi, name);
  const args = fn.inputs.map((input) => parameters[input.name ?? ""]);
  return {
    to: parameters.deployment.contracts[contract],
    data: encodeFunctionData({ abi: [fn], functionName: name, args }),
    label: parameters.label ?? name,
  };
}

async function evaluate(client: ReadClient, one: One, parameters: Loose): Promise<unknown> {
  const { to, data, label } = requestOf(one, parameters);
  const { blockTag, blockNumber, account } = parameters as AtBlock & { readonly account?: Address };
  const block = blockNumber === undefined ? { blockTag: blockTag ?? "latest" } : { blockNumber };
  const answer = await asked(label, () =>
    call(client, { to, data, ...(account ? { account } : {}), ...block }),
  );
  const fn = functionOf(one.abi, one.name);
  if (fn.outputs.length === 0) return undefined;
  if (!answer.data)
    throw new AimoError("wrong_deployment", {
      message: `There is no contract at ${to} (contracts.${one.contract}) that answers ${one.name}.`,
      details: { contract: one.contract, address: to },
    });
  const value: unknown = decodeFunctionResult({ abi: [fn], functionName: one.name, data: answer.data });
  if (fn.outputs.length === 1) return value;
  const values = value as readonly unknown[];
  return Object.fromEntries(fn.outputs.map((output, index) => [output.name ?? `${index}`, values[index]]));
}

async function send(client: WriteClient, request: CallRequest): Promise<Hash> {
  if ("send" in client) return (await client.send(request)).transactionHash;
  const { to, data, label } = request;
  const { account } = client;
  return asked(label, async () => {
    await call(client, { account, to, data });
    return sendTransaction(client, { account, to, data, chain: client.chain ?? null });
  });
}

async function asked<T>(label: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw callFailure(label, error);
  }
}

/** No function of ours is overloaded, so a name is enough; a test holds that. */
function functionOf(abi: Abi, name: string) {
  const found = abi.find((item) => item.type === "function" && item.name === name);
  if (found?.type !== "function") throw new TypeError(`The ABI has no function ${name}.`);
  return found;
}
