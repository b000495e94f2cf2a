import type { Units } from "@aimo/protocol/units";
import { MODEL } from "../relay/mock.ts";

/** What a relay says of a request at its end, whether whole, in a stream's last chunk or in an error. */
type Meta = {
  readonly generation_id: string;
  readonly provider: { readonly id: number };
  readonly cost_pusd: string;
  readonly provider_cost_pusd: string;
  readonly attempts: readonly AttemptSeen[];
};
export type AttemptSeen = {
  readonly provider: number;
  readonly status: string;
  readonly error?: string;
};

type ErrorSeen = {
  readonly code: string;
  readonly message: string;
  readonly metadata: { readonly generation_id?: string };
};

export type Answer = {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly generationId: string | undefined;
  readonly text: string;
  /** Frames with content. */
  readonly frames: number;
  /** A stream that ended as it should. */
  readonly done: boolean;
  /** Of an error's body, or of the chunk that ends a cut stream. */
  readonly error: ErrorSeen | undefined;
  readonly units: Units | undefined;
  readonly aimo: Meta | undefined;
};

export type Ask = {
  readonly stream?: boolean;
  /** Routing preferences of the request. */
  readonly provider?: object;
  readonly messages?: readonly object[];
};

/** Asks a relay as a client would, by HTTP alone. */
export class Client {
  readonly #url: string;
  readonly #key: string;
  /** Frames with content that the stream asked for last has brought so far. */
  seen = 0;

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
  }

  async ask({ stream = false, provider, messages }: Ask): Promise<Answer> {
    const body = {
      model: MODEL,
      messages: messages ?? [{ role: "user", content: "What is a ledger?" }],
      max_tokens: 256,
      ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
      ...(provider ? { provider } : {}),
    };
    this.seen = 0;
    const response = await fetch(`${this.#url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
    const read = isStream ? readStream(await this.#follow(response)) : readJson(await response.text());
    return {
      ...read,
      status: response.status,
      retryAfter: response.headers.get("retry-after"),
      generationId: response.headers.get("x-generation-id") ?? read.error?.metadata.generation_id,
    };
  }

  async #follow({ body }: Response): Promise<string> {
    let whole = "";
    if (body === null) return whole;
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      whole += chunk;
      this.seen = whole.split(CONTENT).length - 1;
    }
    return whole;
  }

  /** What became of a request; undefined when the relay knows none of that id. */
  async stateOf(id: string): Promise<string | undefined> {
    const headers = { authorization: `Bearer ${this.#key}` };
    const response = await fetch(`${this.#url}/v1/generation?id=${id}`, { headers });
    const { data } = (await response.json()) as { data?: { state: string } };
    if (response.status !== 404 && !data)
      throw new Error(`The state of ${id} was answered with ${response.status}.`);
    return data?.state;
  }

  async get<T>(path: string): Promise<T> {
    const headers = { authorization: `Bearer ${this.#key}` };
    const response = await fetch(this.#url + path, { headers });
    if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }
}

/** Stands once in each frame of the bench's mocks. */
const CONTENT = '"delta":{"content":"word';

type Read = Omit<Answer, "status" | "retryAfter" | "generationId">;
// biome-ignore lint/suspicious/noExplicitAny: what is missing in a reply is what is looked for
type Json = any;

function readJson(text: string): Read {
  const body: Json = JSON.parse(text);
  return {
    text: body.choices?.[0]?.message?.content ?? "",
    ...{ frames: 0, done: false, error: body.error, units: unitsOf(body.usage), aimo: body.aimo },
  };
}

function readStream(whole: string): Read {
  const data = whole
    .split("\n\n")
    .flatMap((frame) => frame.split("\n"))
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice("data: ".length));
  const chunks: Json[] = data.filter((each) => each.startsWith("{")).map((each) => JSON.parse(each));
  const pieces = chunks
    .filter((chunk) => chunk.error === undefined)
    .map((chunk) => chunk.choices?.[0]?.delta?.content)
    .filter((content) => typeof content === "string" && content !== "");
  const last = chunks.at(-1);
  return {
    ...{ text: pieces.join(""), frames: pieces.length, done: data.at(-1) === "[DONE]" },
    ...{ error: last?.error, units: unitsOf(last?.usage), aimo: last?.aimo },
  };
}

function unitsOf(usage: Json): Units | undefined {
  if (!usage) return undefined;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return [usage.prompt_tokens - cached, cached, usage.completion_tokens];
}
