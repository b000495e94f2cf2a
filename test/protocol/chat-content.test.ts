import { otherContent } from "@aimo/protocol/chat-content";
import { textResponseHash } from "@aimo/protocol/receipts";
import { ChatRecord } from "@aimo/provider/core/chat-record";
import { expect } from "chai";
import fc from "fast-check";
import { ChatMeter } from "../../relay/src/core/meter.ts";

/** Name, message, what a tokenizer counts of it beside its text and tools, and bytes that it cannot. */
const CASES: readonly (readonly [string, object, string, number])[] = [
  ["reasoning", { content: "x", reasoning_content: "a", reasoning: "b", refusal: "c" }, "abc", 0],
  [
    "a legacy function call",
    { content: null, function_call: { name: "f", arguments: '{"é":1}' } },
    'f{"é":1}',
    0,
  ],
  [
    "text in parts",
    {
      content: [
        { type: "text", text: "One " },
        { type: "text", text: "two." },
      ],
    },
    "One two.",
    0,
  ],
  ["a refusal in a part", { content: [{ type: "refusal", refusal: "No." }] }, "No.", 0],
  [
    "thinking in a part",
    {
      content: [
        { type: "thinking", thinking: [{ type: "text", text: "Hm." }] },
        { type: "text", text: "Yes." },
      ],
    },
    "Hm.Yes.",
    0,
  ],
  ["sound", { audio: { id: "a", data: "AAECAw==", transcript: "Hé", expires_at: 1 } }, "Hé", 8],
  ["sound without a transcript", { audio: { data: "AAEC" } }, "", 4],
  ["pictures", { content: "x", images: [{ image_url: { url: "data:image/png;base64,AAEC" } }, {}] }, "", 26],
  [
    "junk",
    {
      content: [null, 1, "x", { text: 1 }],
      function_call: "f",
      audio: [1],
      images: [null, { image_url: 1 }],
    },
    "",
    0,
  ],
  ["nothing", { content: "x", tool_calls: [] }, "", 0],
];

const bytesOf = (text: string) => Buffer.byteLength(text);

describe("the content of a chat that is in no hash", () => {
  for (const [title, message, text, opaqueBytes] of CASES)
    it(`is told of ${title}`, () =>
      expect(otherContent(message as Record<string, unknown>)).to.deep.equal({ text, opaqueBytes }));

  for (const [title, message, text, opaqueBytes] of CASES)
    it(`is counted by relay and provider alike, whole and as a stream: ${title}`, () => {
      const own = "content" in message && typeof message.content === "string" ? message.content : "";
      const choices = [{ index: 0, message, delta: message }];
      const whole = [new ChatMeter(), new ChatRecord()] as const;
      for (const side of whole) side.addBody({ choices });
      const streamed = [new ChatMeter(), new ChatRecord()] as const;
      streamed[0].addFrame(Buffer.from(`data: ${JSON.stringify({ choices })}\n\n`));
      streamed[1].addChunk({ choices });
      for (const [meter, record] of [whole, streamed]) {
        const { bytes, choices: delivered, text: countable } = record.deliveredUpTo(1);
        expect(bytes).to.equal(bytesOf(own + text) + opaqueBytes);
        expect(meter.delivered()).to.deep.equal({
          bytes,
          count: 1,
          responseHash: textResponseHash([{ text: own }]),
        });
        expect(delivered).to.deep.equal([{ text: own }]);
        expect([meter.texts().join(""), countable].map(bytesOf)).to.deep.equal([
          bytesOf(own + text),
          bytesOf(own + text),
        ]);
      }
    });

  it("is counted by both, too, where an answer tells of tokens and not the tokens", () => {
    const said = [{ token: "Yes", logprob: -0.1, top_logprobs: [] }];
    for (const [choice, around, bytes] of [
      [{ logprobs: { content: said, refusal: null } }, {}, 1],
      [{ logprobs: { content: [] }, token_ids: [] }, {}, 0],
      [{ logprobs: { tokens: ["Yes"] }, token_ids: [7] }, {}, 2],
      [{}, { prompt_logprobs: [null, { 1: said }] }, 2],
    ] as const) {
      const answer = { choices: [{ index: 0, message: { content: "" }, delta: {}, ...choice }], ...around };
      const whole = [new ChatMeter(), new ChatRecord()] as const;
      for (const side of whole) side.addBody(answer);
      const streamed = [new ChatMeter(), new ChatRecord()] as const;
      streamed[0].addFrame(Buffer.from(`data: ${JSON.stringify(answer)}\n\n`));
      streamed[1].addChunk(answer);
      for (const [meter, record] of [whole, streamed])
        expect([meter.delivered().bytes, record.deliveredUpTo(1).bytes]).to.deep.equal([bytes, bytes]);
    }
  });

  it("is counted alike whatever a message holds", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "é", "𝄞", "\ud834", "\udd1e"), maxLength: 8 });
    const any = fc.oneof(text, fc.anything({ maxDepth: 2 }));
    const part = fc.oneof(
      fc.record({
        type: any,
        text: any,
        refusal: any,
        thinking: fc.oneof(any, fc.array(fc.record({ text: any }))),
      }),
      any,
    );
    const message = fc.record(
      {
        ...{ content: fc.oneof(any, fc.array(part)), reasoning: any, refusal: any },
        function_call: fc.oneof(any, fc.record({ name: any, arguments: any })),
        images: fc.oneof(
          any,
          fc.array(fc.oneof(any, fc.record({ image_url: fc.oneof(any, fc.record({ url: any })) }))),
        ),
        audio: fc.oneof(any, fc.record({ data: any, transcript: any })),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 4 }), (messages) => {
        const meter = new ChatMeter();
        const record = new ChatRecord();
        for (const delta of messages) {
          const frame = `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
          meter.addFrame(Buffer.from(frame));
          record.addChunk(JSON.parse(frame.slice(6)));
        }
        const { bytes, choices } = record.deliveredUpTo(messages.length);
        const { bytes: seen, responseHash } = meter.delivered();
        expect(seen).to.equal(bytes);
        expect(responseHash).to.equal(textResponseHash(choices));
      }),
    );
  });
});
