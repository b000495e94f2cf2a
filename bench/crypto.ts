import { initFastCrypto, keccak, recoverAddress, sign } from "@aimo/node/fast-crypto";
import { keccak256, recoverAddress as recoverByViem, toHex } from "viem";
import { sign as signByViem } from "viem/accounts";
import { rateOf } from "./rate.ts";

const KEY = new Uint8Array(32).fill(7);
const DIGEST = new Uint8Array(32).fill(9);
const ROUNDS = 300;

/** Signing, recovery and keccak: native against viem's, operations per second. */
export async function benchCrypto(): Promise<Readonly<Record<string, number>>> {
  await initFastCrypto();
  const signature = sign(DIGEST, KEY);
  const signs = rateOf(() => sign(DIGEST, KEY));
  const recovers = rateOf(() => recoverAddress(DIGEST, signature));
  const hashes = rateOf(() => keccak(DIGEST));
  const viemSigns = await rateOfAsync(() => signByViem({ hash: toHex(DIGEST), privateKey: toHex(KEY) }));
  const viemRecovers = await rateOfAsync(() => recoverByViem({ hash: toHex(DIGEST), signature }));
  const viemHashes = rateOf(() => keccak256(DIGEST, "bytes"));
  return {
    "sign, per second": signs,
    "sign, ratio to viem": ratio(signs, viemSigns),
    "recover, per second": recovers,
    "recover, ratio to viem": ratio(recovers, viemRecovers),
    "keccak of 32 B, per second": hashes,
    "keccak, ratio to viem": ratio(hashes, viemHashes),
  };
}

const ratio = (a: number, b: number) => Math.round((10 * a) / b) / 10;

async function rateOfAsync(call: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < ROUNDS / 10; i++) await call();
  const started = performance.now();
  for (let i = 0; i < ROUNDS; i++) await call();
  return Math.round((ROUNDS * 1000) / (performance.now() - started));
}
