import {
  countOf,
  type DialectStream,
  eventOf,
  type Json,
  listOf,
  objectOf,
  saidIn,
  textOf,
  toolCallOf,
} from "./dialect.ts";
import { emptyMessage, messagesError, stopOf, usageOf } from "./messages-words.ts";

/** A block is of one kind; each tool call, by its place among the calls, is a kind of its own. */
type Kind = "thinking" | "text" | number;

/** Chunks as Anthropic's events: blocks are opened and closed as their kind changes. */
export class MessageStream implements DialectStream {
  readonly #asked: Json;
  /** Where each tool call has its block: servers may go on with a call after they began the next. */
  readonly #calls = new Map<number, number>();
  #index = -1;
  #open: Kind | undefined;
  #id = "";
  #stop: Json = { stop_reason: "end_turn", stop_sequence: null };
  #refused = false;

  constructor(asked: Json) {
    this.#asked = asked;
  }

  chunk(chunk: Json): string {
    let out = this.#begin(chunk);
    const { error, usage, aimo } = chunk;
    if (error) return out + eventOf("error", { ...messagesError({ error: objectOf(error) }), aimo });
    const [choice] = listOf(chunk["choices"]);
    if (!choice) {
      const end = { type: "message_delta", delta: this.#stop, usage: usageOf(usage), aimo };
      return out + this.#close() + eventOf("message_delta", end);
    }
    const { reasoning, text, refusal, calls } = saidIn(objectOf(choice["delta"]));
    if (reasoning !== "") out += this.#say("thinking", { type: "thinking_delta", thinking: reasoning });
    if (text + refusal !== "") out += this.#say("text", { type: "text_delta", text: text + refusal });
    for (const call of calls) out += this.#call(call);
    this.#refused ||= refusal !== "";
    if (choice["finish_reason"]) this.#stop = stopOf(choice, this.#asked, this.#refused);
    return out;
  }

  done(): string {
    return eventOf("message_stop", { type: "message_stop" });
  }

  #begin(chunk: Json): string {
    if (this.#id !== "") return "";
    this.#id = textOf(chunk["id"]);
    return eventOf("message_start", { type: "message_start", message: emptyMessage(chunk) });
  }

  #call(call: Json): string {
    const place = countOf(call["index"]);
    const { id, name, arguments: input } = toolCallOf(call, `toolu_${this.#id}_${place}`);
    const delta = { type: "input_json_delta", partial_json: input };
    const known = this.#calls.get(place);
    if (known !== undefined) return input === "" ? "" : this.#delta(known, delta);
    const opened = this.#enter(place, { type: "tool_use", id, name, input: {} });
    this.#calls.set(place, this.#index);
    return input === "" ? opened : opened + this.#delta(this.#index, delta);
  }

  #say(kind: "thinking" | "text", delta: Json): string {
    const empty = kind === "text" ? { text: "" } : { thinking: "", signature: "" };
    return this.#enter(kind, { type: kind, ...empty }) + this.#delta(this.#index, delta);
  }

  #enter(kind: Kind, content_block: Json): string {
    if (this.#open === kind) return "";
    const closed = this.#close();
    this.#open = kind;
    this.#index++;
    const start = { type: "content_block_start", index: this.#index, content_block };
    return closed + eventOf("content_block_start", start);
  }

  #close(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return eventOf("content_block_stop", { type: "content_block_stop", index: this.#index });
  }

  #delta(index: number, delta: Json): string {
    return eventOf("content_block_delta", { type: "content_block_delta", index, delta });
  }
}
