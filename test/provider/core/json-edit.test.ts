import { editMembers } from "@aimo/provider/core/json-edit";
import { expect } from "chai";
import fc from "fast-check";

describe("provider/core json-edit", () => {
  it("replaces, adds and removes members and leaves the text of the others alone", () => {
    const text = '{ "a": 1.50, "b":{"a":[1,"}"]} ,"c":"x\\"y","a":2 }';
    expect(editMembers(text, { a: '"new"' })).to.equal(
      '{"a": "new","b":{"a":[1,"}"]},"c":"x\\"y","a":"new"}',
    );
    expect(editMembers(text, { c: undefined, d: "true" })).to.equal(
      '{"d":true,"a": 1.50,"b":{"a":[1,"}"]},"a":2}',
    );
    expect(editMembers("{}", { a: "1" })).to.equal('{"a":1}');
    expect(editMembers('{"a":1}', { a: undefined })).to.equal("{}");
  });

  it("finds members whatever escapes, brackets and spaces they hold", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
        fc.jsonValue(),
        fc.constantFrom(undefined, 1, "\t"),
        (object, value, indent) => {
          fc.pre(!Object.hasOwn(object, "__proto__"));
          const edited = editMembers(JSON.stringify(object, null, indent), {
            model: JSON.stringify(value),
            id: undefined,
          });
          const { id: _, ...rest } = object;
          expect(JSON.parse(edited)).to.deep.equal(JSON.parse(JSON.stringify({ ...rest, model: value })));
        },
      ),
    );
  });

  it("refuses what is no object", () => {
    for (const text of ["[1]", "1", '{"a":', '{"a":"'])
      expect(() => editMembers(text, { a: "1" })).to.throw(RangeError);
  });
});
