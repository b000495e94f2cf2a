import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { AimoError } from "@aimo/protocol/errors";
import { parse } from "smol-toml";
import type { Static, TSchema } from "typebox";
import { Value } from "typebox/value";
import { RelayConfigSchema } from "./settings.ts";

export type RelayConfig = Readonly<Static<typeof RelayConfigSchema>>;
type Environment = Readonly<Record<string, string | undefined>>;
type Fields = Record<string, unknown>;
/** A part of a configuration, as it stands in a file or in code. */
export type PartialConfig = { readonly [name: string]: unknown };

export type LoadParameters = {
  /** TOML or JSON, by its ending; paths in it are relative to it. */
  readonly file?: string;
  readonly environment?: Environment;
  /** Rules over file and environment. */
  readonly overrides?: PartialConfig;
};

/** File, then environment, then overrides. Throws `config_invalid` that names the setting. */
export async function loadConfig({
  file,
  environment = process.env,
  overrides = {},
}: LoadParameters): Promise<RelayConfig> {
  const fromFile = file === undefined ? {} : await readFileConfig(file);
  return makeConfig(merge(merge(fromFile, readEnvironment(environment)), toCamel(overrides)));
}

/** Fills in defaults and checks. Throws `config_invalid` that names the setting and its limit. */
export function makeConfig(fields: PartialConfig): RelayConfig {
  const whole = Value.Default(RelayConfigSchema, structuredClone(fields));
  const [fault] = Value.Errors(RelayConfigSchema, whole).sort(
    (a, b) => b.instancePath.length - a.instancePath.length,
  );
  if (!fault) return deepFreeze(whole as Static<typeof RelayConfigSchema>);
  const params = fault.params as { requiredProperties?: readonly string[] };
  const path = [...fault.instancePath.split("/").slice(1), ...(params.requiredProperties?.slice(0, 1) ?? [])];
  const name = path.map(toSnake).join(".");
  const isUnknown = fault.message === "schema is false";
  const what = isUnknown ? "is no setting" : params.requiredProperties ? "is missing" : fault.message;
  throw new AimoError("config_invalid", { message: `${name || "The configuration"} ${what}.`, param: name });
}

async function readFileConfig(file: string): Promise<Fields> {
  let fields: Fields;
  try {
    const text = await readFile(file, "utf8");
    fields = toCamel((file.endsWith(".json") ? JSON.parse(text) : parse(text)) as Fields);
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : "";
    throw new AimoError("config_invalid", {
      message: `The configuration ${file} cannot be read: ${reason}`,
      cause,
    });
  }
  const folder = dirname(resolve(file));
  for (const name of ["keyFile", "keyPasswordFile", "deploymentFile", "dataFolder"]) {
    const value = fields[name];
    if (typeof value === "string" && value !== "" && value !== "memory")
      fields[name] = resolve(folder, value);
  }
  const { hooks } = fields;
  if (isFields(hooks) && typeof hooks["module"] === "string" && hooks["module"] !== "")
    hooks["module"] = resolve(folder, hooks["module"]);
  return fields;
}

/** `AIMO_RELAY_HTTP_PORT` and the like, read by the type of the setting. */
function readEnvironment(environment: Environment): Fields {
  const fields: Fields = {};
  for (const [name, schema] of Object.entries(RelayConfigSchema.properties) as [string, TSchema][]) {
    const inner = (schema as { properties?: Record<string, TSchema> }).properties;
    const section: Fields = {};
    for (const [field, type] of Object.entries(inner ?? {}))
      readVariable(environment, [name, field], type, section);
    if (inner && Object.keys(section).length > 0) fields[name] = section;
    if (!inner) readVariable(environment, [name], schema, fields);
  }
  return fields;
}

function readVariable(
  environment: Environment,
  path: readonly string[],
  schema: TSchema,
  into: Fields,
): void {
  const value = environment[`AIMO_RELAY_${path.map(toSnake).join("_").toUpperCase()}`];
  const type = (schema as { type?: string }).type;
  if (value === undefined) return;
  const read = type === "integer" ? Number(value) : type === "boolean" ? value === "true" : value;
  into[path.at(-1) ?? ""] = type === "array" ? value.split(",").filter((one) => one !== "") : read;
}

const toSnake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function toCamel(fields: PartialConfig): Fields {
  const named = Object.entries(fields).map(([name, value]) => [
    name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    isFields(value) ? toCamel(value) : value,
  ]);
  return Object.fromEntries(named);
}

function merge(below: Fields, above: Fields): Fields {
  const merged = { ...below };
  for (const [name, value] of Object.entries(above)) {
    const under = merged[name];
    merged[name] = isFields(under) && isFields(value) ? merge(under, value) : value;
  }
  return merged;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) for (const each of Object.values(value)) deepFreeze(each);
  return Object.freeze(value);
}
