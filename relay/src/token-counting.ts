import { parentPort } from "node:worker_threads";
import { countText } from "@aimo/node/tokens";

/** The thread of `token-counter.ts`: gets texts, gives their counts. */

parentPort?.on("message", (chats: readonly (readonly [number, readonly string[]])[]) => {
  parentPort?.postMessage(
    chats.map(([id, texts]) => [id, texts.reduce((sum, text) => sum + countText(text), 0)]),
  );
});
