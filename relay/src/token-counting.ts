import { parentPort } from "node:worker_threads";
import { countText } from "@aimo/node/tokens";

/** The thread of `token-counter.ts`: gets texts, gives their counts. */

parentPort?.on("message", ([id, text]: readonly [number, string]) => {
  parentPort?.postMessage([id, countText(text)]);
});
