import { utf8Length } from "@aimo/protocol/bytes";
import { textResponseHash } from "@aimo/protocol/receipts";
import { expect } from "chai";
import fc from "fast-check";
import { ChatMeter, meterItems } from "../../../relay/src/core/meter.ts";
import { FrameSplitter, MAX_FRAME_BYTES, readFrame } from "../../../relay/src/core/sse.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function split(chunks: readonly Uint8Array[]): string[] {
  const splitter = new FrameSplitter();
  const frames: string[] = [];
  for (const chunk of chunks) splitter.push(chunk, (frame) => frames.push(Buffer.from(frame).toString()));
  return frames;
}

const STREAM = [
  ": comment\n\n",
  'data: {"a":"é✓𝄞"}\n\n',
  'data: {"b":2}\r\n\r\n',
  "event: aimo.usage\ndata: {}\n\n",
  "data: one\ndata: two\n\n",
  "\n",
  "data: [DONE]\n\n",
];

describe("FrameSplitter", () => {
  it("finds the same frames wherever the stream is cut", () => {
    const whole = bytes(STREAM.join(""));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: whole.length })), (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const chunks = edges.slice(1).map((end, index) => whole.slice(edges[index], end));
        expect(split(chunks)).to.deep.equal(STREAM);
      }),
    );
  });

  it("does not copy a chunk that holds whole frames", () => {
    const chunk = bytes("data: 1\n\ndata: 2\n\n");
    new FrameSplitter().push(chunk, (frame) => expect(frame.buffer).to.equal(chunk.buffer));
  });

  it("refuses a frame without end", () => {
    const splitter = new FrameSplitter();
    const push = () => splitter.push(new Uint8Array(MAX_FRAME_BYTES / 2 + 1).fill(0x61), () => {});
    push();
    expect(push).to.throw(RangeError, "longer than");
  });
});

describe("readFrame", () => {
  const cases: [string, { event: string | undefined; data: string | undefined }][] = [
    ["data: x\n\n", { event: undefined, data: "x" }],
    ["data: x\r\n\r\n", { event: undefined, data: "x" }],
    ["data:x\n\n", { event: undefined, data: "x" }],
    ["data: one\ndata: two\n\n", { event: undefined, data: "one\ntwo" }],
    ["event: e\ndata: x\n\n", { event: "e", data: "x" }],
    [": hello\n\n", { event: undefined, data: undefined }],
    ["\n", { event: undefined, data: undefined }],
  ];
  for (const [text, expected] of cases)
    it(`reads ${JSON.stringify(text)}`, () => expect(readFrame(bytes(text))).to.deep.equal(expected));
});

describe("utf8Length", () => {
  it("is the length of the encoded text, for every well-formed text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(utf8Length(text)).to.equal(Buffer.byteLength(text));
      }),
    );
  });
});

const chunk = (choices: object[], more = {}) => bytes(`data: ${JSON.stringify({ choices, ...more })}\n\n`);
const delta = (content: string, index = 0) => ({ index, delta: { content } });

describe("ChatMeter", () => {
  it("hashes a stream as the same answer in one body", () => {
    const pieces = fc.array(fc.record({ index: fc.nat(3), text: fc.string({ unit: "grapheme" }) }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(pieces, (list) => {
        const stream = new ChatMeter();
        for (const { index, text } of list) stream.addFrame(chunk([delta(text, index)]));
        const indexes = [...new Set(list.map(({ index }) => index))].sort();
        const whole = new ChatMeter();
        const textOf = (wanted: number) =>
          list.flatMap(({ index, text }) => (index === wanted ? text : [])).join("");
        whole.addBody({ choices: indexes.map((index) => ({ index, message: { content: textOf(index) } })) });
        expect(stream.delivered()).to.deep.equal(whole.delivered());
      }),
    );
  });

  it("counts text, reasoning and tool calls, and hashes text and tools", () => {
    const meter = new ChatMeter();
    const call = (args: string, name?: string) => ({
      index: 0,
      delta: { tool_calls: [{ index: 0, function: { ...(name ? { name } : {}), arguments: args } }] },
    });
    meter.addFrame(chunk([{ index: 0, delta: { reasoning_content: "hm" } }]));
    meter.addFrame(chunk([call('{"a"', "look")]));
    meter.addFrame(chunk([call(":1}")]));
    const tools = [{ name: "look", arguments: '{"a":1}' }];
    expect(meter.delivered()).to.deep.equal({
      ...{ bytes: 13, count: 1 },
      responseHash: textResponseHash([{ text: "", tools }]),
    });
  });

  it("tells content from usage, errors and comments", () => {
    const meter = new ChatMeter();
    expect(meter.addFrame(chunk([], { usage: { prompt_tokens: 1 } }))).to.equal("usage");
    expect(meter.addFrame(bytes('data: {"error":{"message":"x"}}\n\n'))).to.equal("error");
    expect(meter.addFrame(bytes(": x\n\n"))).to.equal("none");
    expect(meter.addFrame(chunk([delta("x")]))).to.equal("content");
    expect(meter.frames).to.equal(1);
  });

  it("refuses junk", () => {
    for (const junk of ["data: {\n\n", "data: 7\n\n", 'data: {"choices":[{"index":128,"delta":{}}]}\n\n'])
      expect(() => new ChatMeter().addFrame(bytes(junk)), junk).to.throw(RangeError);
  });
});

describe("meterItems", () => {
  const decode = (text: string) => Buffer.from(text, "base64");
  it("hashes an image alike, in a field or in a data URL", () => {
    const b64_json = Buffer.from("picture").toString("base64");
    const url = `data:image/png;base64,${b64_json}`;
    const hashes = [{ b64_json }, { url }].map(
      (item) => meterItems("images", { data: [item] }, decode).responseHash,
    );
    expect(hashes[0]).to.equal(hashes[1]);
  });

  it("refuses a reply without items", () => {
    for (const body of [{}, { data: [] }, { data: [{}] }, null])
      for (const route of ["images", "embeddings"] as const)
        expect(() => meterItems(route, body, decode)).to.throw(RangeError);
  });
});
