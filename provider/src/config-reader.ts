import { AimoError } from "@aimo/protocol/errors";
import { parseUsd } from "@aimo/protocol/units";

/** Reads one table of a configuration; every fault is a `config_invalid` that names the setting. */
export class TableReader {
  readonly path: string;
  readonly #table: Readonly<Record<string, unknown>>;
  readonly #known = new Set<string>();

  constructor(table: unknown, path: string) {
    if (typeof table !== "object" || table === null || Array.isArray(table))
      throw invalid(path, "is missing, or is no table");
    this.#table = table as Readonly<Record<string, unknown>>;
    this.path = path;
  }

  #take(name: string): unknown {
    this.#known.add(name);
    return this.#table[name];
  }

  #at(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  text(name: string, fallback?: string): string {
    const value = this.#take(name) ?? fallback;
    if (typeof value === "string" && value !== "" && value.length <= MAX_TEXT) return value;
    throw invalid(this.#at(name), `must be a text of 1 to ${MAX_TEXT} characters`);
  }

  optionalText(name: string): string | undefined {
    return this.#table[name] === undefined ? void this.#take(name) : this.text(name);
  }

  integer(name: string, [least, most]: readonly [number, number], fallback?: number): number {
    const value = this.#take(name) ?? fallback;
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
      return value as number;
    throw invalid(this.#at(name), `must be a whole number from ${least} to ${most}`);
  }

  oneOf<T extends string>(name: string, values: readonly T[], fallback?: T): T {
    const value = this.#take(name) ?? fallback;
    const found = values.find((one) => one === value);
    if (found !== undefined) return found;
    throw invalid(this.#at(name), `must be one of ${values.join(", ")}`);
  }

  optionalOneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    return this.#table[name] === undefined ? void this.#take(name) : this.oneOf(name, values);
  }

  optionalBoolean(name: string): boolean | undefined {
    return this.#table[name] === undefined ? void this.#take(name) : this.boolean(name, false);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.#take(name) ?? fallback;
    if (typeof value === "boolean") return value;
    throw invalid(this.#at(name), "must be true or false");
  }

  /** Multiaddrs and the like. */
  texts(name: string): readonly string[] {
    const value = this.#take(name) ?? [];
    if (Array.isArray(value) && value.length <= MAX_LIST && value.every((one) => typeof one === "string"))
      return value as string[];
    throw invalid(this.#at(name), `must be a list of at most ${MAX_LIST} texts`);
  }

  /** pUSD of an amount in USD, given as a number or as a text of plain decimals. */
  usd(name: string, fallback?: string): bigint {
    const value = this.#take(name) ?? fallback;
    if (typeof value !== "number" && typeof value !== "string")
      throw invalid(this.#at(name), "must be an amount of USD");
    try {
      return parseUsd(String(value));
    } catch (cause) {
      throw invalid(
        this.#at(name),
        "must be an amount of USD in plain decimals; put small ones in quotes",
        cause,
      );
    }
  }

  optionalUsd(name: string): bigint | undefined {
    return this.#table[name] === undefined ? void this.#take(name) : this.usd(name);
  }

  url(name: string): URL {
    const url = URL.parse(this.text(name));
    if (url && /^https?:$/.test(url.protocol)) return url;
    throw invalid(this.#at(name), "must be an http or https URL");
  }

  table(name: string): TableReader {
    return new TableReader(this.#take(name), this.#at(name));
  }

  tables(name: string, most: number): readonly TableReader[] {
    const value = this.#take(name);
    if (!Array.isArray(value) || value.length === 0 || value.length > most)
      throw invalid(this.#at(name), `must be a list of 1 to ${most} tables`);
    return value.map((one, index) => new TableReader(one, `${this.#at(name)}[${index}]`));
  }

  /** Refuses settings that nobody asked for: most are misspelt. Call after all are read. */
  end(): void {
    for (const name of Object.keys(this.#table))
      if (!this.#known.has(name)) throw invalid(this.#at(name), "is not a setting");
  }

  fault(name: string, problem: string): AimoError {
    return invalid(this.#at(name), problem);
  }
}

/** Longest text of a setting: a path or URL fits. */
const MAX_TEXT = 1_024;
const MAX_LIST = 64;

function invalid(field: string, problem: string, cause?: unknown): AimoError {
  return new AimoError("config_invalid", {
    message: `Setting ${field || "(top level)"} ${problem}.`,
    param: field,
    ...(cause === undefined ? {} : { cause }),
  });
}
