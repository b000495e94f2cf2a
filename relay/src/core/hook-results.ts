import { utf8Length } from "@aimo/protocol/bytes";
import { AimoError } from "@aimo/protocol/errors";
import { HOOK_HEADERS } from "@aimo/protocol/relay-hooks";
import { isObject, type Json } from "./dialects/dialect.ts";

/** What an operator's hooks are given, and what they gave back, judged. */

const MAX_MESSAGE_LENGTH = 500;

/** The refusal that a hook threw; undefined for any other error. */
export function refusalOf(thrown: unknown): AimoError | undefined {
  if (typeof thrown !== "object" || thrown === null) return undefined;
  const { status, message } = thrown as { status?: unknown; message?: unknown };
  if (typeof status !== "number" || status < 400 || status > 499 || typeof message !== "string")
    return undefined;
  const text = message.slice(0, MAX_MESSAGE_LENGTH);
  const code = status === 401 || status === 403 ? "permission_denied" : "invalid_request";
  return new AimoError(code, text === "" ? {} : { message: text });
}

/** What to log of a fault: where it happened, never its message, which may quote a prompt. */
export function faultOf(thrown: unknown): { readonly reason: string; readonly at?: string } {
  if (thrown instanceof HookFault) return { reason: thrown.message };
  if (!(thrown instanceof Error)) return { reason: "It threw something that is no error." };
  const at = thrown.stack?.split("\n").find((line) => /^\s+at /.test(line));
  return { reason: `It threw ${thrown.constructor.name}.`, ...(at === undefined ? {} : { at: at.trim() }) };
}

/** A hook broke its contract. The message is the relay's own, and quotes nobody. */
export class HookFault extends RangeError {}

/** The text of what a hook gave back. Throws a HookFault. */
export function jsonOfResult(result: unknown, maxBytes: number): string {
  if (!isObject(result)) throw new HookFault("It gave back no JSON object.");
  let text: string | undefined;
  try {
    text = JSON.stringify(result);
  } catch {
    throw new HookFault("What it gave back cannot be written as JSON.");
  }
  if (text === undefined || !text.startsWith("{")) throw new HookFault("It gave back no JSON object.");
  // No character has less than a byte, so most need no second look.
  if (text.length > maxBytes || (3 * text.length > maxBytes && utf8Length(text) > maxBytes))
    throw new HookFault(`It gave back more than ${maxBytes} bytes.`);
  return text;
}

/** A reply as a hook sees it, and what of it is the relay's own word. */
export function splitReply(body: string): { readonly content: Json; readonly bill: Json } {
  const { usage, aimo, ...content } = JSON.parse(body) as Record<string, unknown>;
  return { content, bill: { usage, aimo } };
}

/** A changed reply with the bill of the one that was delivered. */
export function joinReply(text: string, { usage, aimo }: Json): string {
  const changed = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify({ ...changed, usage, aimo });
}

/** True for a chunk with something of the answer in it: the bill, errors and comments are the relay's own. */
export function isContentChunk(chunk: unknown): chunk is Record<string, unknown> {
  if (!isObject(chunk) || chunk["error"]) return false;
  return Array.isArray(chunk["choices"]) && chunk["choices"].length > 0;
}

export function headersForHooks(headers: Json): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const name of HOOK_HEADERS) {
    const value = headers[name];
    if (typeof value === "string") shown[name] = value;
  }
  return shown;
}
