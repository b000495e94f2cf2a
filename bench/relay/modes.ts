import type { Child } from "./child.ts";
import { type Load, type LoadParameters, runLoad } from "./load.ts";
import { requestBody } from "./mock.ts";
import { quantileOf } from "./statistics.ts";

/** What is asked of every target, and which figures come of it. */

/** Something that answers chat completions: the mock itself, or what stands in front of it. */
export type Target = {
  readonly name: string;
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  /** One more header line of each request. */
  readonly line?: () => string;
  readonly process: Child;
  /** The mock behind it. */
  readonly mock: Child;
};

export type Figures = Readonly<Record<string, number>>;
type Mode = (target: Target, seconds: number) => Promise<Figures>;

const PATH = "/v1/chat/completions";
/** 50 tokens a second: as fast as models usually write. */
const FRAME_MS = 20;
/** Streams whose frames are timed: few, so that the proxy is far from its limits. */
const TIMED_STREAMS = 32;
/**
 * They are timed for as many times the length of a measurement: some 1,400 first tokens in 9 s, and ten times as many frames.
 * Of the 240 that are had of half as many streams in 3 s, the p99 is the third from the end: chance, wider than the aim.
 */
const TIMED_LONGER = 3;

export const MODES: Readonly<Record<string, Mode>> = {
  jsonOne: (target, seconds) => json(target, 1, seconds),
  json32: (target, seconds) => json(target, 32, seconds),
  streamTimed: timed,
  streams64: (target, seconds) => held(target, 64, seconds),
  streams256: (target, seconds) => held(target, 256, seconds),
  streams500: (target, seconds) => held(target, 500, seconds),
};

/** Whole answers, one after the other on each connection. */
async function json(target: Target, concurrency: number, seconds: number): Promise<Figures> {
  const parameters = { body: requestBody(), concurrency, durationMs: seconds * 1_000 };
  const { load, cpu } = await measure(target, parameters);
  return {
    requestsPerSecond: load.requests / load.seconds,
    p50Ms: quantileOf(load.latenciesMs, 0.5),
    p99Ms: quantileOf(load.latenciesMs, 0.99),
    cpuMicrosPerRequest: (cpu.process * 1e6) / load.requests,
    mockCpuMicrosPerRequest: (cpu.mock * 1e6) / load.requests,
  };
}

/** A few streams at the pace of a model, one after the other: what is added to the first token, and to each. */
async function timed(target: Target, seconds: number): Promise<Figures> {
  const delays: number[] = [];
  const pace = { frames: 10, everyMs: FRAME_MS };
  const parameters = {
    body: requestBody(pace),
    concurrency: TIMED_STREAMS,
    durationMs: seconds * 1_000,
    spreadMs: pace.frames * pace.everyMs,
  };
  // The same before: what a heavier load has left, a large batch to post, is none of this one's.
  await measure(target, { ...parameters, onFrames: () => {} });
  const { load } = await measure(target, {
    ...parameters,
    durationMs: TIMED_LONGER * parameters.durationMs,
    onFrames: (more) => delays.push(...more),
  });
  return {
    firstTokenP50Ms: quantileOf(load.firstByteMs, 0.5),
    firstTokenP99Ms: quantileOf(load.firstByteMs, 0.99),
    chunkP50Ms: quantileOf(delays, 0.5),
    chunkP99Ms: quantileOf(delays, 0.99),
  };
}

/** Streams held open together for the whole time. */
async function held(target: Target, count: number, seconds: number): Promise<Figures> {
  const frames = Math.ceil((seconds * 1_000) / FRAME_MS);
  const delays: number[] = [];
  const { load, cpu } = await measure(target, {
    body: requestBody({ frames, everyMs: FRAME_MS }),
    concurrency: count,
    requestsEach: 1,
    spreadMs: FRAME_MS,
    onFrames: (more) => delays.push(...more),
  });
  return {
    framesPerSecond: delays.length / load.seconds,
    framesLost: count * frames - delays.length,
    cpuShare: cpu.process / load.seconds,
    mockCpuShare: cpu.mock / load.seconds,
    chunkP99Ms: quantileOf(delays, 0.99),
  };
}

type Measured = { readonly load: Load; readonly cpu: { readonly process: number; readonly mock: number } };

/** Throws when any answer was no success: figures of refusals mean nothing. */
async function measure(
  { port, headers, line, process, mock }: Target,
  parameters: Omit<LoadParameters, "port" | "path" | "headers" | "line">,
): Promise<Measured> {
  const before = [await process.cpuSeconds(), await mock.cpuSeconds()] as const;
  const load = await runLoad({ port, path: PATH, headers, line, ...parameters });
  if (load.errors > 0) throw new Error(`${load.errors} of ${load.requests} failed: ${load.firstError}`);
  const after = [await process.cpuSeconds(), await mock.cpuSeconds()] as const;
  const spent = (index: 0 | 1) => (after[index] ?? Number.NaN) - (before[index] ?? Number.NaN);
  return { load, cpu: { process: spent(0), mock: spent(1) } };
}
