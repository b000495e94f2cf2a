import { boundaryOf, readMultipart, replacePart, textOfPart } from "@aimo/protocol/multipart";
import { expect } from "chai";
import fc from "fast-check";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("protocol/multipart", () => {
  it("reads what the runtime's own encoder writes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.stringMatching(/^[a-z_[\]]{1,12}$/), fc.uint8Array({ maxLength: 300 })), {
          minLength: 1,
          maxLength: 8,
        }),
        async (fields) => {
          const form = new FormData();
          for (const [name, content] of fields)
            form.append(name, new Blob([Buffer.from(content)]), "a file.bin");
          const body = new Uint8Array(await new Response(form).arrayBuffer());
          const parts = readMultipart(body);
          expect(parts.map(({ name, filename }) => [name, filename])).to.deep.equal(
            fields.map(([name]) => [name, "a file.bin"]),
          );
          for (const [index, { start, end }] of parts.entries())
            expect([...body.subarray(start, end)]).to.deep.equal([...(fields[index]?.[1] ?? [])]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("replaces one part and leaves all other bytes", () => {
    const body = bytes(
      '--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nold\r\n--x\r\n' +
        'Content-Disposition: form-data; name=file; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--x--\r\n',
    );
    const [model, file] = readMultipart(body);
    if (!model || !file) throw new Error("Two parts expected.");
    expect(textOfPart(body, model)).to.equal("old");
    expect(file).to.include({ name: "file", filename: "a.wav", contentType: "audio/wav" });
    const replaced = new TextDecoder().decode(replacePart(body, model, bytes("a longer name")));
    expect(replaced).to.equal(new TextDecoder().decode(body).replace("old", "a longer name"));
  });

  it("throws on what is no form, and on nothing else", () => {
    for (const text of ["", "--", "no", "--x\r\n", "--x\r\nrubbish", "--x\r\n\r\n\r\n--x--"])
      expect(() => readMultipart(bytes(text)), text).to.throw(RangeError);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("-", "x", "\r\n", ":", '"', "name=") }), (text) => {
        try {
          boundaryOf(bytes(`--x\r\n${text}`));
          readMultipart(bytes(`--x\r\n${text}`));
        } catch (error) {
          expect(error).to.be.instanceOf(RangeError);
        }
      }),
    );
  });

  it("reads a hostile body in time that grows with its length", () => {
    const body = new Uint8Array(2_000_000).fill(0x0d);
    body.set(bytes('--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n'));
    expect(() => readMultipart(body)).to.throw("ends before its last boundary");
  });
});
