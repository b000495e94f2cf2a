/** The text of every answer of the mock, and the frames of every stream: what a small model might say. */

export const MODEL = "bench-text";
const WORDS = "a ledger is a list of entries that nobody rewrites and everyone can add up again".split(" ");
export const ANSWER = WORDS.join(" ");
export const PROMPT_TOKENS = 20;
export const ANSWER_TOKENS = WORDS.length;

/** How many frames a stream has, and how far apart they are, ms; 0: as fast as the reader takes them. */
export type Pace = { readonly frames: number; readonly everyMs: number };

/** What every client of the bench sends. A stream's pace travels in `user`, which every gateway passes on. */
export const requestBody = (pace?: Pace): string =>
  JSON.stringify({
    model: MODEL,
    messages: [
      { role: "system", content: "You answer in one sentence." },
      { role: "user", content: "What is a ledger? Answer for somebody who has never kept one." },
    ],
    max_tokens: 256,
    ...(pace ? { stream: true, user: `pace-${pace.frames}-${pace.everyMs}` } : {}),
  });

export const completion = (id: string) => ({
  id,
  object: "chat.completion",
  created: 1_750_000_000,
  model: MODEL,
  choices: [{ index: 0, message: { role: "assistant", content: ANSWER }, finish_reason: "stop" }],
  usage: {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: ANSWER_TOKENS,
    total_tokens: PROMPT_TOKENS + ANSWER_TOKENS,
  },
});

/** What a frame says: its place, and when it was written, so that a client can say how long it was on its way. */
const frameText = (index: number): string => `${WORDS[index % WORDS.length]} @${process.hrtime.bigint()}@ `;

export function frame(id: string, content: string): string {
  const choices = `[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":null}]`;
  return `data: {"id":"${id}","object":"chat.completion.chunk","created":1750000000,"model":"${MODEL}","choices":${choices}}\n\n`;
}

/** The pace that a request asks for; undefined when it wants no stream. */
export function paceOf(body: Buffer): Pace | undefined {
  const found = /"pace-(\d+)-(\d+)"/.exec(body.toString("latin1"));
  return found ? { frames: Number(found[1]), everyMs: Number(found[2]) } : undefined;
}

/** Writes frames at a pace; the result stops it. */
export function writeAtPace(
  { frames, everyMs }: Pace,
  write: (content: string) => boolean,
  events: { onDrain(resume: () => void): void; onEnd(): void },
): () => void {
  let index = 0;
  let timer: NodeJS.Timeout | undefined;
  const step = (): void => {
    while (index < frames) {
      const took = write(frameText(index++));
      if (everyMs > 0) return;
      if (!took) {
        events.onDrain(step);
        return;
      }
    }
    clearInterval(timer);
    events.onEnd();
  };
  if (everyMs > 0) timer = setInterval(step, everyMs);
  step();
  return () => clearInterval(timer);
}
