import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import {
  addressOf,
  createNodeKey,
  generateKey,
  loadKey,
  loadOrCreateKey,
  saveKeystore,
} from "@aimo/node/keys";
import { expect } from "chai";
import type { Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { errorOf } from "./support/errors.ts";

const KEY: Hex = `0x${"4c".repeat(32)}`;

const CHEAP_KEYSTORE = {
  crypto: {
    cipher: "aes-128-ctr",
    ciphertext: "6903887f1d653e854f502df6363e10fc0ce468d6c3053f2009c4ad8da3fc0aee",
    cipherparams: { iv: "e39d316d87e606af5411ad53ac7581e8" },
    kdf: "pbkdf2",
    kdfparams: {
      c: 1_000,
      dklen: 32,
      prf: "hmac-sha256",
      salt: "1a0440ba9f3fde2b0b7bfc4f3682e58d9f4139aecb056654ec6a6fa70094c8c2",
    },
    mac: "01b96e1d352e4f9731f9b640d1243a557cd8ad1e4a86d1054feee9d17fe0e0b2",
  },
  id: "07acee6b-3060-4fec-a58f-8e923ebdd5ca",
  version: 3,
};

/** The published test vector of the keystore format. */
const PUBLISHED = {
  privateKey: "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d",
  password: "testpassword",
  keystore: {
    crypto: {
      cipher: "aes-128-ctr",
      cipherparams: { iv: "6087dab2f9fdbbfaddc31a909735c1e6" },
      ciphertext: "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
      kdf: "pbkdf2",
      kdfparams: {
        c: 262_144,
        dklen: 32,
        prf: "hmac-sha256",
        salt: "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
      },
      mac: "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    id: "3198bc9c-6672-5ab9-d995-4942343ae5b6",
    version: 3,
  },
};

describe("node/keys", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-keys-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** `KEY` under "open sesame", at a cost that suits tests. */
  function writeCheapKeystore(path: string, kdfparams: object = {}) {
    const { crypto, ...rest } = CHEAP_KEYSTORE;
    const changed = { ...crypto, kdfparams: { ...crypto.kdfparams, ...kdfparams } };
    return writeFile(path, JSON.stringify({ ...rest, crypto: changed }));
  }

  it("derives viem's address", () => {
    expect(addressOf(KEY)).to.equal(privateKeyToAccount(KEY).address);
  });

  it("keeps the key out of whatever is printed, spread or made JSON of", () => {
    const key = createNodeKey(KEY);
    expect(key.privateKey).to.equal(KEY);
    const shown = [JSON.stringify(key), inspect(key), JSON.stringify({ ...key })].join();
    expect(shown).to.include(key.address).and.not.include("4c4c");
  });

  it("makes a key file that only its owner can read, and loads the same key again", async () => {
    const path = join(folder, "deep", "node.key");
    const first = await loadOrCreateKey({ path });
    const second = await loadOrCreateKey({ path });
    expect([first.created, second.created]).to.deep.equal([true, false]);
    expect(second.address).to.equal(first.address);
    expect(await readFile(path, "utf8")).to.match(/^[0-9a-f]{64}\n$/);
    if (process.platform !== "win32") expect((await stat(path)).mode & 0o777).to.equal(0o600);
  });

  it("agrees on one key when two processes start at once", async () => {
    const path = join(folder, "node.key");
    const keys = await Promise.all([1, 2, 3, 4].map(() => loadOrCreateKey({ path })));
    expect(new Set(keys.map(({ address }) => address)).size).to.equal(1);
    expect(keys.filter(({ created }) => created)).to.have.length(1);
  });

  it("refuses a key file that others can read, and says what to run", async function () {
    if (process.platform === "win32") this.skip();
    const path = join(folder, "node.key");
    await writeFile(path, KEY);
    for (const mode of [0o640, 0o604, 0o644]) {
      await chmod(path, mode);
      const error = await errorOf("config_invalid", loadKey({ path }));
      expect(error.message).to.include(`chmod 600 ${path}`).and.not.include("4c4c");
    }
    await chmod(path, 0o400);
    expect((await loadKey({ path })).address).to.equal(addressOf(KEY));
  });

  it("names the file when it is missing, a folder, or holds no key", async () => {
    const path = join(folder, "node.key");
    expect((await errorOf("config_invalid", loadKey({ path }))).message).to.include(`no key file ${path}`);
    expect((await errorOf("config_invalid", loadKey({ path: folder }))).message).to.include("is a folder");
    for (const text of ["", "hello", "00".repeat(32), "ff".repeat(32), KEY.slice(0, -2)]) {
      await writeFile(path, text, { mode: 0o600 });
      const { message } = await errorOf("config_invalid", loadKey({ path }));
      expect(message).to.include("neither 64 hex digits").and.not.include("4c4c");
    }
    await writeFile(path, "a".repeat(70_000));
    expect((await errorOf("config_invalid", loadKey({ path }))).message).to.include("above 65536");
  });

  it("loads a V3 keystore with a password from a file or from a prompt", async () => {
    const path = join(folder, "keystore.json");
    const file = join(folder, "password");
    await writeCheapKeystore(path);
    await writeFile(file, "open sesame\n");
    expect((await loadKey({ path, password: { file } })).privateKey).to.equal(KEY);
    const asked: string[] = [];
    const prompt = async (question: string) => {
      asked.push(question);
      return "open sesame";
    };
    expect((await loadKey({ path, password: { prompt } })).privateKey).to.equal(KEY);
    expect(asked).to.deep.equal([`Password of ${path}: `]);
  });

  it("loads the keystore that the format's authors published", async function () {
    this.timeout(30_000);
    const path = join(folder, "keystore.json");
    await writeFile(path, JSON.stringify(PUBLISHED.keystore));
    const key = await loadKey({ path, password: { prompt: async () => PUBLISHED.password } });
    expect(key.privateKey).to.equal(PUBLISHED.privateKey);
  });

  it("refuses a wrong, empty or missing password without repeating it", async () => {
    const path = join(folder, "keystore.json");
    const file = join(folder, "password");
    await writeCheapKeystore(path);
    await writeFile(file, "wrong");
    const wrong = await errorOf("config_invalid", loadKey({ path, password: { file } }));
    expect(wrong.message).to.include("password is wrong");
    expect(inspect(wrong)).to.not.include("'wrong'");
    await writeFile(file, "\n");
    expect((await errorOf("config_invalid", loadKey({ path, password: { file } }))).message).to.include(
      "no password",
    );
    expect((await errorOf("config_invalid", loadKey({ path }))).message).to.include("is encrypted");
    const lost = { file: join(folder, "none") };
    expect((await errorOf("config_invalid", loadKey({ path, password: lost }))).message).to.include(
      "cannot be read",
    );
  });

  it("refuses a keystore that asks for absurd work", async () => {
    const path = join(folder, "keystore.json");
    for (const c of [1e12, "many", null]) {
      await writeCheapKeystore(path, { c });
      const password = { prompt: async () => "open sesame" };
      await errorOf("config_invalid", loadKey({ path, password }));
    }
  });

  it("writes a keystore that it can read, and never over a file", async function () {
    this.timeout(60_000);
    const path = join(folder, "keystore.json");
    const password = { prompt: async () => "open sesame" };
    const key = generateKey();
    await saveKeystore(path, key, password);
    expect(await readFile(path, "utf8")).to.not.include(key.privateKey.slice(2));
    expect((await loadKey({ path, password })).address).to.equal(key.address);
    expect((await errorOf("config_invalid", saveKeystore(path, key, password))).message).to.include("exists");
  });
});
