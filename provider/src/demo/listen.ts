/** The transcription route: hears the tones of the demo speech model in a WAVE file, and silence in anything else. */
import { type Part, readMultipart, textOfPart } from "@aimo/protocol/multipart";
import { RequestError } from "./errors.ts";
import { oneOf } from "./fields.ts";
import { requireModel } from "./models.ts";
import { byteOf, SAMPLE_RATE, SYMBOL_SAMPLES } from "./tones.ts";

const MODEL = "demo-listen";
const TYPES = {
  text: "text/plain; charset=utf-8",
  srt: "text/plain; charset=utf-8",
  vtt: "text/vtt",
} as const;

/** `json` is the reply unless it is undefined; then `text` is. */
export type Transcription = { readonly text: string; readonly contentType: string; readonly json?: object };

export function replyTranscription(body: Uint8Array): Transcription {
  const parts = partsOf(body);
  const textIn = (name: string) => {
    const part = parts.find((one) => one.name === name);
    return part ? textOfPart(body, part) : undefined;
  };
  requireModel({ model: textIn("model") }, MODEL);
  const format = oneOf({ format: textIn("response_format") }, "format", [
    ...(["json", "text", "srt", "vtt", "verbose_json"] as const),
  ]);
  const file = parts.find(({ name }) => name === "file");
  if (!file) throw new RequestError("'file' must be a WAVE file.", "file");
  const samples = samplesOf(Buffer.from(body.subarray(file.start, file.end)));
  const text = hear(samples);
  const seconds = samples.length / SAMPLE_RATE;
  if (format === "json" || format === "verbose_json")
    return { text, contentType: "application/json", json: jsonOf(text, seconds, format) };
  return { text: layOut(text, seconds, format), contentType: TYPES[format] };
}

function partsOf(body: Uint8Array): readonly Part[] {
  try {
    return readMultipart(body);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : "The form cannot be read.";
    throw Object.assign(new RequestError(message), { cause });
  }
}

/** The samples of 16-bit mono PCM at 16 kHz. */
function samplesOf(file: Buffer): Int16Array {
  const isWave = file.length >= 44 && file.toString("latin1", 0, 4) === "RIFF";
  const isOurs =
    isWave &&
    file.readUInt16LE(20) === 1 &&
    file.readUInt16LE(22) === 1 &&
    file.readUInt32LE(24) === SAMPLE_RATE;
  const at = isOurs ? file.indexOf("data", 12, "latin1") : -1;
  if (at === -1)
    throw new RequestError(`'file' must be a WAVE file, 16-bit PCM, mono, ${SAMPLE_RATE} Hz.`, "file");
  const data = file.subarray(at + 8, at + 8 + file.readUInt32LE(at + 4));
  return Int16Array.from({ length: data.length >> 1 }, (_, index) => data.readInt16LE(2 * index));
}

function hear(samples: Int16Array): string {
  const bytes: number[] = [];
  for (let at = 0; at + SYMBOL_SAMPLES <= samples.length; at += SYMBOL_SAMPLES) {
    const byte = byteOf(samples.subarray(at, at + SYMBOL_SAMPLES));
    if (byte !== undefined) bytes.push(byte);
  }
  return Buffer.from(bytes).toString();
}

function jsonOf(text: string, seconds: number, format: "json" | "verbose_json"): object {
  const usage = { type: "duration", seconds };
  if (format === "json") return { text, usage };
  const segment = { id: 0, seek: 0, start: 0, end: seconds, text, tokens: [], temperature: 0 };
  const about = { task: "transcribe", language: "english", duration: seconds };
  const measures = { avg_logprob: 0, compression_ratio: 1, no_speech_prob: text === "" ? 1 : 0 };
  return { ...about, text, segments: text === "" ? [] : [{ ...segment, ...measures }], usage };
}

function layOut(text: string, seconds: number, format: "text" | "srt" | "vtt"): string {
  if (format === "text") return `${text}\n`;
  const at = (time: number, point: string) => {
    const [whole = "", rest = ""] = time.toFixed(3).split(".");
    const clock = [3600, 60, 1].map((unit, index) =>
      String(Math.floor(Number(whole) / unit) % (index === 0 ? 100 : 60)).padStart(2, "0"),
    );
    return `${clock.join(":")}${point}${rest}`;
  };
  if (format === "vtt") return `WEBVTT\n\n${at(0, ".")} --> ${at(seconds, ".")}\n${text}\n`;
  return `1\n${at(0, ",")} --> ${at(seconds, ",")}\n${text}\n`;
}
