/** Checks how a chat shall be sampled: ranges as OpenAI documents them. Only the temperature changes what is written. */

import { RequestError } from "./errors.ts";
import { type Fields, flag, integerIn, isObject, numberIn } from "./fields.ts";

const PENALTIES = { from: -2, to: 2 };
const MAX_TOP_LOGPROBS = 20;
const BIASES = { from: -100, to: 100 };

/** Throws a RequestError that names the field. */
export function checkSampling(body: Fields): void {
  numberIn(body, "top_p", { from: 0, to: 1 }, undefined);
  numberIn(body, "frequency_penalty", PENALTIES, undefined);
  numberIn(body, "presence_penalty", PENALTIES, undefined);
  integerIn(body, "top_logprobs", { from: 0, to: MAX_TOP_LOGPROBS }, undefined);
  flag(body, "logprobs");
  const bias = body["logit_bias"] ?? {};
  if (!isObject(bias))
    throw new RequestError("'logit_bias' must be an object of numbers by token.", "logit_bias");
  for (const token of Object.keys(bias)) {
    const value = bias[token];
    if (typeof value !== "number" || !(value >= BIASES.from && value <= BIASES.to))
      throw new RequestError(
        `'logit_bias' must have numbers from ${BIASES.from} to ${BIASES.to}.`,
        "logit_bias",
      );
  }
}
