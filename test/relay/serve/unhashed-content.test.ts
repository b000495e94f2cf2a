import { expect } from "chai";
import {
  chunkOf,
  type FaultUpstream,
  usageChunk,
  writeFrames,
} from "../../provider/support/fault-upstream.ts";
import type { RelayWithProvider } from "../support/relay-with-provider.ts";
import { startRelayWithUpstream } from "../support/relay-with-upstream.ts";

const USAGE = { prompt_tokens: 9, completion_tokens: 5 };
const ANSWERS: Readonly<Record<string, object>> = {
  "a legacy function call": { content: null, function_call: { name: "find", arguments: '{"sea":1}' } },
  "text in parts": { content: [{ type: "text", text: "Of the sea." }] },
  sound: { content: null, audio: { data: "AAECAw==" } },
  pictures: { content: null, images: [{ image_url: { url: "data:image/png;base64,AAEC" } }] },
};

describe("an answer without plain text", () => {
  let upstream: FaultUpstream;
  let network: RelayWithProvider;
  let close: (() => Promise<void>) | undefined;
  before(async () => {
    ({ upstream, network, close } = await startRelayWithUpstream());
  });
  after(() => close?.());

  for (const [title, message] of Object.entries(ANSWERS))
    for (const stream of [false, true])
      it(`is billed when all that it has is ${title}, ${stream ? "as a stream" : "whole"}`, async () => {
        upstream.play((_, response) => {
          if (stream) {
            writeFrames(response, [chunkOf(message, { finish: "stop" }), usageChunk(USAGE), "[DONE]"]);
            response.end();
            return;
          }
          const answer = { choices: [{ index: 0, message, finish_reason: "stop" }], usage: USAGE };
          response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
        });
        const { client, ledger } = network;
        const asked = { model: "acme/text", messages: [{ role: "user" as const, content: "What of it?" }] };
        if (stream) for await (const _ of await client.chat.completions.create({ ...asked, stream }));
        else await client.chat.completions.create({ ...asked, stream });
        const outcome = ledger.commits.at(-1)?.outcome;
        expect(outcome?.kind === "usage" && outcome.statement.units).to.deep.equal([9, 0, 5]);
      });
});
