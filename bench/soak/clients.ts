import { setTimeout as wait } from "node:timers/promises";
import type { Ack } from "../crash/audit.ts";
import { MODEL } from "../relay/mock.ts";
import { EMBED_MODEL } from "./network.ts";
import { type Wish, wishText } from "./upstream.ts";

/** What a client knows of a stream that it read. */
type StreamSeen = {
  readonly no: number;
  readonly id: string;
  /** Frames with content that it has whole. */
  readonly frames: number;
  readonly isWhole: boolean;
};

export type Seen = {
  readonly acks: Ack[];
  readonly streams: StreamSeen[];
  readonly kinds: Record<string, number>;
  /** Statuses of answers other than 200. */
  readonly refusals: Record<string, number>;
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
export async function soak(target: Target, seen: Seen, signal: AbortSignal): Promise<void> {
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

async function ask(target: Target, kind: (typeof KINDS)[number], seen: Seen): Promise<void> {
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

async function askWhole(target: Target, kind: "json" | "embeddings", seen: Seen): Promise<void> {
  const response =
    kind === "json"
      ? await post(target, "/v1/chat/completions", { model: MODEL, messages: MESSAGES, max_tokens: 64 })
      : await post(target, "/v1/embeddings", { model: EMBED_MODEL, input: "a ledger" });
  const body = (await response.json()) as { aimo?: { generation_id: string; cost_pusd: string } };
  if (response.status !== 200 || !body.aimo) return count(seen.refusals, `${response.status}`);
  seen.acks.push({ id: body.aimo.generation_id, charge: body.aimo.cost_pusd, at: Date.now() });
}

type Reading = { readonly signal: AbortSignal; readonly isSlow: boolean };

async function readStream(target: Target, wish: Wish, seen: Seen, how: Reading): Promise<void> {
  const body = { model: MODEL, messages: MESSAGES, max_tokens: 64, stream: true, user: wishText(wish) };
  const response = await post(target, "/v1/chat/completions", body, how.signal);
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
    const isWhole = aimo !== undefined && error === undefined;
    seen.streams.push({ no: wish.no, id, frames, isWhole });
    if (isWhole) seen.acks.push({ id, charge: aimo.cost_pusd, at: Date.now() });
    else if (!how.signal.aborted) count(seen.refusals, `stream: ${error?.code ?? "cut"}`);
  }
}
type Last = { readonly aimo?: { readonly cost_pusd: string }; readonly error?: { readonly code: string } };

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
