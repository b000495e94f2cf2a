import { isAimoError } from "@aimo/protocol/errors";
import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import fc from "fast-check";
import { readAsk } from "../../../relay/src/core/ask.ts";
import { completionsDialect } from "../../../relay/src/core/dialects/completions.ts";
import { messagesDialect } from "../../../relay/src/core/dialects/messages.ts";
import { responsesDialect } from "../../../relay/src/core/dialects/responses.ts";
import { jsonOf, providerOf, startTestRelay, type TestRelay } from "../support/test-relay.ts";

const DIALECTS = { completions: completionsDialect, messages: messagesDialect, responses: responsesDialect };
const GOOD = {
  completions: { model: "stand-in", prompt: "Hello" },
  messages: { model: "stand-in", max_tokens: 9, messages: [{ role: "user", content: "Hello" }] },
  responses: { model: "stand-in", input: "Hello" },
};
type Name = keyof typeof GOOD;

const picture = (source: object) => [{ role: "user", content: [{ type: "image", source }] }];
const said = (role: string, content: unknown) => [{ role, content }];
/** Route, change to a good body, and the field that the refusal names. */
const REFUSED: readonly (readonly [Name, object, string])[] = [
  ["completions", { prompt: ["a", "b"] }, "prompt"],
  ["completions", { prompt: [1, 2] }, "prompt"],
  ["completions", { suffix: "end" }, "suffix"],
  ["completions", { echo: true }, "echo"],
  ["completions", { best_of: 3 }, "best_of"],
  ["completions", { tools: [] }, "tools"],
  ["completions", { logprobs: "all" }, "logprobs"],
  ["completions", { max_tokens: -1 }, "max_tokens"],
  ["messages", { max_tokens: undefined }, "max_tokens"],
  ["messages", { max_tokens: "9" }, "max_tokens"],
  ["messages", { n: 2 }, "n"],
  ["messages", { messages: [] }, "messages"],
  ["messages", { messages: "Hello" }, "messages"],
  ["messages", { messages: said("constructor", "x") }, "messages[0].role"],
  ["messages", { messages: said("user", []) }, "messages[0].content"],
  ["messages", { messages: said("user", [{ type: "text" }]) }, "messages[0].content[0].text"],
  ["messages", { messages: said("user", [{ type: "document" }]) }, "messages[0].content[0].type"],
  ["messages", { messages: picture({ type: "file", file_id: "f" }) }, "messages[0].content[0].source.type"],
  ["messages", { messages: said("user", [{ type: "tool_result" }]) }, "messages[0].content[0].tool_use_id"],
  [
    "messages",
    { messages: said("assistant", [{ type: "tool_use", id: "a" }]) },
    "messages[0].content[0].name",
  ],
  ["messages", { system: [{ type: "image" }] }, "system[0].text"],
  ["messages", { stop_sequences: "END" }, "stop_sequences"],
  ["messages", { tools: [{ type: "web_search_20250305", name: "web_search" }] }, "tools[0].type"],
  ["messages", { tools: [{ name: "look" }] }, "tools[0].input_schema"],
  ["messages", { tool_choice: { type: "constructor" } }, "tool_choice.type"],
  ["messages", { tool_choice: { type: "tool" } }, "tool_choice.name"],
  ["messages", { mcp_servers: [{}] }, "mcp_servers"],
  ["messages", { inference_geo: "us" }, "inference_geo"],
  ["messages", { output_config: { format: { type: "xml" } } }, "output_config.format"],
  ["responses", { input: [] }, "input"],
  ["responses", { input: [{ type: "item_reference", id: "x" }] }, "input[0].type"],
  ["responses", { input: [{ role: "tool", content: "x" }] }, "input[0].role"],
  ["responses", { input: said("user", [{ type: "input_file" }]) }, "input[0].content[0].type"],
  [
    "responses",
    { input: said("user", [{ type: "input_image", file_id: "f" }]) },
    "input[0].content[0].file_id",
  ],
  ["responses", { input: [{ type: "function_call", call_id: "a" }] }, "input[0].name"],
  ["responses", { input: [{ type: "function_call_output", call_id: "a" }] }, "input[0].output"],
  ["responses", { instructions: ["x"] }, "instructions"],
  ["responses", { previous_response_id: "resp_1" }, "previous_response_id"],
  ["responses", { background: true }, "background"],
  ["responses", { truncation: "auto" }, "truncation"],
  ["responses", { tools: [{ type: "web_search" }] }, "tools[0].type"],
  ["responses", { max_output_tokens: 0 }, "max_output_tokens"],
  ["responses", { n: 2 }, "n"],
];

/** Bodies that are nearly right: the fields that a dialect knows, with anything in them. */
const nearly = (name: Name) => {
  const fields = [...new Set(REFUSED.flatMap(([, change]) => Object.keys(change)))];
  const block = fc.record(
    { type: fc.constantFrom("text", "image", "tool_use", "tool_result", "input_text"), text: fc.jsonValue() },
    { requiredKeys: ["type"] },
  );
  const item = fc.record({ role: fc.constantFrom("user", "assistant", "tool"), content: fc.array(block) });
  const value = fc.oneof(fc.jsonValue(), fc.array(item), fc.array(block));
  return fc.dictionary(fc.constantFrom(...fields), value).map((change) => ({ ...GOOD[name], ...change }));
};

describe("bodies of the other forms", () => {
  let relay: TestRelay;
  before(async () => {
    relay = await startTestRelay();
  });
  after(() => relay.close());

  it("are refused with the client's own field, in the form of their API", async () => {
    for (const [name, change, param] of REFUSED) {
      const response = await relay.post(`/v1/${name}`, { ...GOOD[name], ...change });
      const { type, error } = await jsonOf(response);
      expect(response.status, `${name} ${param}`).to.equal(400);
      expect(error).to.include({ type: "invalid_request_error", param, code: "invalid_request" });
      expect(error.message).to.include(param);
      expect(type).to.equal(name === "messages" ? "error" : undefined);
    }
    expect(providerOf(relay).asks).to.deep.equal([]);
    expect(relay.ledger.commits).to.deep.equal([]);
  });

  it("are refused in the form of their API before they are read, too", async () => {
    const asked: readonly [string | object, Record<string, string>, string][] = [
      ["{", {}, "invalid_request_error"],
      ["[]", {}, "invalid_request_error"],
      ["null", {}, "invalid_request_error"],
      [{ ...GOOD.messages, padding: "x".repeat(70_000) }, {}, "request_too_large"],
      [GOOD.messages, { authorization: "" }, "authentication_error"],
      [GOOD.messages, { "content-type": "text/xml" }, "invalid_request_error"],
    ];
    for (const [body, headers, kind] of asked) {
      const response = await relay.post("/v1/messages", body, headers);
      const { type, error, request_id } = await jsonOf(response);
      expect({ type, kind: error.type }).to.deep.equal({ type: "error", kind });
      expect(request_id).to.equal(response.headers.get("request-id"));
    }
  });

  it("are refused where they are nested without end", async () => {
    const deep = "[".repeat(20_000) + "]".repeat(20_000);
    for (const name of Object.keys(GOOD) as Name[]) {
      const body = JSON.stringify({ ...GOOD[name], metadata: 0 }).replace(
        '"metadata":0',
        `"metadata":${deep}`,
      );
      const response = await relay.post(`/v1/${name}`, body);
      expect(response.status, name).to.equal(400);
      expect((await jsonOf(response)).error.param).to.equal("metadata");
    }
  });

  it("get what can be said of a chunk that is nested without end", async () => {
    const deep = "[".repeat(20_000) + "]".repeat(20_000);
    providerOf(relay).onAsk = (ask) => {
      const delta = { content: "x" };
      const choice = {
        index: 0,
        delta,
        logprobs: { content: [{ token: "x", logprob: 0 }] },
        finish_reason: "stop",
      };
      const chunk = JSON.stringify({ id: "x", created: 7, model: "stand-in", choices: [choice] });
      ask.response.writeHead(200, { "content-type": "text/event-stream" });
      ask.response.write(`data: ${chunk.replace('"logprob":0', `"logprob":${deep}`)}\n\n`);
      ask.finish({ completion: 1, responseHash: textResponseHash([{ text: "x" }]) });
    };
    const textOf = async (name: Name) =>
      (await relay.post(`/v1/${name}`, { ...GOOD[name], stream: true })).text();
    // This route's chunks are the chat's own, so what cannot be written again is an error, and no clean end follows.
    expect(await textOf("completions"))
      .to.include("provider_unavailable")
      .and.not.include("[DONE]");
    expect(await textOf("responses"))
      .to.include("response.completed")
      .and.include('"text":"x"');
    expect(await textOf("messages")).to.include("message_stop");
  });

  for (const name of Object.keys(DIALECTS) as Name[]) {
    it(`become a chat or a named refusal, whatever they hold: ${name}`, () => {
      const bodies = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), nearly(name));
      fc.assert(
        fc.property(bodies, (body) => {
          try {
            const chat = DIALECTS[name].toChat(JSON.parse(JSON.stringify(body)));
            readAsk("chat", JSON.parse(JSON.stringify(chat)), 1);
          } catch (error) {
            expect(isAimoError(error) && error.code, String(error)).to.equal("invalid_request");
          }
        }),
        { numRuns: 500 },
      );
    });

    it(`are answered whatever a provider sends: ${name}`, () => {
      const delta = fc.record({
        ...{ content: fc.jsonValue(), reasoning: fc.jsonValue(), refusal: fc.jsonValue() },
        tool_calls: fc.oneof(
          fc.jsonValue(),
          fc.array(fc.record({ index: fc.nat(3), function: fc.jsonValue() })),
        ),
      });
      const choice = fc.record({
        ...{ index: fc.nat(2), delta, message: delta, logprobs: fc.jsonValue() },
        finish_reason: fc.oneof(fc.jsonValue(), fc.constantFrom("stop", "length", "constructor")),
      });
      const chunk = fc.record({ id: fc.jsonValue(), choices: fc.array(fc.oneof(choice, fc.jsonValue())) });
      fc.assert(
        fc.property(fc.array(chunk), (chunks) => {
          const stream = DIALECTS[name].stream(GOOD[name]);
          for (const each of chunks) expect(stream.chunk(each)).to.be.a("string");
          expect(stream.done()).to.be.a("string");
          for (const each of chunks) JSON.stringify(DIALECTS[name].reply(each, GOOD[name]));
        }),
        { numRuns: 200 },
      );
    });
  }
});
