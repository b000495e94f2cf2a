import { readFile } from "node:fs/promises";
import { slopePerMinute } from "../relay/statistics.ts";

/** The memory of a process over time, and whether it grows. */

export type Sample = { readonly ms: number; readonly rss: number; readonly anonymous: number };

/** Memory is judged after this part of the time: heaps grow until the first full collections. */
const WARM_UP = 0.33;
/** A shorter run says nothing of slopes: one collection more or less is tens of MiB. */
const JUDGED_MINUTES = 15;
/**
 * Of what is on no file, MiB a minute. The ten minutes that are judged see 10 MiB of growth in the noise of a heap that a
 * collection changes by as much; a relay that grows like this has 1.4 GiB more after a day, as others' leaks do.
 */
const SLOPE_LIMIT = 1;
const MIB = 1024 * 1024;

/** What Linux says of a process; NaN where it says nothing. */
export async function sampleOf(pid: number): Promise<Sample> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN) * 1024;
  return { ms: Date.now(), rss: bytes("VmRSS"), anonymous: bytes("RssAnon") };
}

export const mebibytesOf = (sample: Sample | undefined): number =>
  Math.round((sample?.rss ?? Number.NaN) / MIB);

/** The slopes after the warm-up, and whether they are flat enough; a short run's always are. */
export function judgeMemory(all: readonly Sample[], minutes: number) {
  const samples = all.slice(Math.floor(all.length * WARM_UP));
  const of = (field: "rss" | "anonymous") => slopePerMinute(samples.map((one) => [one.ms, one[field] / MIB]));
  const anonymous = of("anonymous");
  const isJudged = minutes >= JUDGED_MINUTES;
  return {
    isFlat: !isJudged || anonymous <= SLOPE_LIMIT,
    figures: {
      rssMiB: mebibytesOf(all.at(-1)),
      rssSlopeMiBPerMinute: of("rss"),
      /** What is on no file: the heap, buffers and stacks. */
      anonymousSlopeMiBPerMinute: anonymous,
      slopeLimitMiBPerMinute: isJudged ? SLOPE_LIMIT : "not judged in so short a run",
    },
  };
}
