/**
 * An n-gram generator over token ids. It counts which token follows which one to three tokens in the corpus, and
 * prefers the sentences that share words with the prompt. No weights, no training run: the corpus is the model.
 */

import { textOf, tokensOf } from "@aimo/node/tokens";
import { CORPUS } from "./corpus.ts";
import { hashText, randomFrom } from "./random.ts";
import { stemsOf } from "./words.ts";

/** Longest context first. The one-token context only matters where the longer ones leave no choice. */
const ORDERS = [
  { length: 3, weight: 1 },
  { length: 2, weight: 0.2 },
  { length: 1, weight: 0.003 },
] as const;
/** What a place in the corpus is worth after each use: low enough that no reply turns in a circle. */
const REUSE = 0.03;
/** How strongly the prompt pulls: a sentence of full relevance is e^7 times as likely as an unrelated one. */
const PULL = 7;
/** Bonus for the sentence that follows in the corpus, so that replies hang together. */
const FOLLOWS = 3;
const SHORTEST_REPLY_SENTENCES = 3;
const REPLY_SENTENCE_CHOICES = 4;

type Sentence = { readonly topic: string; readonly stems: ReadonlySet<string>; readonly start: number };

/** The counted corpus. Sentences lie one after the other in `tokens`, each with a leading space. */
export type NgramModel = {
  readonly tokens: readonly number[];
  readonly sentenceAt: readonly number[];
  readonly sentences: readonly Sentence[];
  /** For each context, the places in `tokens` that follow it. */
  readonly followers: ReadonlyMap<string, readonly number[]>;
  /** By sentence start: its first token without the leading space, where that changes no other token. */
  readonly openers: ReadonlyMap<number, number>;
  readonly text: ReadonlyMap<number, string>;
};

/** What to write. The same ask always gives the same tokens. */
export type GenerationAsk = {
  readonly prompt: string;
  readonly seed: number;
  /** Which of the `n` choices this is. */
  readonly index: number;
  readonly temperature: number;
  /** Go on without an end; the caller stops. */
  readonly endless: boolean;
};

/** One generated token. */
export type GeneratedToken = { readonly id: number; readonly text: string };

/** Counts the corpus. Takes a few milliseconds, so it is done at start. */
export function buildNgramModel(corpus: Readonly<Record<string, readonly string[]>> = CORPUS): NgramModel {
  const tokens: number[] = [];
  const sentenceAt: number[] = [];
  const sentences: Sentence[] = [];
  const followers = new Map<string, number[]>();
  const openers = new Map<number, number>();
  const text = new Map<number, string>();
  for (const [topic, lines] of Object.entries(corpus)) {
    for (const line of lines) {
      const spaced = tokensOf(` ${line}`);
      const plain = tokensOf(line);
      const opener = plain[0];
      if (opener === undefined) throw new RangeError("a corpus sentence is empty");
      for (const id of [...spaced, opener]) text.set(id, textOf([id]));
      const start = tokens.length;
      if (plain.slice(1).join() === spaced.slice(1).join()) openers.set(start, opener);
      for (const [offset, id] of spaced.entries()) {
        for (const key of contextsOf(spaced.slice(0, offset), text)) {
          const places = followers.get(key);
          if (places) places.push(start + offset);
          else followers.set(key, [start + offset]);
        }
        tokens.push(id);
        sentenceAt.push(sentences.length);
      }
      sentences.push({ topic, stems: new Set(stemsOf(line)), start });
    }
  }
  for (const start of openers.keys()) {
    // "In" may open a reply, but not where "In" + "ference" could follow: the tokenizer has one token for that word.
    const next = followers.get(`1:${tokens[start]}`) ?? [];
    if (next.some((place) => continuesWord(text.get(tokens[place] ?? -1)))) openers.delete(start);
  }
  return { tokens, sentenceAt, sentences, followers, openers, text };
}

/** Writes token by token until enough sentences stand, or for ever if the ask is endless. */
export function* generate(model: NgramModel, ask: GenerationAsk): Generator<GeneratedToken, void> {
  const random = randomFrom(hashText(`${ask.seed}\n${ask.index}\n${ask.prompt}`));
  const pull = pullOf(model, ask.prompt);
  const used = new Map<number, number>();
  const wanted = SHORTEST_REPLY_SENTENCES + Math.floor(random() * REPLY_SENTENCE_CHOICES);
  let written: number[] = [];
  let lastPlace = -1;
  for (let sentencesDone = 0; ask.endless || sentencesDone < wanted; ) {
    const opensReply = lastPlace === -1;
    const weighted = written.length === 0 ? openings(model, lastPlace) : continuations(model, written);
    for (const [place, weight] of weighted) {
      const worn = REUSE ** Math.min(used.get(place) ?? 0, 8);
      weighted.set(place, weight * worn * (pull[model.sentenceAt[place] ?? 0] ?? 1));
    }
    const place = pick(weighted, ask.temperature, random);
    const id = model.tokens[place] ?? 0;
    used.set(place, (used.get(place) ?? 0) + 1);
    lastPlace = place;
    const shown = opensReply ? (model.openers.get(place) ?? id) : id;
    const text = model.text.get(shown) ?? "";
    yield { id: shown, text };
    if (text === ".") {
      sentencesDone += 1;
      written = [];
    } else written.push(id);
  }
}

/** How much each sentence is preferred for this prompt: by rare shared words, and by the topic they point to. */
function pullOf(model: NgramModel, prompt: string): number[] {
  const asked = new Set(stemsOf(prompt));
  const scores = model.sentences.map(() => 0);
  const topics = new Map<string, number>();
  for (const stem of asked) {
    const holders = model.sentences.flatMap((sentence, i) => (sentence.stems.has(stem) ? [i] : []));
    if (holders.length === 0) continue;
    const rarity = Math.log(model.sentences.length / holders.length);
    for (const i of holders) {
      scores[i] = (scores[i] ?? 0) + rarity;
      const topic = model.sentences[i]?.topic ?? "";
      topics.set(topic, (topics.get(topic) ?? 0) + rarity / holders.length);
    }
  }
  const total = scores.map((score, i) => score + (topics.get(model.sentences[i]?.topic ?? "") ?? 0));
  const most = Math.max(...total, 1);
  return total.map((score) => Math.exp((PULL * score) / most));
}

/** Where a sentence can begin. The first one of a reply needs a first token that stands without a space. */
function openings(model: NgramModel, lastPlace: number): Map<number, number> {
  const weighted = new Map<number, number>();
  for (const { start } of model.sentences) {
    if (lastPlace === -1 && !model.openers.has(start)) continue;
    weighted.set(start, start === lastPlace + 1 ? FOLLOWS : 1);
  }
  return weighted;
}

function continuations(model: NgramModel, written: readonly number[]): Map<number, number> {
  const weighted = new Map<number, number>();
  for (const [i, key] of contextsOf(written, model.text).entries()) {
    for (const place of model.followers.get(key) ?? []) {
      weighted.set(place, (weighted.get(place) ?? 0) + (ORDERS[i]?.weight ?? 0));
    }
  }
  return weighted;
}

/**
 * The contexts at the end of `written`, one for each order. A context never begins inside a word: only words of the
 * corpus are written, so the tokens of a reply are exactly what the tokenizer makes of its text.
 */
function contextsOf(written: readonly number[], text: ReadonlyMap<number, string>): string[] {
  let wordStart = written.length - 1;
  while (wordStart > 0 && continuesWord(text.get(written[wordStart] ?? -1))) wordStart -= 1;
  if (written.length === 0) return [];
  return ORDERS.map(
    ({ length }) =>
      `${length}:${written.slice(Math.max(0, Math.min(wordStart, written.length - length))).join(",")}`,
  );
}

const continuesWord = (text = "") => /^\p{L}/u.test(text);

/** Samples by weight, sharper for a low temperature. At 0 it takes the heaviest, the earliest among equals. */
function pick(weighted: ReadonlyMap<number, number>, temperature: number, random: () => number): number {
  const places = [...weighted].sort(([a, x], [b, y]) => y - x || a - b);
  const heaviest = places[0];
  if (heaviest === undefined) throw new RangeError("a context of the corpus has no follower");
  if (temperature === 0) return heaviest[0];
  const scaled = places.map(([, weight]) => (weight / heaviest[1]) ** (1 / temperature));
  let left = random() * scaled.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of scaled.entries()) {
    left -= weight;
    if (left < 0) return places[i]?.[0] ?? heaviest[0];
  }
  return heaviest[0];
}
