import {
  countOf,
  type DialectStream,
  eventOf,
  type Json,
  listOf,
  objectOf,
  saidIn,
  type ToolCall,
  textOf,
  toolCallOf,
} from "./dialect.ts";
import {
  callItem,
  logprobsOf,
  messageItem,
  reasoningItem,
  refusalPart,
  responseWith,
  statusOf,
  textPart,
} from "./responses-items.ts";

type Kind = "reasoning" | "text" | "refusal" | "call";

/** An item of the output while it is written. Text and refusal are messages of one part each. */
type Item = {
  readonly kind: Kind;
  readonly id: string;
  readonly index: number;
  text: string;
  readonly logprobs: unknown[];
  readonly call: ToolCall;
  status: string;
};

const PREFIXES = { reasoning: "rs", text: "msg", refusal: "msg", call: "fc" } as const;
const EVENTS = {
  reasoning: "response.reasoning_text",
  text: "response.output_text",
  refusal: "response.refusal",
  call: "response.function_call_arguments",
} as const;

/** A streamed response: its items open and close in order, each event numbered. */
export class ResponseStream implements DialectStream {
  readonly #asked: Json;
  readonly #items: Item[] = [];
  /** By their place among the calls: servers may go on with a call after they began the next. */
  readonly #calls = new Map<number, Item>();
  #open: Item | undefined;
  #sequence = 0;
  #head: Json | undefined;
  #finish: unknown = "stop";

  constructor(asked: Json) {
    this.#asked = asked;
  }

  chunk(chunk: Json): string {
    let out = this.#begin(chunk);
    if (chunk["error"]) return out + this.#fail(chunk, objectOf(chunk["error"]));
    const [choice] = listOf(chunk["choices"]);
    if (!choice) return out + this.#end(chunk);
    const { reasoning, text, refusal, calls } = saidIn(objectOf(choice["delta"]));
    out += this.#say("reasoning", reasoning);
    out += this.#say("text", text, logprobsOf(choice));
    out += this.#say("refusal", refusal);
    for (const call of calls) out += this.#call(call);
    this.#finish = choice["finish_reason"] ?? this.#finish;
    return out;
  }

  /** The last event of a response says that it is over: nothing follows it. */
  done(): string {
    return "";
  }

  #begin(chunk: Json): string {
    if (this.#head) return "";
    this.#head = { id: chunk["id"], model: chunk["model"], created: chunk["created"] };
    const response = responseWith(this.#head, this.#asked, { output: [], finish: undefined });
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response });
  }

  #say(kind: Exclude<Kind, "call">, text: string, logprobs: readonly unknown[] = []): string {
    if (text === "") return "";
    const opened = this.#open?.kind === kind ? "" : this.#enter(kind, { id: "", name: "", arguments: "" });
    const item = this.#open as Item;
    item.text += text;
    item.logprobs.push(...logprobs);
    const more = kind === "text" ? { logprobs } : {};
    return opened + this.#event(`${EVENTS[kind]}.delta`, { ...at(item), delta: text, ...more });
  }

  #call(call: Json): string {
    const place = countOf(call["index"]);
    const said = toolCallOf(call, `call_${textOf(this.#head?.["id"])}_${place}`);
    let item = this.#calls.get(place);
    const opened = item ? "" : this.#enter("call", { ...said, arguments: "" });
    item ??= this.#open as Item;
    this.#calls.set(place, item);
    if (said.arguments === "") return opened;
    item.call.arguments += said.arguments;
    return opened + this.#event(`${EVENTS.call}.delta`, { ...at(item), delta: said.arguments });
  }

  #enter(kind: Kind, call: ToolCall): string {
    const closed = this.#close("completed");
    const index = this.#items.length;
    const id = `${PREFIXES[kind]}_${textOf(this.#head?.["id"])}_${index}`;
    const item: Item = { kind, id, index, text: "", logprobs: [], call, status: "in_progress" };
    this.#open = item;
    this.#items.push(item);
    const empty = kind === "call" ? wholeOf(item) : { ...wholeOf(item), content: [] };
    const added = this.#event("response.output_item.added", { output_index: index, item: empty });
    if (kind === "call") return closed + added;
    return closed + added + this.#event("response.content_part.added", { ...at(item), part: partOf(item) });
  }

  #close(status: string): string {
    const item = this.#open;
    if (!item) return "";
    this.#open = undefined;
    item.status = status;
    const { kind, text, logprobs, call } = item;
    let out: string;
    if (kind === "call") {
      const { name, arguments: args } = call;
      out = this.#event(`${EVENTS.call}.done`, { ...at(item), name, arguments: args });
    } else {
      const said = kind === "refusal" ? { refusal: text } : kind === "text" ? { text, logprobs } : { text };
      out = this.#event(`${EVENTS[kind]}.done`, { ...at(item), ...said });
      out += this.#event("response.content_part.done", { ...at(item), part: partOf(item) });
    }
    return out + this.#event("response.output_item.done", { output_index: item.index, item: wholeOf(item) });
  }

  #end(chunk: Json): string {
    const closed = this.#close(statusOf(this.#finish));
    const response = this.#response(chunk, this.#finish);
    const name = response["status"] === "incomplete" ? "response.incomplete" : "response.completed";
    return closed + this.#event(name, { response });
  }

  /** What was said until then stays in the response, unfinished. */
  #fail(chunk: Json, { code, message }: Json): string {
    if (this.#open) this.#open.status = "incomplete";
    const response = { ...this.#response(chunk, undefined), status: "failed", error: { code, message } };
    return this.#event("response.failed", { response });
  }

  #response({ usage, aimo }: Json, finish: unknown): Json {
    const head = { ...this.#head, usage, aimo };
    return responseWith(head, this.#asked, { output: this.#items.map(wholeOf), finish });
  }

  #event(type: string, data: Json): string {
    return eventOf(type, { type, sequence_number: this.#sequence++, ...data });
  }
}

function wholeOf(item: Item): Json {
  const { kind, id, status, call } = item;
  if (kind === "call") return callItem(id, status, call);
  return kind === "reasoning"
    ? reasoningItem(id, status, [partOf(item)])
    : messageItem(id, status, [partOf(item)]);
}

function partOf({ kind, text, logprobs }: Item): Json {
  if (kind === "refusal") return refusalPart(text);
  return kind === "reasoning" ? { type: "reasoning_text", text } : textPart(text, logprobs);
}

/** Where in the output an event belongs. */
function at({ kind, id, index }: Item): Json {
  return { item_id: id, output_index: index, ...(kind === "call" ? {} : { content_index: 0 }) };
}
