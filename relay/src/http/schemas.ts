import { MAX_BILLS } from "@aimo/protocol/bill";
import { ROUTE_HEADERS } from "@aimo/protocol/routes";
import { Type } from "typebox";
import { BATCH_ENDPOINTS } from "../core/batch-job.ts";
import { MODELS_PARAMETERS } from "../core/models-query.ts";
import { PresetField, RoutingFields } from "./routing-schemas.ts";

/** Schemas of bodies and replies: they validate management routes, and document all of them in /openapi.json. */

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const ErrorReply = Type.Object({
  error: Type.Object({
    code: Type.String(),
    message: Type.String(),
    type: Type.String(),
    param: Nullable(Type.String()),
    metadata: Type.Object({}, { additionalProperties: true }),
  }),
});

const ANY = { additionalProperties: true };
/** A model's name, as it is registered. */
export const Model = Type.String({ minLength: 1, maxLength: 128 });
/** OpenAI's form: kept with the generation, not sent to inference servers. */
const Metadata = Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 512 }), {
  maxProperties: 16,
});
const LabelFields = {
  metadata: Type.Optional(Nullable(Metadata)),
  user: Type.Optional(Type.String({ description: "Your user; kept with the generation." })),
};
const ChatBody = Type.Object(
  {
    model: Type.Optional(Model),
    ...LabelFields,
    ...RoutingFields,
    ...PresetField,
    messages: Type.Array(Type.Object({ role: Type.String() }, ANY), { minItems: 1, maxItems: 10_000 }),
    stream: Type.Optional(Type.Boolean()),
    stream_options: Type.Optional(Type.Object({ include_usage: Type.Optional(Type.Boolean()) }, ANY)),
    usage: Type.Optional(Type.Object({ include: Type.Optional(Type.Boolean()) }, ANY)),
    max_completion_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
    max_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
    n: Type.Optional(Type.Integer({ minimum: 1, maximum: 128 })),
  },
  ANY,
);
const EmbeddingsBody = Type.Object(
  {
    model: Type.Optional(Model),
    ...LabelFields,
    ...RoutingFields,
    ...PresetField,
    input: Type.Union([Type.String(), Type.Array(Type.Any(), { minItems: 1 })]),
  },
  ANY,
);
const ImagesBody = Type.Object(
  {
    model: Type.Optional(Model),
    ...LabelFields,
    ...RoutingFields,
    ...PresetField,
    prompt: Type.String({ minLength: 1 }),
    n: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 })),
  },
  ANY,
);

const SpeechBody = Type.Object(
  {
    model: Type.Optional(Model),
    ...LabelFields,
    ...RoutingFields,
    ...PresetField,
    input: Type.String({ minLength: 1 }),
    voice: Type.Optional(Type.Any()),
    response_format: Type.Optional(Type.String()),
  },
  ANY,
);
const ModerationsBody = Type.Object(
  {
    model: Type.Optional(Model),
    ...LabelFields,
    ...RoutingFields,
    ...PresetField,
    input: Type.Union([Type.String(), Type.Array(Type.Any(), { minItems: 1 })]),
  },
  ANY,
);
const TranscriptionsBody = Type.Object(
  {
    file: Type.String({ format: "binary" }),
    model: Model,
    response_format: Type.Optional(Type.String()),
    provider: Type.Optional(Type.String({ description: "The provider object, as JSON." })),
    aimo: Type.Optional(Type.String({ description: "The aimo object, as JSON." })),
  },
  ANY,
);

const Flag = Type.Union([Type.Literal("true"), Type.Literal("false")]);
/** Headers by which a client names its request and its app, and says whether a kept reply will do. */
const InferenceHeaders = Type.Object({
  "x-client-request-id": Type.Optional(Type.String({ maxLength: 128, pattern: "^[!-~]+$" })),
  "http-referer": Type.Optional(Type.String({ description: "Address of the app that asks." })),
  "x-title": Type.Optional(Type.String({ description: "Name of the app that asks." })),
  [ROUTE_HEADERS.cache]: Type.Optional(Flag),
  [ROUTE_HEADERS.cacheTtl]: Type.Optional(Type.String({ pattern: "^[0-9]{1,5}$", description: "Seconds" })),
  [ROUTE_HEADERS.cacheClear]: Type.Optional(Flag),
});

/** What /openapi.json says of a route that infers. */
export const inference = (operationId: string, summary: string, body: object) => ({
  operationId,
  summary,
  tags: ["inference"],
  security: [{ key: [] }],
  headers: InferenceHeaders,
  body,
});

export const inferenceSchemas: Readonly<Record<string, object>> = {
  "/v1/chat/completions": inference("createChatCompletion", "Chat, as JSON or as an event stream", ChatBody),
  "/v1/inference": inference("createInference", "Another name of /v1/chat/completions", ChatBody),
  "/v1/embeddings": inference("createEmbeddings", "Embeddings of one or more texts", EmbeddingsBody),
  "/v1/images/generations": inference("createImage", "Images from a prompt", ImagesBody),
  "/v1/audio/speech": inference("createSpeech", "Speech from a text, streamed as it is made", SpeechBody),
  "/v1/moderations": inference("createModeration", "Whether texts are harmful", ModerationsBody),
  "/v1/audio/transcriptions": {
    ...inference("createTranscription", "The text of a recording", TranscriptionsBody),
    consumes: ["multipart/form-data"],
  },
};

/** As text, which is what a query string has. */
export const ModelsQuerySchema = Type.Object(
  Object.fromEntries(
    Object.entries(MODELS_PARAMETERS).map(([name, description]) => [
      name,
      Type.Optional(Type.String({ maxLength: 200, description })),
    ]),
  ),
);

export const SiweBody = Type.Object(
  {
    message: Type.String({ minLength: 1, maxLength: 4_096 }),
    signature: Type.String({ pattern: "^0x[0-9a-fA-F]{2,16384}$" }),
  },
  { additionalProperties: false },
);

const keySettings = {
  name: Type.Optional(Type.String({ maxLength: 100 })),
  /** Null lifts the limit. */
  limit: Type.Optional(Nullable(Type.Number({ minimum: 0, maximum: 1_000_000_000, description: "USD" }))),
  limit_reset: Type.Optional(
    Nullable(Type.Union([Type.Literal("daily"), Type.Literal("weekly"), Type.Literal("monthly")])),
  ),
  /** ISO 8601; null: never. */
  expires_at: Type.Optional(Nullable(Type.String({ maxLength: 40 }))),
  models: Type.Optional(Nullable(Type.Array(Model, { maxItems: 100 }))),
  disabled: Type.Optional(Type.Boolean()),
  requests_per_minute: Type.Optional(Nullable(Type.Integer({ minimum: 1, maximum: 10_000_000 }))),
  /** Prompt and completion together. */
  tokens_per_minute: Type.Optional(Nullable(Type.Integer({ minimum: 1, maximum: 1_000_000_000_000 }))),
  /** Requests in flight. */
  max_in_flight: Type.Optional(Nullable(Type.Integer({ minimum: 1, maximum: 1_000_000 }))),
  /** IPv4 and IPv6 addresses and networks, e.g. 10.0.0.0/8; null or empty: any. */
  allowed_ips: Type.Optional(
    Nullable(Type.Array(Type.String({ minLength: 2, maxLength: 50 }), { maxItems: 100 })),
  ),
  /** Whether a stream ends with its usage always, or where `stream_options.include_usage` asks for it. */
  show_usage: Type.Optional(Type.Union([Type.Literal("always"), Type.Literal("asked")])),
};
export const KeyBody = Type.Object(keySettings, { additionalProperties: false });
export const KeyParams = Type.Object({ hash: Type.String({ pattern: "^[0-9a-f]{64}$" }) });

const Decimal = (digits: number) =>
  Type.String({ pattern: `^[0-9]{1,${digits}}$`, description: `a whole number of at most ${digits} digits` });
const AddressText = Type.String({
  pattern: "^0x[0-9a-fA-F]{40}$",
  description: "an address: 0x and 40 hex digits",
});
const Seconds = Type.Integer({ minimum: 0, maximum: 2 ** 40 - 1 });

/** A signed SpendAuthorization (protocol section 4); amounts in pUSD as decimal strings. */
export const ChannelBody = Type.Object(
  {
    user: AddressText,
    relayId: Type.Integer({ minimum: 1, maximum: 2 ** 32 - 1 }),
    sessionKey: AddressText,
    amount: Decimal(29),
    expiry: Seconds,
    mode: Type.Integer({ minimum: 0, maximum: 1 }),
    nonce: Decimal(78),
    deadline: Seconds,
    signature: Type.String({ pattern: "^0x[0-9a-fA-F]{130,16384}$" }),
  },
  { additionalProperties: false },
);

const FileId = Type.String({
  pattern: "^file-[a-z0-9-]{1,64}$",
  description: "a file's id, which begins with file-",
});
const BatchId = Type.String({
  pattern: "^batch_[0-9a-f]{24}$",
  description: "a batch's id: batch_ and 24 hex digits",
});
export const FileParams = Type.Object({ id: FileId });
export const BatchIdParams = Type.Object({ id: BatchId });
const Count = (most: number) =>
  Type.String({ pattern: "^[0-9]{1,5}$", description: `an integer from 1 to ${most}` });
export const MAX_FILES_PAGE = 10_000;
export const MAX_BATCHES_PAGE = 100;
/** As text, which is what a query string has. */
export const FilesQuery = Type.Object({
  after: Type.Optional(FileId),
  limit: Type.Optional(Count(MAX_FILES_PAGE)),
  order: Type.Optional(Type.Union([Type.Literal("asc"), Type.Literal("desc")])),
  purpose: Type.Optional(Type.String({ maxLength: 32 })),
});
export const BatchesQuery = Type.Object({
  after: Type.Optional(BatchId),
  limit: Type.Optional(Count(MAX_BATCHES_PAGE)),
});
const KeepFor = Type.Object({
  anchor: Type.Literal("created_at"),
  seconds: Type.Integer({ minimum: 3_600, maximum: 2_592_000, description: "seconds" }),
});
export const BatchBody = Type.Object({
  input_file_id: FileId,
  endpoint: Type.Union(Object.keys(BATCH_ENDPOINTS).map((endpoint) => Type.Literal(endpoint))),
  completion_window: Type.Literal("24h"),
  metadata: Type.Optional(Nullable(Metadata)),
  output_expires_after: Type.Optional(KeepFor),
});
export const FileForm = Type.Object(
  { file: Type.String({ format: "binary" }), purpose: Type.Literal("batch") },
  { additionalProperties: true },
);
export const batching = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ["batches"],
  security: [{ key: [] }],
});

const GenerationId = Type.String({
  pattern: "^gen-[0-9a-f]{24}$",
  description: "a generation's id: gen- and 24 hex digits",
});
export const GenerationQuery = Type.Object({ id: GenerationId });
export const GenerationParams = Type.Object({ id: GenerationId });
/** As text, which is what a query string has. `after`: number of the last batch that is known. */
export const PageQuery = Type.Object({
  after: Type.Optional(Decimal(20)),
  limit: Type.Optional(Count(MAX_BILLS)),
});
export const BatchParams = Type.Object({ batchNo: Decimal(20) });

export const read = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ["account"],
  security: [{ key: [] }, { session: [] }],
});
export const manage = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ["keys"],
  security: [{ session: [] }],
});
export const open = (operationId: string, summary: string) => ({ operationId, summary, tags: ["open"] });
