import { DEFAULT_DATA_FOLDER, type LocalNetwork } from "../local-network.ts";

type Ready = Pick<LocalNetwork, "users" | "model" | "models" | "rpcUrl" | "deployment" | "relays">;

/** What `npm start` prints when all runs. `data`: the folder as it was named, for commands that are to find it. */
export function readyText(network: Ready, { data }: { readonly data: string }): string {
  const [user] = network.users;
  if (!user) throw new Error("The local network has no user.");
  const { baseUrl, apiKey } = user;
  const where =
    data === DEFAULT_DATA_FOLDER ? "" : ` --data ${/^[\w./-]+$/.test(data) ? data : JSON.stringify(data)}`;
  return `
AiMo Network is ready.

  Base URL   ${baseUrl}
  API key    ${apiKey}
  Credits    ${user.channelUsd} USD in a channel to relay ${user.relayId}
  Chain      ${network.rpcUrl} (chain id ${network.deployment.chainId})
  Gossip     ${network.relays[0]?.p2p[0]} (where nodes of your own bootstrap: docs/running-a-node.md)
  Models     ${network.models.join(", ")}

Try it with curl:

  curl ${baseUrl}/chat/completions \\
    -H "Authorization: Bearer ${apiKey}" -H "Content-Type: application/json" \\
    -d '{"model":"${network.model}","messages":[{"role":"user","content":"How does a market settle?"}],"max_tokens":40}'

or with the OpenAI client (npm install openai):

  import OpenAI from "openai";
  const client = new OpenAI({ baseURL: "${baseUrl}", apiKey: "${apiKey}" });
  const answer = await client.chat.completions.create({
    model: "${network.model}",
    messages: [{ role: "user", content: "How does a market settle?" }],
  });
  console.log(answer.choices[0].message.content);

Verify the bill against the chain (after the first batch, a few seconds):

  node cli/bin/aimo.mjs bill verify${where}

Ctrl-C stops everything cleanly.`;
}
