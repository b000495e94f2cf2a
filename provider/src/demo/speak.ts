/** The speech route: a text as a WAVE file of tones, or its bare samples. */
import { RequestError } from "./errors.ts";
import { type Fields, numberIn, oneOf, textIn } from "./fields.ts";
import { requireModel } from "./models.ts";
import { SAMPLE_RATE, SYMBOL_SAMPLES, toneOf } from "./tones.ts";

const MODEL = "demo-speech";
/** As OpenAI. */
const MAX_INPUT_LENGTH = 4_096;
const HEAD_BYTES = 44;
const PIECE_SYMBOLS = 16;

export type Speech = { readonly contentType: string; readonly pieces: Iterable<Uint8Array> };

/** Speech for a request, made piece by piece as it is read. */
export function openSpeech(body: Fields): Speech {
  requireModel(body, MODEL);
  const text = Buffer.from(textIn(body, "input", MAX_INPUT_LENGTH));
  const format = oneOf(body, "response_format", ["wav", "pcm"]);
  if (numberIn(body, "speed", { from: 0.25, to: 4 }, 1) !== 1)
    throw new RequestError("'speed' must be 1 for this model.", "speed");
  return {
    contentType: format === "wav" ? "audio/wav" : "audio/pcm",
    pieces: piecesOf(text, format === "wav"),
  };
}

function* piecesOf(text: Buffer, hasHead: boolean): Generator<Uint8Array> {
  if (hasHead) yield waveHead(text.length * SYMBOL_SAMPLES);
  for (let at = 0; at < text.length; at += PIECE_SYMBOLS)
    yield Buffer.concat([...text.subarray(at, at + PIECE_SYMBOLS)].map(toneOf));
}

/** RIFF head of 16-bit mono PCM. */
function waveHead(samples: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write("RIFF", 0);
  head.writeUInt32LE(HEAD_BYTES - 8 + 2 * samples, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(SAMPLE_RATE, 24);
  head.writeUInt32LE(2 * SAMPLE_RATE, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(2 * samples, 40);
  return head;
}
