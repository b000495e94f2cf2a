import { AimoError } from "@aimo/protocol/errors";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import { isObject, type Json } from "./dialects/dialect.ts";

/** What a client says of a request for its own books. It is kept with the generation, and never logged. */
export type Labels = {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly referer?: string;
  readonly title?: string;
  readonly clientRequestId?: string;
};

/** OpenAI's own limits. */
const MAX_PAIRS = 16;
const MAX_KEY_LENGTH = 64;
const MAX_VALUE_LENGTH = 512;
/** An address of a page, and a name to show: what is longer is cut. */
const MAX_TEXT_LENGTH = 256;
const MAX_ID_LENGTH = 128;
const CLIENT_REQUEST_ID = ROUTE_HEADERS.clientRequestId;

/**
 * The labels of a request, as one JSON text, which no reader of records looks into; undefined without any.
 * `body` is the client's, `chat` what it means where it has another form. Throws `invalid_request` naming the field.
 */
export function readLabels(body: Json, headers: Json, chat: Json = body): string | undefined {
  const { metadata } = body;
  const { user } = chat;
  const { "http-referer": referer, "x-title": title, [CLIENT_REQUEST_ID]: clientRequestId } = headers;
  const isPlain =
    metadata === undefined &&
    user === undefined &&
    referer === undefined &&
    title === undefined &&
    clientRequestId === undefined;
  // Nearly every request.
  if (isPlain) return undefined;
  const labels: Labels = {
    ...readMetadata(metadata),
    ...textIn("user", user),
    ...textIn("referer", referer),
    ...textIn("title", title),
    ...textIn("clientRequestId", clientRequestId),
  };
  return Object.keys(labels).length > 0 ? JSON.stringify(labels) : undefined;
}

/** The id that a client gives a request, to find it again. Throws `invalid_request`. */
export function readClientRequestId(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && value.length <= MAX_ID_LENGTH && /^[\x21-\x7e]+$/.test(value))
    return value;
  throw new AimoError("invalid_request", {
    message: `X-Client-Request-Id must have 1 to ${MAX_ID_LENGTH} visible ASCII characters.`,
    param: "X-Client-Request-Id",
  });
}

export function labelsOf({ labels }: { readonly labels?: string | undefined }): Labels {
  return labels === undefined ? {} : (JSON.parse(labels) as Labels);
}

function readMetadata(metadata: unknown): Pick<Labels, "metadata"> {
  if (metadata === undefined || metadata === null) return {};
  if (!isObject(metadata)) throw invalid("metadata must be an object of texts.", "metadata");
  // Anthropic's `user_id` may be null: not said.
  const pairs = Object.entries(metadata).filter(([, value]) => value !== null);
  if (pairs.length > MAX_PAIRS)
    throw invalid(`metadata has ${pairs.length} pairs; at most ${MAX_PAIRS} are kept.`, "metadata");
  for (const [key, value] of pairs) {
    if (key.length > MAX_KEY_LENGTH)
      throw invalid(`A key of metadata is longer than ${MAX_KEY_LENGTH} characters.`, "metadata");
    if (typeof value !== "string" || value.length > MAX_VALUE_LENGTH) {
      const at = `metadata.${key}`;
      throw invalid(`${at} must be a string of at most ${MAX_VALUE_LENGTH} characters.`, at);
    }
  }
  return pairs.length > 0 ? { metadata: Object.fromEntries(pairs) as Record<string, string> } : {};
}

function textIn(name: keyof Labels, value: unknown): Labels {
  return typeof value === "string" && value !== "" ? { [name]: value.slice(0, MAX_TEXT_LENGTH) } : {};
}

const invalid = (message: string, param: string) => new AimoError("invalid_request", { message, param });
