import { utf8Length } from "@aimo/protocol/bytes";
import { otherContent, tokenDetailBytes } from "@aimo/protocol/chat-content";
import type { TextChoice } from "@aimo/protocol/receipts";
import { type CountedBy, RunningCounts, type RunningUsage } from "./running-usage.ts";
import { type ReportedUsage, readUsage } from "./usage.ts";

/** Content of a chat response, of one JSON body or of the frames so far, with where each piece ended. */

type Piece = { readonly frame: number; readonly choice: number; readonly bytes: number } & (
  | { readonly kind: "text" | "unhashed"; readonly text: string }
  | { readonly kind: "tool"; readonly tool: number; readonly name: string; readonly text: string }
);

/** What was delivered up to some frame. */
export type Delivered = {
  readonly choices: readonly TextChoice[];
  /** Of all that was delivered, sound and pictures too. Piece by piece, as the relay counts. */
  readonly bytes: number;
  /** All of it in one text, to be counted by a tokenizer. */
  readonly text: string;
  /** The upstream's own count of it, when it said one. */
  readonly usage: ReportedUsage | undefined;
  /** What that count does not have in it yet: to be counted by a tokenizer and added. */
  readonly uncounted: string;
};

/** What a chunk means for the stream. `usage`: only the upstream's totals, nothing for the client. */
export type ChunkKind = "content" | "usage";

/** OpenAI's own limit; a choice index above it is junk. */
export const MAX_CHOICES = 128;

type Json = Readonly<Record<string, unknown>>;
const asObject = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const asText = (value: unknown): string => (typeof value === "string" ? value : "");

export class ChatRecord {
  readonly #pieces: Piece[] = [];
  readonly #counts: RunningCounts;
  readonly #open = new Set<number>();
  /** Choice index to the frame it began in. */
  readonly #seen = new Map<number, number>();
  #frames = 0;
  #final: ReportedUsage | undefined;

  /** `countedBy`: how a count inside the stream is meant. */
  constructor(countedBy: CountedBy = "in_all") {
    this.#counts = new RunningCounts(countedBy);
  }

  /** Content frames so far. */
  get frames(): number {
    return this.#frames;
  }

  /** The upstream's totals of the whole answer, once it has stated them. */
  get final(): ReportedUsage | undefined {
    return this.#final;
  }

  /** Every choice that began has its finish reason. */
  get finished(): boolean {
    return this.#seen.size > 0 && this.#open.size === 0;
  }

  /** Takes in a parsed `chat.completion.chunk`. Throws a RangeError on an upstream error or on junk. */
  addChunk(chunk: unknown): ChunkKind {
    const whole = asObject(chunk);
    const { choices, usage, error } = whole;
    if (error) throw new RangeError("The upstream reported an error in the stream.");
    if (!Array.isArray(choices)) throw new RangeError("A chunk of the stream has no choices.");
    const reported = readUsage(usage);
    if (choices.length === 0) {
      if (reported) this.#final = reported;
      return "usage";
    }
    this.#frames++;
    const indexes = choices.map((choice) => this.#addChoice(asObject(choice), "delta"));
    this.#addDetails(whole, indexes[0]);
    if (reported) this.#counts.add(this.#frames, indexes, reported);
    return "content";
  }

  /** Takes in a parsed `chat.completion`: one frame. Throws a RangeError when it has no choices. */
  addBody(body: unknown): void {
    const whole = asObject(body);
    const { choices, usage } = whole;
    if (!Array.isArray(choices) || choices.length === 0) throw new RangeError("The reply has no choices.");
    this.#frames++;
    this.#final = readUsage(usage);
    const indexes = choices.map((choice) => this.#addChoice(asObject(choice), "message"));
    this.#addDetails(whole, indexes[0]);
  }

  /** What is said of tokens, in a choice or around all of them. */
  #addDetails(of: Json, choice = 0): void {
    const bytes = tokenDetailBytes(of);
    if (bytes > 0) this.#pieces.push({ frame: this.#frames, choice, bytes, kind: "unhashed", text: "" });
  }

  #addChoice(choice: Json, field: "delta" | "message"): number {
    const index = typeof choice["index"] === "number" ? choice["index"] : 0;
    if (!Number.isInteger(index) || index < 0 || index >= MAX_CHOICES)
      throw new RangeError(`A choice has index ${index}; at most ${MAX_CHOICES} are served.`);
    if (!this.#seen.has(index)) {
      this.#seen.set(index, this.#frames);
      this.#open.add(index);
    }
    const content = asObject(choice[field]);
    const at = { frame: this.#frames, choice: index };
    const text = asText(content["content"]);
    if (text) this.#pieces.push({ ...at, bytes: utf8Length(text), kind: "text", text });
    const other = otherContent(content);
    const bytes = utf8Length(other.text) + other.opaqueBytes;
    if (bytes > 0) this.#pieces.push({ ...at, bytes, kind: "unhashed", text: other.text });
    asList(content["tool_calls"]).forEach((call, position) => {
      const { index: given, function: fn } = asObject(call);
      const named = { name: asText(asObject(fn)["name"]), text: asText(asObject(fn)["arguments"]) };
      const tool = typeof given === "number" ? given : position;
      const size = utf8Length(named.name) + utf8Length(named.text);
      this.#pieces.push({ ...at, bytes: size, kind: "tool", tool, ...named });
    });
    this.#addDetails(choice, index);
    if (typeof choice["finish_reason"] === "string") this.#open.delete(index);
    return index;
  }

  /** What the first `frames` content frames hold. */
  deliveredUpTo(frames: number): Delivered {
    const choices = new Map<
      number,
      { text: string; tools: Map<number, { name: string; arguments: string }> }
    >();
    const counted = this.#usageUpTo(frames);
    let all = "";
    let uncounted = "";
    let bytes = 0;
    for (const piece of this.#pieces) {
      if (piece.frame > frames) break;
      if (counted && piece.frame > counted.upTo(piece.choice)) uncounted += textOfPiece(piece);
      const choice = choices.get(piece.choice) ?? { text: "", tools: new Map() };
      choices.set(piece.choice, choice);
      all += textOfPiece(piece);
      bytes += piece.bytes;
      if (piece.kind === "text") choice.text += piece.text;
      if (piece.kind !== "tool") continue;
      const tool = choice.tools.get(piece.tool) ?? { name: "", arguments: "" };
      choice.tools.set(piece.tool, {
        name: tool.name + piece.name,
        arguments: tool.arguments + piece.text,
      });
    }
    return {
      choices: this.#listChoices(choices, frames),
      bytes,
      text: all,
      usage: counted?.usage,
      uncounted,
    };
  }

  #listChoices(
    found: ReadonlyMap<number, { text: string; tools: Map<number, { name: string; arguments: string }> }>,
    frames: number,
  ): readonly TextChoice[] {
    // A choice counts from its first frame on, empty or not: an empty answer is an answer.
    return [...this.#seen]
      .filter(([, first]) => first <= frames)
      .map(([index]) => index)
      .sort((a, b) => a - b)
      .map((index) => {
        const choice = found.get(index);
        const tools = [...(choice?.tools ?? [])].sort(([a], [b]) => a - b).map(([, tool]) => tool);
        return { text: choice?.text ?? "", ...(tools.length > 0 ? { tools } : {}) };
      });
  }

  #usageUpTo(frames: number): RunningUsage | undefined {
    if (frames >= this.#frames && this.#final) return { usage: this.#final, upTo: () => frames };
    return this.#counts.at(frames);
  }
}

const textOfPiece = (piece: Piece): string => piece.text + (piece.kind === "tool" ? piece.name : "");
