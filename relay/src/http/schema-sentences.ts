import type { FastifySchemaValidationError } from "fastify";

/** Turns what a schema says against a body, a query or a path into one sentence for whoever sent it. */

export type SchemaRefusal = { readonly message: string; readonly param: string };

/** What of JSON Schema our own schemas use. */
type Schema = {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly pattern?: string;
  /** Of a number its unit, of a pattern its meaning. */
  readonly description?: string;
};
/** With `verbose`, Ajv adds the schema that was not met. */
type Fault = FastifySchemaValidationError & { readonly parentSchema?: Schema };

/** As much of a wrong name as is told. */
const MAX_NAME_LENGTH = 64;
const UNIONS: ReadonlySet<string> = new Set(["anyOf", "oneOf"]);

/** `context` is what was judged: "body", "querystring" or "params". */
export function refusalOf(faults: readonly FastifySchemaValidationError[], context: string): SchemaRefusal {
  // Each branch of a union has a fault of its own: what is deepest is nearest to what was meant.
  const pathed = faults
    .filter(({ keyword }) => !UNIONS.has(keyword))
    .map((fault) => ({ fault: fault as Fault, path: pathOf(fault) }));
  const depth = Math.max(0, ...pathed.map(({ path }) => path.length));
  const [first, ...others] = pathed.filter(({ path }) => path.length === depth);
  if (!first) return { message: `The ${context} is not valid.`, param: context };
  const param = nameOf(first.path) || context;
  const { keyword, message = "is not valid" } = first.fault;
  if (keyword === "required") return { message: `${param} is required.`, param };
  if (keyword === "additionalProperties") return { message: `${param} is not a field that is known.`, param };
  if (first.path.length === 0 && context === "body")
    return { message: "The body must be a JSON object.", param };
  const wanted = [first, ...others]
    .filter(({ path }) => nameOf(path) === nameOf(first.path))
    .flatMap(({ fault }) => (fault.parentSchema ? wantedBy(fault.parentSchema) : []));
  return { message: `${param} ${wanted.length > 0 ? `must be ${oneOf(wanted)}` : message}.`, param };
}

function pathOf({ instancePath, params }: FastifySchemaValidationError): readonly string[] {
  const path = instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const named = params["missingProperty"] ?? params["additionalProperty"];
  return typeof named === "string" ? [...path, named.slice(0, MAX_NAME_LENGTH)] : path;
}

/** `models[0].name`, as in the other refusals. */
const nameOf = (path: readonly string[]) =>
  path.map((part, at) => (/^\d+$/.test(part) ? `[${part}]` : at === 0 ? part : `.${part}`)).join("");

/** What a value has to be, as "an integer from 1 to 9" or, of a list, each of its values. */
function wantedBy(schema: Schema): readonly string[] {
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value));
  const { description, minLength, maxLength, minItems, maxItems, minProperties, maxProperties } = schema;
  switch (schema.type) {
    case "integer":
    case "number":
      return [numberOf(schema)];
    case "string":
      if (schema.pattern !== undefined) return [description ?? `a string of the form ${schema.pattern}`];
      return [`a string${sizeOf(minLength, maxLength, "characters")}`];
    case "array":
      return [`an array${sizeOf(minItems, maxItems, "items")}`];
    case "object":
      return [`an object${sizeOf(minProperties, maxProperties, "fields")}`];
    case "boolean":
      return ["true or false"];
    default:
      return schema.type === undefined ? [] : [schema.type];
  }
}

function numberOf({ type, minimum, exclusiveMinimum, maximum, description }: Schema): string {
  const above = exclusiveMinimum === undefined ? "" : ` above ${exclusiveMinimum}`;
  const from = minimum === undefined ? "" : ` from ${minimum}`;
  const to = maximum === undefined ? "" : from === "" ? ` of at most ${maximum}` : ` to ${maximum}`;
  const range = to === "" && from !== "" ? ` of at least ${minimum}` : `${above}${from}${to}`;
  return `${type === "integer" ? "an integer" : "a number"}${range}${description ? ` (${description})` : ""}`;
}

function sizeOf(least: number | undefined, most: number | undefined, of: string): string {
  if (least === undefined && most === undefined) return "";
  if (most === undefined) return ` of at least ${least} ${of}`;
  return least === undefined ? ` of at most ${most} ${of}` : ` of ${least} to ${most} ${of}`;
}

function oneOf(wanted: readonly string[]): string {
  const all = [...new Set(wanted)];
  return all.length === 1 ? (all[0] ?? "") : `${all.slice(0, -1).join(", ")} or ${all.at(-1)}`;
}
