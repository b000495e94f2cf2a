/**
 * Text embeddings without weights. A word's vector is its own hashed direction, its letters, and the directions of the
 * words it keeps company with in the corpus (positive pointwise mutual information, with the topic as one more word
 * of each sentence). So "sunny" is near "weather" because both were seen together, not because they share letters.
 */
import { CORPUS } from "./corpus.ts";
import { hashText, randomFrom } from "./random.ts";
import { isFunctionWord, stemOf, wordsOf } from "./words.ts";

/** Length of a full embedding. */
export const EMBEDDING_DIMENSIONS = 256;

/** How much of a word's vector is the word itself, its letters, and its company. */
const OWN_SHARE = 0.5;
const LETTERS_SHARE = 0.35;
const COMPANY_SHARE = 0.8;
/** A topic is worth several ordinary words of company: it is what makes texts without a common word near. */
const TOPIC_WEIGHT = 4;
/** Function words carry almost nothing, but a text of nothing else still gets a vector. */
const FUNCTION_WORD_WEIGHT = 0.05;
const LETTERS = 3;

/** What the corpus taught: the direction of the company each word keeps, by stem. */
export type EmbeddingModel = { readonly company: ReadonlyMap<string, Float64Array> };

/** Counts which words meet in a sentence. Takes tens of milliseconds, so it is done at start. */
export function buildEmbeddingModel(
  corpus: Readonly<Record<string, readonly string[]>> = CORPUS,
): EmbeddingModel {
  const counts = new Map<string, number>();
  const meetings = new Map<string, Map<string, number>>();
  let sentences = 0;
  for (const [topic, lines] of Object.entries(corpus)) {
    for (const line of lines) {
      sentences += 1;
      const words = new Set(
        wordsOf(line)
          .filter((word) => !isFunctionWord(word))
          .map(stemOf),
      );
      for (const word of [...words, topicMark(topic)]) {
        counts.set(word, (counts.get(word) ?? 0) + 1);
        const met = meetings.get(word) ?? new Map<string, number>();
        meetings.set(word, met);
        for (const other of [...words, topicMark(topic)]) {
          if (other !== word) met.set(other, (met.get(other) ?? 0) + 1);
        }
      }
    }
  }
  const company = new Map<string, Float64Array>();
  for (const [word, met] of meetings) {
    const vector = new Float64Array(EMBEDDING_DIMENSIONS);
    for (const [other, times] of met) {
      const expected = ((counts.get(word) ?? 0) * (counts.get(other) ?? 0)) / sentences;
      const surprise = Math.max(0, Math.log(times / expected));
      add(vector, direction(other), surprise * (other.startsWith("#") ? TOPIC_WEIGHT : 1));
    }
    company.set(word, normalise(vector));
  }
  return { company };
}

/** The embedding of `text`: of length 1, and the same for the same text. Fewer dimensions keep the first ones. */
export function embed(model: EmbeddingModel, text: string, dimensions = EMBEDDING_DIMENSIONS): Float64Array {
  const times = new Map<string, number>();
  for (const word of wordsOf(text)) times.set(word, (times.get(word) ?? 0) + 1);
  const vector = new Float64Array(EMBEDDING_DIMENSIONS);
  for (const [word, count] of times) {
    const weight = (1 + Math.log(count)) * (isFunctionWord(word) ? FUNCTION_WORD_WEIGHT : 1);
    add(vector, wordVector(model, word), weight);
  }
  // Signs and spaces have no words: their characters stand for them.
  if (times.size === 0) add(vector, direction(`raw:${text}`), 1);
  return normalise(vector.slice(0, dimensions));
}

function wordVector(model: EmbeddingModel, word: string): Float64Array {
  const stem = stemOf(word);
  const vector = new Float64Array(EMBEDDING_DIMENSIONS);
  add(vector, direction(stem), OWN_SHARE);
  const letters = new Float64Array(EMBEDDING_DIMENSIONS);
  const edged = `<${word}>`;
  for (let i = 0; i + LETTERS <= edged.length; i++)
    add(letters, direction(`abc:${edged.slice(i, i + LETTERS)}`), 1);
  add(vector, normalise(letters), LETTERS_SHARE);
  const company = isFunctionWord(word) ? undefined : model.company.get(stem);
  if (company) add(vector, company, COMPANY_SHARE);
  return normalise(vector);
}

const topicMark = (topic: string) => `#${topic}`;

/** Directions of words are asked for again and again; the limit keeps a long-lived server small (about 16 MB). */
const MAX_KEPT_DIRECTIONS = 8_192;
const keptDirections = new Map<string, Float64Array>();

/** A fixed random direction for any text: far from every other one in 256 dimensions. */
function direction(name: string): Float64Array {
  const kept = keptDirections.get(name);
  if (kept) return kept;
  const random = randomFrom(hashText(name));
  const vector = new Float64Array(EMBEDDING_DIMENSIONS);
  for (let i = 0; i < vector.length; i++) vector[i] = random() * 2 - 1;
  if (keptDirections.size >= MAX_KEPT_DIRECTIONS) keptDirections.clear();
  keptDirections.set(name, normalise(vector));
  return vector;
}

function add(target: Float64Array, vector: Float64Array, times: number): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) + (vector[i] ?? 0) * times;
}

function normalise(vector: Float64Array): Float64Array {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  // A sum of directions that cancels out to nothing has no direction of its own; any fixed one will do.
  if (length === 0) vector[0] = 1;
  else for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / length;
  return vector;
}
