import { invalid, isMissing, isObject, type Json } from "./dialects/dialect.ts";

/**
 * Ranges that OpenAI documents for parameters of models. A request's own are the provider's business, which may take
 * more; what is kept as a default is checked, because nobody is there to read a provider's refusal.
 */

type Range = { readonly from: number; readonly to: number; readonly isWhole?: boolean };

const RANGES: Readonly<Record<string, Range>> = {
  temperature: { from: 0, to: 2 },
  top_p: { from: 0, to: 1 },
  frequency_penalty: { from: -2, to: 2 },
  presence_penalty: { from: -2, to: 2 },
  top_logprobs: { from: 0, to: 20, isWhole: true },
};
const BIAS: Range = { from: -100, to: 100 };

/** Throws `invalid_request` naming the parameter and its range. */
export function checkRanges(parameters: Json): void {
  for (const [name, range] of Object.entries(RANGES)) refuseOutside(parameters[name], name, range);
  const { logit_bias: bias } = parameters;
  if (isMissing(bias)) return;
  if (!isObject(bias)) throw invalid("logit_bias must be an object of numbers by token.", "logit_bias");
  for (const value of Object.values(bias)) refuseOutside(value ?? "", "logit_bias", BIAS);
}

function refuseOutside(value: unknown, name: string, { from, to, isWhole = false }: Range): void {
  if (isMissing(value)) return;
  const isNumber = typeof value === "number" && (!isWhole || Number.isInteger(value));
  if (!isNumber || !(value >= from && value <= to))
    throw invalid(`${name} must be ${isWhole ? "an integer" : "a number"} from ${from} to ${to}.`, name);
}
