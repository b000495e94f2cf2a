import { TEMPLATE_TOKENS } from "@aimo/protocol/unit-bounds";
import { costOf, type Units } from "@aimo/protocol/units";
import { expect } from "chai";
import { FAILURES_TO_EJECT } from "../../../relay/src/core/breaker.ts";
import {
  chunkOf,
  type FaultUpstream,
  usageChunk,
  writeFrames,
} from "../../provider/support/fault-upstream.ts";
import { MODELS } from "../../provider/support/provider.ts";
import type { RelayWithProvider } from "../support/relay-with-provider.ts";
import { startRelayWithUpstream } from "../support/relay-with-upstream.ts";
import { jsonOf } from "../support/test-relay.ts";

const [TEXT, EMBED] = MODELS;
if (!TEXT || !EMBED) throw new Error("No models.");
const OVERLONG = "a ".repeat(TEXT.contextTokens);
const ANSWER = "Yes.";

describe("a provider whose inference server counts more than the request can hold", () => {
  let upstream: FaultUpstream;
  let network: RelayWithProvider;
  let close: (() => Promise<void>) | undefined;
  before(async () => {
    ({ upstream, network, close } = await startRelayWithUpstream());
  });
  after(() => close?.());

  const lastUnits = (): Units | undefined => {
    const outcome = network.ledger.commits.at(-1)?.outcome;
    return outcome?.kind === "usage" ? outcome.statement.units : undefined;
  };
  const endpointOf = async (slug: string) =>
    (await jsonOf(await fetch(`${network.url}/v1/models/${slug}/endpoints`))).data.endpoints[0];

  it("is paid for a prompt longer than the model's context up to the context, and goes on serving", async () => {
    const usage = { prompt_tokens: 3 * TEXT.contextTokens, completion_tokens: 900_000 };
    upstream.play((_, response) => {
      writeFrames(response, [chunkOf({ content: ANSWER }, { finish: "stop" }), usageChunk(usage), "[DONE]"]);
      response.end();
    });
    for (let i = 0; i <= FAILURES_TO_EJECT; i++) {
      const stream = await network.client.chat.completions.create({
        ...{ model: TEXT.slug, max_tokens: 6, stream: true },
        messages: [{ role: "user", content: OVERLONG }],
      });
      let cost: unknown;
      for await (const chunk of stream) cost = (chunk as { aimo?: { provider_cost_pusd: string } }).aimo;
      expect(lastUnits()).to.deep.equal([TEXT.contextTokens, 0, 6]);
      expect(cost).to.include({
        provider_cost_pusd: costOf([TEXT.contextTokens, 0, 6], TEXT.prices).toString(),
      });
    }
    const { status, requests } = await endpointOf(TEXT.slug);
    expect(status).to.equal(0);
    expect(requests.last_5m).to.deep.equal({ ok: FAILURES_TO_EJECT + 1, failed: 0 });
  });

  it("is paid for embeddings up to a token for each byte", async () => {
    const answer = { data: [{ embedding: [0.5] }], usage: { prompt_tokens: 1_000_000 } };
    upstream.play((_, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer)),
    );
    const body = { model: EMBED.slug, input: "sea", encoding_format: "float" } as const;
    await network.client.embeddings.create(body);
    expect(lastUnits()).to.deep.equal([JSON.stringify(body).length + TEMPLATE_TOKENS, 0, 0]);
  });
});
