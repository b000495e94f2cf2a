import { resolve } from "node:path";
import { loadOrCreateKey } from "@aimo/node/keys";
import type { Command } from "../command.ts";

export const walletCreate: Command = {
  name: "wallet create",
  summary: "Make a wallet: a key file for --wallet, and the address it has",
  description:
    "The file holds the private key as 64 hex digits, mode 0600. Whoever has it has the wallet's money: back it up. A file\n" +
    "that is there is kept, and its address shown. --wallet also takes V3 keystores of other programs.",
  arguments: [{ name: "FILE", summary: "where to keep the key" }],
  examples: ["aimo wallet create owner.key", "aimo credits buy 5 --wallet owner.key"],
  async run(input, context) {
    const path = resolve(context.folder, input.argument("FILE") ?? "");
    const { askSecret } = context;
    const { address, created } = await loadOrCreateKey({
      path,
      ...(askSecret ? { password: { prompt: askSecret } } : {}),
    });
    const what = created ? `Made the wallet ${address} in ${path}.` : `The wallet in ${path} is ${address}.`;
    return { text: what, json: { address, path, created } };
  },
};
