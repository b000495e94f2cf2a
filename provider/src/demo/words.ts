/** Words as the demo models compare them: lower case, without endings, without function words. */

const FUNCTION_WORDS = new Set(
  (
    "a about above after again all also always am an and any are as at be because been before both but by can " +
    "could did do does each else every few for from get gets had has have he her here him his how i if in into " +
    "is it its just let many may me more most much must my need needs never no not of on one only or other " +
    "others our out over own she should so some such than that the their them then there these they this those " +
    "to too until up us very was we were what when where which while who whole why will with without would you your " +
    "tell explain please write give show describe s t re m ve ll d"
  ).split(" "),
);

const ENDINGS = ["ing", "ed", "es", "ly", "s", "e", "y"] as const;

/** The word without its most common English ending; the same for "cook", "cooks" and "cooking". */
export function stemOf(word: string): string {
  for (const ending of ENDINGS) {
    if (!word.endsWith(ending) || word.length - ending.length < 3 || word.endsWith("ss")) continue;
    const stem = word.slice(0, -ending.length);
    const [last, beforeLast] = [stem.at(-1), stem.at(-2)];
    return stem.length > 3 && last === beforeLast && last !== "l" && last !== "s" ? stem.slice(0, -1) : stem;
  }
  return word;
}

/** Every word of `text`, lower case, in any script. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

/** True for words that carry grammar, not meaning. */
export function isFunctionWord(word: string): boolean {
  return FUNCTION_WORDS.has(word);
}

/** The stems of the words that carry meaning, in order, repeats kept. */
export function stemsOf(text: string): string[] {
  return wordsOf(text)
    .filter((word) => !isFunctionWord(word))
    .map(stemOf);
}
