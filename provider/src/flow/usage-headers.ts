import { SESSION_HEADERS, type UsageStatement } from "@aimo/protocol/session";
import type { Reply } from "./ports.ts";

/** What is stated of an answer that is no stream of events: in its headers, or behind it. */
export function usageHeaders(
  statement: UsageStatement,
  reply: Pick<Reply, "macOf">,
): Readonly<Record<string, string>> {
  const json = JSON.stringify(statement);
  return {
    [SESSION_HEADERS.usage]: Buffer.from(json).toString("base64url"),
    [SESSION_HEADERS.usageMac]: reply.macOf(json),
  };
}
