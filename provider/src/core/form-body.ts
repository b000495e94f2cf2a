import { longestAudioMs } from "@aimo/protocol/audio";
import { AimoError } from "@aimo/protocol/errors";
import { boundaryOf, readMultipart, replacePart } from "@aimo/protocol/multipart";
import type { PreparedBody } from "./client-body.ts";
import type { Model } from "./types.ts";

/** A form with a recording, and the recording in it. */
export type PreparedForm = PreparedBody & { readonly recording: Uint8Array };

/**
 * Puts the model's name at the upstream into a form; every other byte stays. Throws `invalid_request` with the field at
 * fault.
 */
export function prepareForm(model: Model, body: Uint8Array): PreparedForm {
  const { parts, boundary } = read(body);
  const names = parts.filter(({ name }) => name === "model");
  const files = parts.filter(({ name }) => name === "file");
  const [name] = names;
  const [file] = files;
  if (!name || names.length > 1) throw invalid("model must be given once.", "model");
  if (!file || files.length > 1) throw invalid("file must be one file.", "file");
  const recording = body.subarray(file.start, file.end);
  return {
    content: replacePart(body, name, new TextEncoder().encode(model.upstreamModel)),
    contentType: `multipart/form-data; boundary="${boundary}"`,
    streamed: false,
    ask: {
      ...{ route: model.route, bodyBytes: body.length, hasMedia: true, count: 1, maxTokens: 0 },
      inputUnits: longestAudioMs(recording),
    },
    recording,
  };
}

function read(body: Uint8Array) {
  try {
    return { parts: readMultipart(body), boundary: boundaryOf(body) };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AimoError("invalid_request", { message: cause.message, cause });
  }
}

const invalid = (message: string, param: string) => new AimoError("invalid_request", { message, param });
