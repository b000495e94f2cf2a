import fc from "fast-check";

/** What of JSON Schema the relay's own /openapi.json uses. */
export type Schema = {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
};

/** Bodies that a schema allows, or nearly: patterns are not followed. */
export function fromSchema(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(fromSchema));
  const { minimum: least = 0, maximum: most = least + 1_000 } = schema;
  switch (schema.type) {
    case "object": {
      const { properties = {}, required = [] } = schema;
      const fields = Object.fromEntries(
        Object.entries(properties).map(([name, inner]) => [name, fromSchema(inner)]),
      );
      return fc.record(fields, { requiredKeys: [...required] });
    }
    case "array":
      return fc.array(fromSchema(schema.items ?? {}), { maxLength: 4 });
    case "integer":
      return fc.double({ min: least, max: most, noNaN: true }).map(Math.floor);
    case "number":
      return fc.double({ min: least, max: most, noNaN: true });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "string": {
      const { minLength = 0, maxLength = 40 } = schema;
      return fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, 60)) });
    }
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}
