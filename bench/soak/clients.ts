import { setTimeout as wait } from "node:timers/promises";
import { ANSWER, ANSWER_TOKENS, MODEL, PROMPT_TOKENS } from "../relay/mock.ts";
import type { Seen } from "./deliveries.ts";
import { EMBED_MODEL } from "./network.ts";
import { type Wish, wishText } from "./upstream.ts";

/** What the clients of a soak ask for, and what they note of it. */

export type Notes = Seen & {
  readonly kinds: Record<string, number>;
  /** Statuses of answers other than 200, and ends of streams that were none of the clients'. */
  readonly refusals: Record<string, number>;
  /** Answers that say they are whole and are not. */
  readonly wrong: string[];
};

type Target = { readonly url: string; readonly key: string };

const KINDS = ["json", "embeddings", "stream", "stream", "cancelled", "slow"] as const;
const FRAMES = 30;
const EVERY_MS = 5;
/** A slow reader's stream: more than all buffers on the way hold. */
const SLOW = { frames: 40, everyMs: 2, padding: 100_000 };
const SLOW_READ_MS = 10;

let counter = 0;

/** Asks for one thing after another until it is told to stop. */
export async function soak(target: Target, seen: Notes, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const kind = KINDS[Math.floor(Math.random() * KINDS.length)] ?? "json";
    count(seen.kinds, kind);
    try {
      await ask(target, kind, seen);
    } catch (error) {
      // A cancelled request ends so; a relay that breaks the connection must not.
      if (kind !== "cancelled") count(seen.refusals, String(error));
    }
  }
}

async function ask(target: Target, kind: (typeof KINDS)[number], seen: Notes): Promise<void> {
  const no = ++counter;
  if (kind === "json" || kind === "embeddings") return askWhole(target, kind, seen);
  const pace = kind === "slow" ? SLOW : { frames: FRAMES, everyMs: EVERY_MS, padding: 0 };
  const wish: Wish = { no, ...pace };
  const cancel = new AbortController();
  const most = 1.5 * FRAMES * EVERY_MS;
  const timer = kind === "cancelled" ? setTimeout(() => cancel.abort(), Math.random() * most) : undefined;
  try {
    await readStream(target, wish, seen, { signal: cancel.signal, isSlow: kind === "slow" });
  } finally {
    clearTimeout(timer);
  }
}

async function post(
  { url, key }: Target,
  path: string,
  body: object,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

const MESSAGES = [{ role: "user", content: "What is a ledger? Answer for somebody who has never kept one." }];

async function askWhole(target: Target, kind: "json" | "embeddings", seen: Notes): Promise<void> {
  const response =
    kind === "json"
      ? await post(target, "/v1/chat/completions", { model: MODEL, messages: MESSAGES, max_tokens: 64 })
      : await post(target, "/v1/embeddings", { model: EMBED_MODEL, input: "a ledger" });
  const body = (await response.json()) as Whole;
  if (response.status !== 200 || !body.aimo) return count(seen.refusals, `${response.status}`);
  const { generation_id: id, cost_pusd: charge } = body.aimo;
  const isWhole =
    kind === "json" ? body.choices?.[0]?.message.content === ANSWER : body.data?.[0]?.embedding.length === 16;
  if (!isWhole) seen.wrong.push(id);
  seen.whole.push({
    id,
    charge,
    at: Date.now(),
    units: [PROMPT_TOKENS, 0, kind === "json" ? ANSWER_TOKENS : 0],
  });
}
type Whole = {
  readonly choices?: readonly { readonly message: { readonly content: string } }[];
  readonly data?: readonly { readonly embedding: readonly number[] }[];
  readonly aimo?: { readonly generation_id: string; readonly cost_pusd: string };
};

type Reading = { readonly signal: AbortSignal; readonly isSlow: boolean };

async function readStream(target: Target, wish: Wish, seen: Notes, how: Reading): Promise<void> {
  const body = { model: MODEL, messages: MESSAGES, max_tokens: 64, stream: true, user: wishText(wish) };
  const response = await post(target, "/v1/chat/completions", body, how.signal).catch((error: unknown) => {
    seen.unnamed.push(wish.no);
    throw error;
  });
  if (response.status !== 200 || !response.body) {
    await response.body?.cancel();
    return count(seen.refusals, `${response.status}`);
  }
  const id = response.headers.get("x-generation-id") ?? "";
  let rest = "";
  let frames = 0;
  let last = "";
  try {
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + piece).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        if (part.includes('"delta":{"content":" word')) frames++;
        if (part.includes('"aimo":')) last = part;
      }
      if (how.isSlow) await wait(SLOW_READ_MS);
    }
  } finally {
    const { aimo, error } = last === "" ? {} : (JSON.parse(last.slice("data: ".length)) as Last);
    if (aimo !== undefined && error === undefined) {
      const units = [PROMPT_TOKENS, 0, wish.frames] as const;
      if (frames !== wish.frames) seen.wrong.push(id);
      seen.whole.push({ id, charge: aimo.cost_pusd, at: Date.now(), units });
    } else {
      const code = how.signal.aborted ? undefined : (error?.code ?? "cut");
      seen.cut.push({ no: wish.no, id, frames, error: code });
      if (code !== undefined) count(seen.refusals, `stream: ${code}`);
    }
  }
}
type Last = { readonly aimo?: { readonly cost_pusd: string }; readonly error?: { readonly code: string } };

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
