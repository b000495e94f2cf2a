import { Type } from "typebox";
import { PresetField, RoutingFields } from "./routing-schemas.ts";
import { inference, Model } from "./schemas.ts";

/** Schemas of the chat's other forms, for readers of /openapi.json: the dialects themselves judge. */

const ANY = { additionalProperties: true };
const Text = Type.String({ minLength: 1 });
const TokenLimit = Type.Integer({ minimum: 1 });
const AnyObject = Type.Object({}, ANY);
const routed = {
  model: Model,
  stream: Type.Optional(Type.Boolean()),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  ...RoutingFields,
  ...PresetField,
};

const CompletionsBody = Type.Object(
  {
    ...routed,
    prompt: Type.Union([Text, Type.Array(Text, { minItems: 1, maxItems: 1 })]),
    max_tokens: Type.Optional(TokenLimit),
    n: Type.Optional(Type.Integer({ minimum: 1, maximum: 128 })),
    stop: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
    logprobs: Type.Optional(Type.Integer({ minimum: 0 })),
    stream_options: Type.Optional(Type.Object({ include_usage: Type.Optional(Type.Boolean()) }, ANY)),
  },
  ANY,
);

const ResponsesBody = Type.Object(
  {
    ...routed,
    /** Messages, calls of functions and their answers; each request brings all of them. */
    input: Type.Union([Text, Type.Array(AnyObject, { minItems: 1, maxItems: 10_000 })]),
    instructions: Type.Optional(Type.String()),
    max_output_tokens: Type.Optional(TokenLimit),
    tools: Type.Optional(
      Type.Array(Type.Object({ type: Type.Literal("function"), name: Type.String() }, ANY)),
    ),
    tool_choice: Type.Optional(Type.Union([Type.String(), AnyObject])),
    text: Type.Optional(AnyObject),
    reasoning: Type.Optional(AnyObject),
  },
  ANY,
);

const MessagesBody = Type.Object(
  {
    ...routed,
    max_tokens: TokenLimit,
    messages: Type.Array(
      Type.Object({
        role: Type.Union([Type.Literal("user"), Type.Literal("assistant"), Type.Literal("system")]),
        content: Type.Union([Type.String(), Type.Array(AnyObject)]),
      }),
      { minItems: 1, maxItems: 10_000 },
    ),
    system: Type.Optional(Type.Union([Type.String(), Type.Array(AnyObject)])),
    stop_sequences: Type.Optional(Type.Array(Type.String())),
    tools: Type.Optional(Type.Array(Type.Object({ name: Type.String(), input_schema: AnyObject }, ANY))),
    tool_choice: Type.Optional(AnyObject),
    thinking: Type.Optional(AnyObject),
    output_config: Type.Optional(AnyObject),
    metadata: Type.Optional(AnyObject),
  },
  ANY,
);

export const dialectSchemas: Readonly<Record<string, object>> = {
  "/v1/completions": inference("createCompletion", "Text that goes on from a prompt", CompletionsBody),
  "/v1/responses": inference("createResponse", "A response to items, without a store", ResponsesBody),
  "/v1/messages": {
    ...inference("createMessage", "A message in the form of Anthropic's API", MessagesBody),
    security: [{ x_api_key: [] }, { key: [] }],
  },
};
