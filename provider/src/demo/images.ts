/**
 * The images route. There is no file host beside it: with `response_format` "url" (the default, as in OpenAI's first
 * image API) the URL is a `data:image/png;base64,` URL that holds the picture itself.
 */
import { randomInt } from "node:crypto";
import { countText } from "@aimo/node/tokens";
import { toPng } from "./canvas.ts";
import { draw } from "./draw.ts";
import { type Fields, integerIn, oneOf, textIn } from "./fields.ts";
import { requireModel } from "./models.ts";

const MODEL = "demo-image";
const MAX_PROMPT_LENGTH = 4_000;
/** Drawing keeps a core busy for about 0.1 s a picture. */
const MAX_IMAGES = 4;

/** The reply to an image request. Gives up, with undefined, when the caller is gone. */
export async function replyImages(body: Fields, gone: AbortSignal): Promise<object | undefined> {
  requireModel(body, MODEL);
  const prompt = textIn(body, "prompt", MAX_PROMPT_LENGTH);
  const images = integerIn(body, "n", { from: 1, to: MAX_IMAGES }, 1);
  const size = Number(oneOf(body, "size", ["512x512", "256x256", "1024x1024"]).split("x")[0]);
  const format = oneOf(body, "response_format", ["url", "b64_json"]);
  const seed =
    integerIn(body, "seed", { from: 0, to: Number.MAX_SAFE_INTEGER }, undefined) ?? randomInt(2 ** 32);
  const data: object[] = [];
  for (let index = 0; index < images; index++) {
    const base64 = (await toPng(draw({ prompt, size, seed, index }))).toString("base64");
    if (gone.aborted) return undefined;
    data.push(format === "url" ? { url: `data:image/png;base64,${base64}` } : { b64_json: base64 });
  }
  const tokens = countText(prompt);
  const usage = { images, input_tokens: tokens, output_tokens: 0, total_tokens: tokens };
  return { created: Math.floor(Date.now() / 1000), data, usage };
}
