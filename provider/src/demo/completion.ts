/** Cuts a run of tokens to the caller's limits: `max_tokens` and stop sequences. */

/** Why a completion ended, in OpenAI's words. */
export type FinishReason = "stop" | "length";
export type Limits = { readonly maxTokens: number; readonly stops: readonly string[] };

/**
 * The text of each token, as soon as it is certain not to belong to a stop sequence. The stop sequence itself is left
 * out, as OpenAI does, so the pieces together are the reply.
 */
export function* complete(
  tokens: Iterable<{ readonly text: string }>,
  limits: Limits,
): Generator<string, FinishReason> {
  let held: string[] = [];
  let taken = 0;
  for (const { text } of tokens) {
    taken += 1;
    held.push(text);
    const joined = held.join("");
    const cut = firstOf(joined, limits.stops);
    if (cut >= 0) {
      if (cut > 0) yield joined.slice(0, cut);
      return "stop";
    }
    let unsure = longestBeginning(joined, limits.stops);
    const kept: string[] = [];
    while (unsure > 0) {
      const piece = held.pop() ?? "";
      kept.unshift(piece);
      unsure -= piece.length;
    }
    yield* held;
    held = kept;
    if (taken === limits.maxTokens) {
      yield* held;
      return "length";
    }
  }
  yield* held;
  return "stop";
}

function firstOf(text: string, stops: readonly string[]): number {
  const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}

/** How many characters at the end of `text` could be the beginning of a stop sequence. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
