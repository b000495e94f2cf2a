import { expect } from "chai";
import fc from "fast-check";
import { createEventParser, readEvents, type ServerEvent } from "../../sdk/typescript/src/sse.ts";

async function eventsOf(...chunks: Uint8Array[]): Promise<ServerEvent[]> {
  const found: ServerEvent[] = [];
  const source = (async function* () {
    yield* chunks;
  })();
  for await (const event of readEvents(source)) found.push(event);
  return found;
}
const bytes = (text: string) => new TextEncoder().encode(text);

describe("sdk/sse", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  it("reads events, names and data of several lines", async () => {
    const text = "data: one\n\nevent: usage\ndata: two\ndata: three\nid: 7\n\ndata\n\n";
    expect(await eventsOf(bytes(text))).to.deep.equal([
      { event: "", data: "one" },
      { event: "usage", data: "two\nthree" },
      { event: "", data: "" },
    ]);
  });

  it("takes one space after the colon away, and no more", async () => {
    expect(await eventsOf(bytes("data:a\n\ndata:  b\n\n"))).to.deep.equal([
      { event: "", data: "a" },
      { event: "", data: " b" },
    ]);
  });

  it("passes over comments, a byte order mark and events without data", async () => {
    const text = "\uFEFF: AIMO PROCESSING\n\nevent: ping\n\n:\ndata: x\n: between\n\n";
    expect(await eventsOf(bytes(text))).to.deep.equal([{ event: "", data: "x" }]);
  });

  it("does not give out an event that the end cuts off", async () => {
    expect(await eventsOf(bytes("data: whole\n\ndata: part\n"))).to.deep.equal([
      { event: "", data: "whole" },
    ]);
  });

  it("gives the event that a CR at the very end completes", async () => {
    expect(await eventsOf(bytes("data: x\r\r"))).to.deep.equal([{ event: "", data: "x" }]);
  });

  it("reads the same however the bytes are cut and the lines end", () => {
    const line = fc.string({ unit: "binary" }).map((text) => text.replace(/[\r\n\uFEFF]/g, ""));
    const events = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { maxLength: 5 });
    const end = fc.constantFrom("\n", "\r\n", "\r");
    return fc.assert(
      fc.asyncProperty(events, end, fc.array(fc.nat(60)), async (list, newline, cuts) => {
        const text = list
          .map((lines) => `: hi${newline}${lines.map((l) => `data: ${l}${newline}`).join("")}${newline}`)
          .join("");
        const all = bytes(text);
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(all.subarray(at, at + cut));
          at += cut;
        }
        chunks.push(all.subarray(at));
        const want = list.map((lines) => new TextDecoder().decode(bytes(lines.join("\n"))));
        expect((await eventsOf(...chunks)).map(({ data }) => data)).to.deep.equal(want);
      }),
    );
  });

  it("refuses an event beyond the limit, in one line or in many", () => {
    const mega = "x".repeat(1024 * 1024);
    const long = createEventParser();
    expect(() => {
      for (let i = 0; i < 9; i++) long.push(mega);
    }).to.throw("8388608 characters");
    const many = createEventParser();
    expect(() => {
      for (let i = 0; i < 9; i++) many.push(`data: ${mega}\n`);
    }).to.throw("8388608 characters");
  });
});
