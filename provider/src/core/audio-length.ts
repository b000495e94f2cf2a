import { longestAudioMs, waveBytesPerSecond } from "@aimo/protocol/audio";

/** How long a recording is, for upstreams that do not say: read from the frames of the common formats. */

/** kbit/s of MPEG layer 3, by version (1; 2 and 2.5) and index. */
const MP3_RATES = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
] as const;
const MP3_SAMPLE_RATES = [44_100, 48_000, 32_000] as const;

/** Milliseconds, rounded up and never above what may be billed; undefined when the format is none that it reads. */
export function audioMs(file: Uint8Array): number | undefined {
  const seconds = waveSeconds(file) ?? flacSeconds(file) ?? oggSeconds(file) ?? mp3Seconds(file);
  if (seconds === undefined || !Number.isFinite(seconds) || seconds < 0) return undefined;
  return Math.min(Math.ceil(seconds * 1000), longestAudioMs(file));
}

const ascii = (file: Uint8Array, at: number, length: number) =>
  String.fromCharCode(...file.subarray(at, at + length));
const viewOf = (file: Uint8Array) => new DataView(file.buffer, file.byteOffset, file.byteLength);

function waveSeconds(file: Uint8Array): number | undefined {
  const rate = waveBytesPerSecond(file);
  if (rate === undefined) return undefined;
  const view = viewOf(file);
  let at = 12;
  while (at + 8 <= file.length && ascii(file, at, 4) !== "data") {
    const size = view.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
  return at + 8 <= file.length ? Math.min(view.getUint32(at + 4, true), file.length - at - 8) / rate : 0;
}

/** Samples and rate stand in the first block. */
function flacSeconds(file: Uint8Array): number | undefined {
  if (ascii(file, 0, 4) !== "fLaC" || file.length < 42) return undefined;
  const view = viewOf(file);
  const rate = view.getUint32(18) >>> 12;
  const samples = (view.getUint8(21) & 15) * 2 ** 32 + view.getUint32(22);
  return rate > 0 && samples > 0 ? samples / rate : undefined;
}

/** The position of the last page, at 48 kHz for Opus and at its own rate for Vorbis. */
function oggSeconds(file: Uint8Array): number | undefined {
  if (ascii(file, 0, 4) !== "OggS" || file.length < 58) return undefined;
  const view = viewOf(file);
  const head = ascii(file, 28, 8);
  const rate = head === "OpusHead" ? 48_000 : head.startsWith("\u0001vorbis") ? view.getUint32(40, true) : 0;
  if (rate === 0) return undefined;
  for (let at = file.length - 27; at >= 0; at--)
    if (file[at] === 0x4f && ascii(file, at, 4) === "OggS")
      return (view.getUint32(at + 6, true) + view.getUint32(at + 10, true) * 2 ** 32) / rate;
  return undefined;
}

/** The sum of its frames, after an ID3 tag. */
function mp3Seconds(file: Uint8Array): number | undefined {
  let at = 0;
  if (ascii(file, 0, 3) === "ID3" && file.length > 10) {
    const size = [6, 7, 8, 9].reduce((sum, index) => sum * 128 + ((file[index] ?? 0) & 127), 0);
    at = 10 + size;
  }
  let seconds = 0;
  let frames = 0;
  while (at + 4 <= file.length) {
    const frame = mp3Frame(file, at);
    if (!frame) break;
    seconds += frame.seconds;
    frames++;
    at += frame.bytes;
  }
  return frames > 1 ? seconds : undefined;
}

function mp3Frame(
  file: Uint8Array,
  at: number,
): { readonly bytes: number; readonly seconds: number } | undefined {
  const [sync = 0, kind = 0, rates = 0] = file.subarray(at, at + 3);
  // Layer 3 only; version bits 01 are reserved.
  if (sync !== 0xff || (kind & 0xe6) !== 0xe2 || (kind & 0x18) === 0x08) return undefined;
  const version = (kind >> 3) & 3;
  const isFirst = version === 3;
  const bitRate = (MP3_RATES[isFirst ? 0 : 1][rates >> 4] ?? 0) * 1000;
  const sampleRate = (MP3_SAMPLE_RATES[(rates >> 2) & 3] ?? 0) / (isFirst ? 1 : version === 2 ? 2 : 4);
  if (bitRate === 0 || sampleRate === 0) return undefined;
  const samples = isFirst ? 1_152 : 576;
  const bytes = Math.floor((samples / 8) * (bitRate / sampleRate)) + ((rates >> 1) & 1);
  return { bytes, seconds: samples / sampleRate };
}
