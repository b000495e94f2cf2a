import {
  countOf,
  type DialectStream,
  eventOf,
  type Json,
  listOf,
  objectOf,
  textOf,
  toolCallOf,
} from "./dialect.ts";
import { callId, callItem, messageId, messageItem, reasoningItem, responseWith } from "./responses-items.ts";

/** An item of the output while it is written. */
type Item = {
  readonly kind: "reasoning" | "message" | "call";
  /** Of a call: its place among the calls. */
  readonly place: number;
  text: string;
  call: { id: string; name: string; arguments: string };
};

/** A streamed response: its items open and close in order, each event numbered. */
export class ResponseStream implements DialectStream {
  readonly #asked: Json;
  readonly #output: Json[] = [];
  #item: Item | undefined;
  #sequence = 0;
  #id = "";
  #head: Json = {};
  #finish: unknown;

  constructor(asked: Json) {
    this.#asked = asked;
  }

  chunk(chunk: Json): string {
    let out = this.#begin(chunk);
    if (chunk["error"]) return out + this.#fail(objectOf(chunk["error"]));
    const [choice] = listOf(chunk["choices"]);
    if (!choice) return out + this.#end(chunk);
    const delta = objectOf(choice["delta"]);
    out += this.#say("reasoning", textOf(delta["reasoning_content"]) || textOf(delta["reasoning"]));
    out += this.#say("message", textOf(delta["content"]) || textOf(delta["refusal"]));
    for (const call of listOf(delta["tool_calls"])) out += this.#call(call);
    this.#finish = choice["finish_reason"] ?? this.#finish;
    return out;
  }

  /** The last event of a response says that it is over: nothing follows it. */
  done(): string {
    return "";
  }

  #begin(chunk: Json): string {
    if (this.#id !== "") return "";
    this.#id = textOf(chunk["id"]);
    this.#head = { id: chunk["id"], model: chunk["model"], created: chunk["created"] };
    const response = responseWith(this.#head, this.#asked, { output: [], finish: undefined });
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response });
  }

  #say(kind: "reasoning" | "message", text: string): string {
    if (text === "") return "";
    const opened = this.#enter(kind, 0);
    if (this.#item) this.#item.text += text;
    const name = kind === "message" ? "response.output_text.delta" : "response.reasoning_text.delta";
    return opened + this.#event(name, { ...this.#part(), delta: text });
  }

  #call(call: Json): string {
    const { id, name, arguments: args } = toolCallOf(call);
    const opened = this.#enter("call", countOf(call["index"]), { id, name });
    if (args === "" || !this.#item) return opened;
    this.#item.call.arguments += args;
    const at = { item_id: callId(this.#id, this.#item.place), output_index: this.#output.length };
    return opened + this.#event("response.function_call_arguments.delta", { ...at, delta: args });
  }

  #enter(kind: Item["kind"], place: number, call = { id: "", name: "" }): string {
    if (this.#item?.kind === kind && this.#item.place === place) return "";
    const closed = this.#close();
    this.#item = { kind, place, text: "", call: { ...call, arguments: "" } };
    const item = {
      ...this.#whole(this.#item),
      status: "in_progress",
      ...(kind === "call" ? {} : { content: [] }),
    };
    const added = this.#event("response.output_item.added", { output_index: this.#output.length, item });
    if (kind !== "message") return closed + added;
    const part = { type: "output_text", text: "", annotations: [] };
    return closed + added + this.#event("response.content_part.added", { ...this.#part(), part });
  }

  #close(): string {
    const item = this.#item;
    if (!item) return "";
    const whole = this.#whole(item);
    let out = "";
    if (item.kind === "message") {
      const part = { type: "output_text", text: item.text, annotations: [] };
      out += this.#event("response.output_text.done", { ...this.#part(), text: item.text });
      out += this.#event("response.content_part.done", { ...this.#part(), part });
    } else if (item.kind === "reasoning")
      out += this.#event("response.reasoning_text.done", { ...this.#part(), text: item.text });
    else {
      const at = { item_id: callId(this.#id, item.place), output_index: this.#output.length };
      const { name, arguments: args } = item.call;
      out += this.#event("response.function_call_arguments.done", { ...at, name, arguments: args });
    }
    out += this.#event("response.output_item.done", { output_index: this.#output.length, item: whole });
    this.#output.push(whole);
    this.#item = undefined;
    return out;
  }

  #whole({ kind, place, text, call }: Item): Json {
    if (kind === "call") return callItem(this.#id, place, call);
    return kind === "reasoning"
      ? reasoningItem(this.#id, text)
      : messageItem(this.#id, { text, refusal: "" });
  }

  #part(): Json {
    const isMessage = this.#item?.kind === "message";
    const item_id = isMessage ? messageId(this.#id) : `rs_${this.#id}`;
    return { item_id, output_index: this.#output.length, content_index: 0 };
  }

  #end(chunk: Json): string {
    const closed = this.#close();
    const { usage, aimo } = chunk;
    const finish = this.#finish ?? "stop";
    const response = responseWith({ ...this.#head, usage, aimo }, this.#asked, {
      output: this.#output,
      finish,
    });
    const name = response["status"] === "incomplete" ? "response.incomplete" : "response.completed";
    return closed + this.#event(name, { response });
  }

  #fail(error: Json): string {
    const whole = responseWith(this.#head, this.#asked, { output: this.#output, finish: undefined });
    const { code, message } = error;
    const response = { ...whole, status: "failed", error: { code, message } };
    return this.#event("response.failed", { response });
  }

  #event(type: string, data: Json): string {
    return eventOf(type, { type, sequence_number: this.#sequence++, ...data });
  }
}
