import { expect } from "chai";
import { readChatRequest } from "../../../provider/src/demo/chat-request.ts";

const chat = { model: "demo-text", messages: [{ role: "user", content: "Hello" }] };

describe("demo/chat request", () => {
  for (const [title, change, message] of [
    ["a role that is none", { messages: [{ role: "robot", content: "a" }] }, /role' must be one of system,/],
    ["a user who says nothing", { messages: [{ role: "user" }] }, /'messages\[0\]\.content' is missing/],
    ["an assistant who does nothing", { messages: [{ role: "assistant" }] }, /content' is missing/],
    ["a top_p out of range", { top_p: 2 }, /'top_p'.* 0 to 1/],
    ["a penalty out of range", { frequency_penalty: -9 }, /'frequency_penalty'.* -2 to 2/],
    ["another penalty out of range", { presence_penalty: "1" }, /'presence_penalty'.* -2 to 2/],
    ["a bias that is no object", { logit_bias: 5 }, /'logit_bias' must be an object/],
    ["a bias out of range", { logit_bias: { 5: 101 } }, /'logit_bias'.* -100 to 100/],
    ["too many logprobs", { top_logprobs: 21 }, /'top_logprobs'.* 0 to 20/],
  ] as const)
    it(`refuses ${title}, by its name and limit`, () => {
      expect(() => readChatRequest({ ...chat, ...change })).to.throw(message);
    });

  it("takes what is in range, and an assistant who only calls tools", () => {
    const messages = [
      ...chat.messages,
      { role: "assistant", content: null, tool_calls: [] },
      { role: "tool", content: "4" },
    ];
    const sampling = { top_p: 0, frequency_penalty: 2, presence_penalty: -2, logit_bias: { 5: -100 } };
    const read = readChatRequest({ ...chat, ...sampling, messages, logprobs: true, top_logprobs: 20 });
    expect(read.messages.map(({ role }) => role)).to.deep.equal(["user", "assistant", "tool"]);
  });
});
