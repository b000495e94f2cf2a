import type { Route } from "./announcement.ts";
import { MAX_U32, type Price, type UnitKind, type Units } from "./units.ts";

/**
 * The most that a request can be billed for, in units. A relay holds for it and rejects a statement above it; a provider
 * states no more, whatever its inference server counted. One formula, so that nobody honest is rejected.
 */

/** Tokens that a model's own template adds around a prompt. The longest in use (tool preambles) stay below this. */
export const TEMPLATE_TOKENS = 256;
/** Tokens that print nothing, such as end marks, per choice. */
export const SILENT_TOKENS_PER_CHOICE = 8;

/** What a request asks for, as far as it bounds units. */
export type Asked = {
  readonly route: Route;
  /** Of the body as the relay passes it on. */
  readonly bodyBytes: number;
  /** The prompt has parts that are not text, or a template of its own: the bytes do not bound its tokens. */
  readonly hasMedia: boolean;
  /** Choices of a chat, images, or 1. */
  readonly count: number;
  /** Characters or milliseconds of the input at most, where a route is priced by them. */
  readonly inputUnits?: number;
};

export type AskedOf = {
  readonly contextTokens: number;
  /** Completion tokens per choice at most. */
  readonly maxTokens: number;
  readonly kinds: Price["kinds"];
};

/**
 * Units at most, before anything is served: a prompt has at most one token per byte of the body, and fits the model's
 * context; one with pictures or sound counts as a full context. Undefined when a price counts what cannot be bounded.
 */
export function mostUnits(asked: Asked, of: AskedOf): Units | undefined {
  const first = mostOf(of.kinds[0], 0, asked, of);
  const third = mostOf(of.kinds[2], 2, asked, of);
  // Cached prompt tokens are among the prompt's: one bound serves both.
  if (first === undefined || third === undefined) return undefined;
  return [first, 0, third];
}

function mostOf(kind: UnitKind, slot: 0 | 2, asked: Asked, of: AskedOf): number | undefined {
  if (kind === "none") return 0;
  if (kind === "request") return 1;
  if (kind === "image") return asked.count;
  if (kind === "character") return asked.inputUnits ?? asked.bodyBytes;
  if (kind === "millisecond") return asked.inputUnits;
  if (slot === 2) return Math.min(asked.count * of.maxTokens, MAX_U32);
  // A batch of embeddings has a context for each input, so only the bytes bound it.
  if (asked.route === "embeddings") return asked.bodyBytes + TEMPLATE_TOKENS;
  if (asked.hasMedia) return of.contextTokens;
  return Math.min(asked.bodyBytes + TEMPLATE_TOKENS, of.contextTokens);
}

/** What was delivered of an answer. */
export type Answered = {
  /** UTF-8 bytes of all that an answer says, and bytes of what it shows or sounds; bytes of items for other routes. */
  readonly bytes: number;
  /** Choices, images or vectors. */
  readonly count: number;
};

/** Output units at most that a delivered answer bears out: no tokenizer makes more tokens than there are bytes. */
export function mostOutput(kind: UnitKind, { bytes, count }: Answered, hiddenReasoning: boolean): number {
  if (kind === "image") return count;
  // Of a model that says that it thinks unseen only what was held for is a bound; who does not want that says so.
  return kind === "token" && !hiddenReasoning ? bytes + SILENT_TOKENS_PER_CHOICE * count : MAX_U32;
}

/** True where a body brings a template of its own, which may make any prompt of few bytes. */
export const isOwnTemplate = (template: unknown): boolean => template !== undefined && template !== null;

/** True for a part of a message that is not text. */
export function isMediaPart(part: unknown): boolean {
  const type = typeof part === "object" && part !== null && "type" in part ? part.type : undefined;
  return type !== "text" && type !== "refusal";
}
