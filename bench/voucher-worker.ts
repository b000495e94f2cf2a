import { parentPort } from "node:worker_threads";
import { initFastCrypto, recoverAddress } from "@aimo/node/fast-crypto";

/** Recovers signers for another thread: what the bench compares with doing it in the request's own turn. */
await initFastCrypto();
parentPort?.on("message", ({ id, digest, signature }) => {
  parentPort?.postMessage({ id, signer: recoverAddress(digest, signature) });
});
parentPort?.postMessage({ id: -1 });
