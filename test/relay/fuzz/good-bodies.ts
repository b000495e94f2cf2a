/** Bodies that the relay and its provider serve, as clients send them. Their changes are near to what is served. */

const SAID = { role: "user", content: "Hello" };
const PART = { type: "text", text: "Hello" };
const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const MODEL = "acme/text";
const PREFERENCES = {
  order: ["3"],
  only: ["3"],
  ignore: ["4"],
  sort: "price",
  allow_fallbacks: true,
  require_parameters: false,
  max_price: { prompt: 100, completion: "100" },
};

const CHATS = [
  { model: MODEL, messages: [SAID], max_tokens: 8 },
  { model: MODEL, messages: [SAID], max_tokens: 8, stream: true, stream_options: { include_usage: true } },
  {
    ...{
      model: MODEL,
      models: [MODEL],
      max_completion_tokens: 8,
      n: 2,
      stop: ["x"],
      seed: 1,
      logprobs: true,
    },
    messages: [
      { role: "system", content: "Be kind." },
      { role: "user", content: [PART] },
    ],
    ...{ provider: PREFERENCES, user: "u", metadata: { a: "b" }, temperature: 0.5 },
  },
  {
    ...{ model: MODEL, max_tokens: 8, tool_choice: "auto", parallel_tool_calls: true },
    messages: [
      SAID,
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c", content: "ok" },
    ],
    tools: [{ type: "function", function: { name: "f", description: "d", parameters: PARAMETERS } }],
    response_format: { type: "json_schema", json_schema: { name: "x", schema: PARAMETERS } },
  },
];

export const GOOD_BODIES: Readonly<Record<string, readonly [object, ...object[]]>> = {
  "/v1/chat/completions": CHATS as [object],
  "/v1/inference": CHATS as [object],
  "/v1/completions": [
    { model: MODEL, prompt: "Hello", max_tokens: 8 },
    { model: MODEL, prompt: ["Hello"], stream: true, logprobs: 2, best_of: 1, stop: "x" },
  ],
  "/v1/responses": [
    { model: MODEL, input: "Hello", max_output_tokens: 8 },
    {
      ...{ model: MODEL, stream: true, instructions: "Be kind.", max_output_tokens: 8, tool_choice: "auto" },
      input: [
        { role: "user", content: [{ type: "input_text", text: "Hello" }] },
        { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "c", output: "ok" },
      ],
      tools: [{ type: "function", name: "f", parameters: PARAMETERS }],
      text: { format: { type: "json_schema", name: "x", schema: PARAMETERS } },
      reasoning: { effort: "low" },
    },
  ],
  "/v1/messages": [
    { model: MODEL, messages: [SAID], max_tokens: 8 },
    {
      ...{ model: MODEL, max_tokens: 8, stream: true, stop_sequences: ["x"], tool_choice: { type: "auto" } },
      system: [PART],
      messages: [
        { role: "user", content: [PART] },
        { role: "assistant", content: [{ type: "tool_use", id: "c", name: "f", input: { city: "x" } }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: [PART] }] },
      ],
      tools: [{ name: "f", description: "d", input_schema: PARAMETERS }],
      thinking: { type: "disabled" },
    },
  ],
  "/v1/embeddings": [
    { model: "acme/embed", input: "Hello" },
    { model: "acme/embed", input: ["Hello", "you"], encoding_format: "base64", dimensions: 8 },
  ],
  "/v1/images/generations": [{ model: "acme/image", prompt: "A house", n: 1, size: "256x256" }],
  "/v1/audio/speech": [{ model: "acme/speech", input: "Hello", voice: "alloy", response_format: "wav" }],
  "/v1/moderations": [
    { model: "acme/moderation", input: "Hello" },
    {
      model: "acme/moderation",
      input: [PART, { type: "image_url", image_url: { url: "data:image/png;base64,AA" } }],
    },
  ],
  "/v1/batches": [
    {
      input_file_id: "file-0",
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
      metadata: { a: "b" },
    },
  ],
  "/v1/auth/siwe": [{ message: "relay.test wants you to sign in", signature: `0x${"0".repeat(130)}` }],
};
