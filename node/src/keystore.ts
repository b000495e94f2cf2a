import { readFile } from "node:fs/promises";
import { AimoError } from "@aimo/protocol/errors";
import { decrypt, encrypt, type Keystore, scryptAsync, toKeyAsync } from "ox/Keystore";
import type { Hex } from "viem";

/** Where a keystore's password comes from: a file, or a question to a person. Never an argument or a log line. */
export type PasswordSource =
  | { readonly file: string }
  | { readonly prompt: (question: string) => Promise<string> };

/** True for the JSON of an Ethereum V3 keystore, as Geth, Foundry and this package write it. */
export function isKeystore(value: unknown): value is Keystore {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    value.version === 3 &&
    "crypto" in value
  );
}

export type DecryptParameters = {
  readonly keystore: Keystore;
  /** Names the keystore in errors and questions. */
  readonly path: string;
  readonly password: PasswordSource | undefined;
};

/** The private key in a keystore. Throws `config_invalid`: no password given, wrong password, damaged file. Slow by design. */
export async function decryptKeystore({ keystore, path, password }: DecryptParameters): Promise<Hex> {
  if (!password)
    throw new AimoError("config_invalid", {
      message: `The key file ${path} is encrypted: name a file with its password, or start from a terminal.`,
    });
  checkCost(keystore, path);
  const secret = await readPassword(password, `Password of ${path}: `);
  try {
    return decrypt(keystore, await toKeyAsync(keystore, { password: secret }));
  } catch {
    // The cause is left out on purpose: its message may hold parts of the file or the password.
    throw new AimoError("config_invalid", {
      message: `The key file ${path} cannot be decrypted: the password is wrong, or the file is damaged.`,
    });
  }
}

/** Encrypts a key with scrypt at the strength that Geth uses. Slow by design. */
export async function encryptKeystore(privateKey: Hex, password: PasswordSource): Promise<Keystore> {
  const secret = await readPassword(password, "Password for the new key file: ");
  const [key, options] = await scryptAsync({ password: secret });
  return encrypt(privateKey, key, options);
}

/** Memory of scrypt is 128 * n * r bytes and its time grows with p: a file must not be able to stall the node. */
const MAX_SCRYPT_COST = 2 ** 24;
const MAX_PBKDF2_ROUNDS = 10_000_000;

function checkCost(keystore: Keystore, path: string): void {
  const { kdf } = keystore.crypto;
  // Negated comparisons, so that a missing or strange number is refused too.
  const costs: { n?: number; r?: number; p?: number; c?: number } = keystore.crypto.kdfparams ?? {};
  const { n = NaN, r = NaN, p = NaN, c = NaN } = costs;
  const tooDear = kdf === "scrypt" ? !(n * r * p <= MAX_SCRYPT_COST) : !(c <= MAX_PBKDF2_ROUNDS);
  if (tooDear)
    throw new AimoError("config_invalid", {
      message: `The key file ${path} asks for more work than any wallet writes (${kdf}); it is damaged or hostile.`,
    });
}

/** Longest password read from a file. */
const MAX_PASSWORD_CHARACTERS = 1_024;

async function readPassword(source: PasswordSource, question: string): Promise<string> {
  if ("prompt" in source) return source.prompt(question);
  try {
    // Editors end files with a line break, which is no part of the password.
    const password = (await readFile(source.file, "utf8")).replace(/\r?\n$/, "");
    if (password.length > 0 && password.length <= MAX_PASSWORD_CHARACTERS) return password;
  } catch (cause) {
    throw new AimoError("config_invalid", {
      message: `The password file ${source.file} cannot be read.`,
      cause,
    });
  }
  throw new AimoError("config_invalid", {
    message: `The password file ${source.file} holds no password of 1 to ${MAX_PASSWORD_CHARACTERS} characters.`,
  });
}
