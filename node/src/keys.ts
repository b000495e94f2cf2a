import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { toBytes, toHex } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import type { Address, Hex } from "viem";
import { addressOfPublicKey, isPrivateKey, publicKeyOf } from "./fast-crypto.ts";
import { decryptKeystore, encryptKeystore, isKeystore, type PasswordSource } from "./keystore.ts";

/** A node's or owner's key. `privateKey` is not enumerable, so logs, JSON and spreads do not carry it away. */
export type NodeKey = { readonly address: Address; readonly privateKey: Hex };

/** Ethereum address of a private key. Throws a RangeError when it is no private key. */
export function addressOf(privateKey: Uint8Array | Hex): Address {
  return addressOfPublicKey(publicKeyOf(privateKey));
}

/** Wraps a private key. Throws a RangeError when it is none; the message does not repeat it. */
export function createNodeKey(privateKey: Uint8Array | Hex): NodeKey {
  const bytes = typeof privateKey === "string" ? toBytes(privateKey) : privateKey;
  const key = { address: addressOf(bytes) };
  return Object.defineProperty(key, "privateKey", { value: toHex(bytes), enumerable: false }) as NodeKey;
}

/** A fresh random key. */
export function generateKey(): NodeKey {
  let bytes = randomBytes(32);
  while (!isPrivateKey(bytes)) bytes = randomBytes(32);
  return createNodeKey(bytes);
}

export type LoadKeyParameters = {
  readonly path: string;
  /** Needed when the file is a V3 keystore: where its password comes from. Never an argument of a command. */
  readonly password?: PasswordSource;
};

/**
 * Loads a key file: 64 hex digits in a file of mode 0600, or an Ethereum V3 keystore.
 * Throws `config_invalid`: no such file, readable by others, no key in it, password missing or wrong.
 */
export async function loadKey({ path, password }: LoadKeyParameters): Promise<NodeKey> {
  const text = await readKeyFile(path);
  const json = parseJson(text);
  if (isKeystore(json)) return createNodeKey(await decryptKeystore({ keystore: json, path, password }));
  await refuseReadableByOthers(path);
  const hex = text.trim().replace(/^0x/, "");
  if (!/^[0-9a-fA-F]{64}$/.test(hex) || !isPrivateKey(Buffer.from(hex, "hex")))
    throw invalid(`The key file ${path} holds neither 64 hex digits of a private key nor a V3 keystore.`);
  return createNodeKey(Buffer.from(hex, "hex"));
}

/** As `loadKey`, and makes a fresh key (mode 0600) when there is no such file. Two starters agree on one key. */
export async function loadOrCreateKey(
  parameters: LoadKeyParameters,
): Promise<NodeKey & { created: boolean }> {
  const { path } = parameters;
  const fresh = generateKey();
  const created = await writeNew(path, `${fresh.privateKey.slice(2)}\n`);
  const key = created ? fresh : await loadKey(parameters);
  return Object.defineProperty(key as NodeKey & { created: boolean }, "created", { value: created });
}

/** Writes a key into a new encrypted V3 keystore (mode 0600). Throws `config_invalid` when the file exists. */
export async function saveKeystore(path: string, key: NodeKey, password: PasswordSource): Promise<void> {
  const keystore = await encryptKeystore(key.privateKey, password);
  if (!(await writeNew(path, `${JSON.stringify(keystore)}\n`)))
    throw invalid(`The key file ${path} exists; a key is never overwritten.`);
}

/**
 * Writes a file that must not exist yet, readable by its owner only, and has it on disk. False when it exists. It appears
 * whole or not at all, so that another starter never reads half a key.
 */
async function writeNew(path: string, text: string): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

/** Largest key file read: keystores are below 1 KB. */
const MAX_KEY_FILE_BYTES = 64 * 1024;

async function readKeyFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_KEY_FILE_BYTES)
      throw invalid(`The key file ${path} is ${size} bytes, above ${MAX_KEY_FILE_BYTES}; it is no key file.`);
    return await readFile(path, "utf8");
  } catch (cause) {
    if (isSystemError(cause, "ENOENT")) throw invalid(`There is no key file ${path}.`, cause);
    if (isSystemError(cause, "EACCES"))
      throw invalid(`The key file ${path} may not be read by this user.`, cause);
    if (isSystemError(cause, "EISDIR")) throw invalid(`The key file ${path} is a folder.`, cause);
    throw cause;
  }
}

async function refuseReadableByOthers(path: string): Promise<void> {
  // Windows keeps no such bits; its user folders are private by default.
  if (process.platform === "win32") return;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw invalid(
      `The key file ${path} has mode ${(mode & 0o777).toString(8).padStart(4, "0")}: others on this machine can read it. ` +
        `Run: chmod 600 ${path}`,
    );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A key in hex is no JSON; that is the other format.
    return undefined;
  }
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function invalid(message: string, cause?: unknown): AimoError {
  return new AimoError("config_invalid", { message, ...(cause === undefined ? {} : { cause }) });
}
