import type { AimoError, ErrorCode } from "./errors.ts";

/** OpenAI's error class names, by status. */
function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 402) return "insufficient_quota";
  if (status === 403) return "permission_error";
  if (status === 404) return "not_found_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

export type ErrorBody = {
  readonly error: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly metadata: Readonly<Record<string, unknown>>;
  };
};

/** The body of an HTTP error: OpenAI's keys, with the hint and the numbers under `metadata`. Big integers as strings. */
export function errorBody(error: AimoError, requestId?: string): ErrorBody {
  const details = Object.fromEntries(
    Object.entries(error.details).map(([key, value]) => [
      key,
      typeof value === "bigint" ? value.toString() : value,
    ]),
  );
  const metadata = { ...details, hint: error.hint, ...(requestId ? { request_id: requestId } : {}) };
  return {
    error: {
      code: error.code,
      message: error.message,
      type: typeOf(error.status),
      param: error.param ?? null,
      metadata,
    },
  };
}
