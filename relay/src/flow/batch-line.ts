import { errorBody } from "@aimo/protocol/error-body";
import { AimoError, type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import { readAsk } from "../core/ask.ts";
import {
  BATCH_ENDPOINTS,
  type BatchLine,
  type JobRecord,
  outputLine,
  readLine,
  unsentLine,
} from "../core/batch-job.ts";
import { readLabels } from "../core/labels.ts";
import { hashBody } from "../core/meter.ts";
import { presetNamed } from "../core/preset.ts";
import type { JobLine } from "./batch-ports.ts";
import type { Keys } from "./ports.ts";
import type { Serving } from "./serve.ts";
import type { ReplySink } from "./serve-ports.ts";

/** Failures that time may mend, without limit: nobody was asked yet, or all were busy. */
const BUSY: ReadonlySet<ErrorCode> = new Set([
  ...(["overloaded", "rate_limit_exceeded", "request_in_progress", "shutting_down"] as const),
]);
/** Failures of providers: tried again this often, at once. */
const PASSING: ReadonlySet<ErrorCode> = new Set(["provider_unavailable", "model_unavailable", "timeout"]);
const MAX_TRIES = 3;

export type LineModules = {
  readonly serving: Pick<Serving, "serve">;
  readonly keys: Pick<Keys, "byHash">;
  /** Keeps a line that has ended; called in the same turn in which its request was charged. */
  readonly save: (line: JobLine) => void;
  /** Keeps what stands for a line that is billed while its reply is not there yet: after a crash it is not sent again. */
  readonly note: (line: JobLine) => void;
  /** The account has stored what it may: the line is not sent. */
  readonly isFull: boolean;
  /** A model that nobody offers may be offered soon: the relay has only just begun to listen. */
  readonly isYoung: () => boolean;
  /** Waits before another try. `left`: the line is for another time. `over`: there is no time for another. */
  readonly waitBefore: (tries: number) => Promise<"again" | "left" | "over">;
  readonly randomHex: (bytes: number) => string;
};

/**
 * Sends one request of a batch and keeps its reply; gives why it is to be sent again later, when nothing stands against
 * it but the time. Never throws; a line that was not kept has not ended.
 */
export async function runLine(
  modules: LineModules,
  { endpoint, keyHash }: Pick<JobRecord, "endpoint" | "keyHash">,
  text: string,
): Promise<AimoError | undefined> {
  const lineId = `batch_req_${modules.randomHex(12).slice(2)}`;
  let customId = "";
  for (let tries = 1; ; tries++) {
    try {
      const line = readLine(text, endpoint);
      customId = line.customId;
      await send(modules, { lineId, endpoint, keyHash, ...line });
      return undefined;
    } catch (cause) {
      const error = isAimoError(cause) ? cause : new AimoError("internal_error", { cause });
      if (BUSY.has(error.code) || (error.code === "model_not_found" && modules.isYoung())) return error;
      const mayPass = PASSING.has(error.code) && tries < MAX_TRIES;
      const then = mayPass ? await modules.waitBefore(tries) : "over";
      if (then === "again") continue;
      if (then === "left") return undefined;
      const body = JSON.stringify(errorBody(error, lineId));
      modules.save({
        isError: true,
        text: outputLine(lineId, customId, { status: error.status, id: lineId, body }),
      });
      return undefined;
    }
  }
}

type Sent = {
  readonly lineId: string;
  readonly endpoint: string;
  readonly keyHash: string;
  readonly customId: string;
  readonly body: BatchLine["body"];
};

async function send({ serving, keys, save, note, isFull }: LineModules, line: Sent): Promise<void> {
  const { lineId, endpoint, keyHash, customId, body } = line;
  if (isFull)
    throw new AimoError("payload_too_large", {
      message: "There is no room for the reply: the account's files are at their limit. Delete some.",
    });
  const { route, dialect } = BATCH_ENDPOINTS[endpoint] ?? {};
  if (!route) throw new AimoError("invalid_request", { message: `A batch does not serve ${endpoint}.` });
  if (presetNamed(body) !== undefined)
    throw new AimoError("invalid_request", {
      message: "Lines of batches do not know presets: write out what it says.",
      param: "preset",
    });
  const { caller } = keys.byHash(keyHash);
  const asked = Buffer.from(JSON.stringify(body));
  const chat = dialect?.toChat(body);
  const sent = chat ? Buffer.from(JSON.stringify(chat)) : asked;
  const ask = readAsk(route, chat ?? body, sent.length);
  const about = { route, ask, body: sent, bodyHash: hashBody(asked), caller };
  const labels = readLabels(body, {}, chat);
  const request = { requestId: lineId, isBackground: true, labels, ...about };
  const onReply = (id: string, chatReply: string) => {
    const reply = dialect ? JSON.stringify(dialect.reply(JSON.parse(chatReply), body)) : chatReply;
    save({ isError: false, text: outputLine(lineId, customId, { status: 200, id, body: reply }) });
  };
  const { generationId, rest } = await serving.serve(request, new LineSink(onReply));
  if (!rest) return;
  const lost = new AimoError("internal_error", {
    message: "The relay stopped before a hook gave the reply back: it is billed and was not kept.",
    details: { generation_id: generationId },
  });
  const reply = { status: lost.status, id: lineId, body: JSON.stringify(errorBody(lost, lineId)) };
  note({ isError: true, text: outputLine(lineId, customId, reply) });
  await rest;
}

/** A line whose time was over before it began. */
export function expiredLine(randomHex: (bytes: number) => string, job: JobRecord, text: string): JobLine {
  const lineId = `batch_req_${randomHex(12).slice(2)}`;
  const error = { code: "batch_expired", message: "The batch's time was over before this request began." };
  return { isError: true, text: unsentLine(lineId, readLine(text, job.endpoint).customId, error) };
}

/** Takes a whole reply. Nobody ever leaves. */
class LineSink implements ReplySink {
  readonly closed = false;
  onClose: (() => void) | undefined;
  onDrain: (() => void) | undefined;
  readonly #onReply: (generationId: string, body: string) => void;

  constructor(onReply: (generationId: string, body: string) => void) {
    this.#onReply = onReply;
  }

  sendJson(generationId: string, body: string): void {
    this.#onReply(generationId, body);
  }

  startStream(): void {
    throw new RangeError("A batch does not stream.");
  }

  write(): boolean {
    return true;
  }

  end(): void {}

  cut(): void {}
}
