import { SseReader } from "@aimo/provider/core/sse";
import { expect } from "chai";
import fc from "fast-check";

describe("provider/core sse", () => {
  const read = (pieces: readonly string[]) => {
    const reader = new SseReader();
    return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  };

  it("reads events, names, several data lines and CRLF; drops comments and unknown fields", () => {
    const text =
      ": hi\n\ndata: 1\n\nevent: x\r\ndata: 2\r\ndata:3\r\n\r\nid: 9\nretry: 1\n\ndata\n\ndata: last";
    expect(read([text])).to.deep.equal([
      { event: undefined, data: "1" },
      { event: "x", data: "2\n3" },
      { event: undefined, data: "" },
      { event: undefined, data: "last" },
    ]);
  });

  it("gives the same events wherever the text is cut", () => {
    const line = fc.constantFrom("data: a", 'data: {"b": 1}', "event: n", ": c", "");
    fc.assert(
      fc.property(
        fc.array(line),
        fc.array(fc.nat(200)),
        fc.constantFrom("\n", "\r\n"),
        (lines, cuts, end) => {
          const text = lines.map((one) => one + end).join("");
          const at = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].sort((a, b) => a - b);
          expect(read(at.slice(1).map((to, index) => text.slice(at[index], to)))).to.deep.equal(read([text]));
        },
      ),
    );
  });
});
