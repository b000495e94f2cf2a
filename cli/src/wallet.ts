import { type Chain, connectChain } from "@aimo/node/chain";
import { loadKey, type NodeKey } from "@aimo/node/keys";
import { createLog } from "@aimo/node/log";
import { createTransactions } from "@aimo/node/transactions";
import type { CallRequest } from "@aimo/protocol/action";
import { AimoError } from "@aimo/protocol/errors";
import type { TransactionReceipt } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import type { CliContext } from "./context.ts";
import type { Settings } from "./settings.ts";

/** A wallet on the configured chain; actions send by it. */
export type Wallet = {
  readonly chain: Chain;
  readonly account: PrivateKeyAccount;
  /** Says what is sent, sends and waits; a refusal names the contract's reason. */
  send(request: CallRequest): Promise<TransactionReceipt>;
};

/** The key in the wallet's file. Throws `config_invalid`. */
export async function loadWalletKey(settings: Settings, context: CliContext): Promise<NodeKey> {
  const { walletFile, passwordFile } = settings;
  if (walletFile === undefined)
    throw new AimoError("config_invalid", {
      message: "No wallet is configured: name its key file or keystore with --wallet or AIMO_WALLET.",
    });
  return loadSecretKey(walletFile, passwordFile, context);
}

/** A key out of a file, asking for a keystore's password if nobody named a file with it. */
export function loadSecretKey(
  path: string,
  passwordFile: string | undefined,
  context: CliContext,
): Promise<NodeKey> {
  const { askSecret } = context;
  if (passwordFile !== undefined) return loadKey({ path, password: { file: passwordFile } });
  return loadKey({ path, ...(askSecret ? { password: { prompt: askSecret } } : {}) });
}

/** The chain without a wallet. Throws what `connectChain` throws. */
export async function openChain(settings: Settings): Promise<Chain> {
  return connectChain({ rpcUrl: settings.rpcUrl(), deployment: await settings.deployment() });
}

/** Loads the wallet's key and connects it to the chain. */
export async function openWallet(settings: Settings, context: CliContext): Promise<Wallet> {
  const { privateKey } = await loadWalletKey(settings, context);
  const deployment = await settings.deployment();
  const chain = await connectChain({ rpcUrl: settings.rpcUrl(), deployment, privateKey });
  const transactions = createTransactions({ chain, log: createLog({ level: "silent" }) });
  return {
    chain,
    account: privateKeyToAccount(privateKey),
    send(request) {
      context.note(`${request.label}…`);
      return transactions.send(request);
    },
  };
}
