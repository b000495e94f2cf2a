import { parentPort } from "node:worker_threads";
import { countText } from "@aimo/node/tokens";

/** The thread of `token-counter.ts`: gets texts, gives their counts. */

parentPort?.on("message", (texts: readonly (readonly [number, string])[]) => {
  parentPort?.postMessage(texts.map(([id, text]) => [id, countText(text)]));
});
