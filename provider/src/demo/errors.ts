/** What the demo server refuses, in OpenAI's error shape. */

const KINDS = {
  invalid_value: 400,
  context_length_exceeded: 400,
  model_not_found: 404,
  unknown_url: 404,
  body_too_large: 413,
} as const satisfies Record<string, number>;

/** A refusal with the field it is about. The message names the field and its limit. */
export class RequestError extends Error {
  readonly code: keyof typeof KINDS;
  readonly status: number;
  readonly param: string | null;
  constructor(message: string, param: string | null = null, code: keyof typeof KINDS = "invalid_value") {
    super(message);
    this.code = code;
    this.status = KINDS[code];
    this.param = param;
  }
}

/** The HTTP status and body for a failure. What was not foreseen keeps its message to itself. */
export function errorReply(error: unknown): { status: number; body: object } {
  if (error instanceof RequestError) {
    const { status, message, param, code } = error;
    return { status, body: { error: { message, type: "invalid_request_error", param, code } } };
  }
  const message = "The demo server failed on this request.";
  return {
    status: 500,
    body: { error: { message, type: "server_error", param: null, code: "internal_error" } },
  };
}
