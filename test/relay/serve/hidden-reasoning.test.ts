import { expect } from "chai";
import { type FaultUpstream, startFaultUpstream } from "../../provider/support/fault-upstream.ts";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";

describe("a model that thinks in tokens that it does not show", () => {
  let upstream: FaultUpstream;
  let network: RelayWithProvider | undefined;
  beforeEach(async () => {
    upstream = await startFaultUpstream();
    const usage = { prompt_tokens: 9, completion_tokens: 180 };
    const answer = { choices: [{ index: 0, message: { content: "Yes." }, finish_reason: "stop" }], usage };
    upstream.play((_, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer)),
    );
  });
  afterEach(async () => {
    await network?.close();
    await upstream.close();
  });

  const billedTokens = async (maxTokens: number) => {
    await network?.client.chat.completions.create({
      ...{ model: "acme/text", max_tokens: maxTokens },
      messages: [{ role: "user", content: "Is it so?" }],
    });
    const outcome = network?.ledger.commits.at(-1)?.outcome;
    return outcome?.kind === "usage" ? outcome.statement.units[2] : outcome;
  };

  it("is billed for them where its provider says so, up to max_tokens", async () => {
    const claims = { hiddenReasoning: true };
    network = await startRelayWithProvider({}, { upstream: upstream.url, claims });
    const [model] = (await network.client.models.list()).data as unknown as [
      { aimo: { providers: object[] } },
    ];
    expect(model.aimo.providers[0]).to.include({ hidden_reasoning: true });
    expect([await billedTokens(200), await billedTokens(150)]).to.deep.equal([180, 150]);
  });

  it("is billed for what was delivered, and no more, where its provider does not", async () => {
    network = await startRelayWithProvider({}, { upstream: upstream.url });
    expect(await billedTokens(200)).to.equal("Yes.".length + 8);
  });
});
