/**
 * Text as tones and back: each byte is 40 ms of two tones, one of 16 low ones for its high half and one of 16 high ones
 * for its low half. All tones have whole periods in 40 ms, so that they can be told apart exactly.
 */

export const SAMPLE_RATE = 16_000;
/** Samples of one byte. */
export const SYMBOL_SAMPLES = 640;
const LOW_HZ = 400;
const LOW_STEP_HZ = 50;
const HIGH_HZ = 1_500;
const HIGH_STEP_HZ = 100;
const AMPLITUDE = 12_000;
/** A tone is heard when it holds this part of a symbol's energy; each of the two holds half. */
const LEAST_SHARE = 0.2;

/** Signed 16-bit samples of one byte, little-endian. */
export function toneOf(byte: number): Buffer {
  const low = (2 * Math.PI * (LOW_HZ + LOW_STEP_HZ * (byte >> 4))) / SAMPLE_RATE;
  const high = (2 * Math.PI * (HIGH_HZ + HIGH_STEP_HZ * (byte & 15))) / SAMPLE_RATE;
  const samples = Buffer.alloc(2 * SYMBOL_SAMPLES);
  for (let i = 0; i < SYMBOL_SAMPLES; i++)
    samples.writeInt16LE(Math.round(AMPLITUDE * (Math.sin(low * i) + Math.sin(high * i))), 2 * i);
  return samples;
}

/** The byte that a symbol's samples say, or undefined when they say none. */
export function byteOf(samples: Int16Array): number | undefined {
  const energy = samples.reduce((sum, sample) => sum + sample * sample, 0);
  const low = loudest(samples, LOW_HZ, LOW_STEP_HZ);
  const high = loudest(samples, HIGH_HZ, HIGH_STEP_HZ);
  // A tone alone has half of samples x energy as its power.
  const share = (power: number) => (2 * power) / (samples.length * energy);
  if (energy === 0 || share(low.power) < LEAST_SHARE || share(high.power) < LEAST_SHARE) return undefined;
  return low.index * 16 + high.index;
}

function loudest(samples: Int16Array, from: number, step: number): { index: number; power: number } {
  let best = { index: 0, power: 0 };
  for (let index = 0; index < 16; index++) {
    const power = powerAt(samples, from + step * index);
    if (power > best.power) best = { index, power };
  }
  return best;
}

/** Goertzel's filter: how much of one frequency is in the samples. */
function powerAt(samples: Int16Array, hz: number): number {
  const factor = 2 * Math.cos((2 * Math.PI * hz) / SAMPLE_RATE);
  let [before, last] = [0, 0];
  for (const sample of samples) [before, last] = [last, sample + factor * last - before];
  return last * last + before * before - factor * last * before;
}
