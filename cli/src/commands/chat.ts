import { AimoError } from "@aimo/protocol/errors";
import type { AimoMeta } from "@aimo/protocol/routes";
import type { AimoClient } from "@aimo/sdk";
import { readWhole, usd } from "../amounts.ts";
import { type Command, RELAY_OPTIONS } from "../command.ts";
import type { CliContext } from "../context.ts";
import { loadSession, openClient, prepareRecords } from "../relay.ts";
import { loadSettings } from "../settings.ts";

export const chat: Command = {
  name: "chat",
  summary: "Ask a model and print its answer as it comes",
  description:
    "Keeps what proves the bill (no prompt, no answer) in your configuration folder, for `aimo bill verify`.",
  arguments: [{ name: "TEXT", summary: "what to ask" }],
  options: {
    ...RELAY_OPTIONS,
    model: { type: "string", value: "ID", summary: "model to ask (default: the first chat model offered)" },
    "max-tokens": { type: "string", value: "N", summary: "tokens of the answer at most" },
    system: { type: "string", value: "TEXT", summary: "instructions that come before the question" },
    "session-key": {
      type: "string",
      value: "FILE",
      summary: "key that signs what a signed channel pays (default: AIMO_SESSION_KEY)",
    },
    stream: { type: "boolean", default: true, summary: "print the answer whole when it is complete" },
  },
  examples: [
    'aimo chat "How does a market settle?" --max-tokens 60',
    'aimo chat "Hello" --session-key session.key',
  ],
  async run(input, context) {
    const settings = await loadSettings(input, context);
    const maxTokens = input.text("max-tokens");
    const limit =
      maxTokens === undefined ? {} : { max_tokens: readWhole("--max-tokens", maxTokens, [1, 1_000_000]) };
    const client = openClient(settings, {
      records: await prepareRecords(context, settings.baseUrl),
      ...(await loadSession(settings.sessionFile, context)),
    });
    const system = input.text("system");
    const request = {
      model: input.text("model") ?? (await chooseModel(client)),
      messages: [
        ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
        { role: "user" as const, content: input.argument("TEXT") ?? "" },
      ],
      ...limit,
    };
    const isStreamed = input.flag("stream") && !input.flag("json");
    const { text, aimo } = isStreamed
      ? await streamed(client, request, context)
      : await whole(client, request, context);
    const charge = BigInt(aimo?.cost_pusd ?? 0);
    if (aimo)
      context.note(`${request.model}, provider ${aimo.provider.id}, ${usd(charge)}, ${aimo.generation_id}`);
    return { text: isStreamed ? "" : text, isVerbatim: true, json: { model: request.model, text, aimo } };
  },
};

type Request = Parameters<AimoClient["chat"]["completions"]["create"]>[0] & { readonly stream?: never };
type Answer = { readonly text: string; readonly aimo: AimoMeta | undefined };

async function chooseModel(client: AimoClient): Promise<string> {
  const { data } = await client.models.list();
  const model = data.find(({ aimo }) => aimo.route === "chat");
  if (model) return model.id;
  throw new AimoError("model_unavailable", { message: "No provider offers a chat model right now." });
}

async function whole(client: AimoClient, request: Request, { signal }: CliContext): Promise<Answer> {
  const { choices, aimo } = await client.chat.completions.create(request, { signal });
  return { text: choices[0].message.content ?? "", aimo };
}

async function streamed(
  client: AimoClient,
  request: Request,
  { write, signal }: CliContext,
): Promise<Answer> {
  const stream = await client.chat.completions.create({ ...request, stream: true }, { signal });
  let text = "";
  try {
    for await (const { choices } of stream) {
      const piece = choices[0]?.delta.content ?? "";
      text += piece;
      write(piece);
    }
  } finally {
    // What was printed ends its line also when the stream breaks off.
    if (text !== "" && !text.endsWith("\n")) write("\n");
  }
  return { text, aimo: stream.aimo() };
}
