import { longestAudioMs } from "@aimo/protocol/audio";
import { concat, utf8 } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import { boundaryOf, type Part, readMultipart, textOfPart } from "@aimo/protocol/multipart";
import { type Ask, readMaxCost } from "./ask.ts";
import { readModels, readPreferences } from "./preferences.ts";

/** What a transcription's form asks for. The file is the provider's business; only its length has a price. */

const MAX_MODEL_LENGTH = 128;

/**
 * Reads a form. `contentType` is the request's: its boundary must be the one that the body begins with, because the body
 * is all that travels on. Throws `invalid_request` naming the field.
 */
export function readFormAsk(body: Uint8Array, contentType: string): Ask {
  const parts = readParts(body, contentType);
  const text = (name: string) => {
    const part = parts.find((one) => one.name === name);
    return part ? readText(body, part) : undefined;
  };
  const model = text("model") ?? "";
  if (model.length === 0 || model.length > MAX_MODEL_LENGTH)
    throw invalid(`model must be a string of 1 to ${MAX_MODEL_LENGTH} characters.`, "model");
  if (!["false", undefined].includes(text("stream")))
    throw invalid("stream is not offered for transcriptions.", "stream");
  const files = parts.filter((part) => part.name === "file");
  const [file] = files;
  if (!file || files.length > 1 || file.end === file.start)
    throw invalid("file must be one file that is not empty.", "file");
  return {
    ...{ route: "transcriptions", model: model.toLowerCase(), stream: false, includeUsage: false },
    ...{ maxTokens: undefined, count: 1, bodyBytes: body.length, hasMedia: true },
    inputUnits: longestAudioMs(body.subarray(file.start, file.end)),
    ...{ wanted: readModels({ model }), steering: [], sessionId: undefined },
    preferences: readPreferences({ provider: readJson(text("provider"), "provider") }),
    maxCost: readMaxCost(readJson(text("aimo"), "aimo")),
  };
}

/**
 * The form's fields and files without its boundary, which a client draws anew for each try: what a repeated request must
 * be alike in. Throws as `readFormAsk`.
 */
export function contentOfForm(body: Uint8Array): Uint8Array {
  return concat(
    readMultipart(body).flatMap(({ name, filename, start, end }) => [
      utf8(`${JSON.stringify([name, filename ?? null, end - start])}\n`),
      body.subarray(start, end),
    ]),
  );
}

/** The form's texts by name, without its files. Throws as `readFormAsk`. */
export function textsOfForm(body: Uint8Array): Record<string, string> {
  const texts = readMultipart(body).filter(({ filename }) => filename === undefined);
  return Object.fromEntries(texts.map((part) => [part.name, readText(body, part)]));
}

function readParts(body: Uint8Array, contentType: string): readonly Part[] {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  try {
    if (boundaryOf(body) !== (quoted ?? plain))
      throw new RangeError("The form does not begin with the boundary of its Content-Type.");
    return readMultipart(body);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AimoError("invalid_request", { message: cause.message, cause });
  }
}

function readText(body: Uint8Array, part: Part): string {
  try {
    return textOfPart(body, part);
  } catch (cause) {
    throw new AimoError("invalid_request", {
      message: `${part.name} is not UTF-8.`,
      param: part.name,
      cause,
    });
  }
}

function readJson(text: string | undefined, param: string): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AimoError("invalid_request", { message: `${param} is not valid JSON.`, param, cause });
  }
}

const invalid = (message: string, param: string) => new AimoError("invalid_request", { message, param });
