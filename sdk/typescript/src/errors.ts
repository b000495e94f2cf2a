import type { ErrorBody } from "@aimo/protocol/error-body";
import { ERRORS, type ErrorCode } from "@aimo/protocol/errors";

export type AimoErrorParameters = ErrorOptions & {
  readonly message?: string;
  /** HTTP status; 0 when no response came. Default: the table's status of the code. */
  readonly status?: number;
  readonly requestId?: string | undefined;
  readonly param?: string | undefined;
  readonly hint?: string | undefined;
  readonly metadata?: Readonly<Record<string, unknown>>;
};

/**
 * What every failure of this package is. `code` is stable and documented; `status` is the HTTP status, or 0 when no
 * response came; `requestId` names the request to the relay's operator.
 */
export class AimoError extends Error {
  override readonly name = "AimoError";
  readonly status: number;
  /** A code of the error table, or a code of a newer relay. */
  readonly code: ErrorCode | (string & {});
  readonly requestId: string | undefined;
  /** The request's field at fault. */
  readonly param: string | undefined;
  /** What to do about it. */
  readonly hint: string | undefined;
  /** Numbers and names that belong to the error, as the relay sent them. */
  readonly metadata: Readonly<Record<string, unknown>>;

  constructor(code: string, parameters: AimoErrorParameters = {}) {
    const row = rowOf(code);
    super(
      parameters.message ?? row?.message ?? code,
      parameters.cause === undefined ? {} : { cause: parameters.cause },
    );
    this.code = code;
    this.status = parameters.status ?? row?.status ?? 0;
    this.requestId = parameters.requestId;
    this.param = parameters.param;
    this.hint = parameters.hint ?? row?.hint;
    this.metadata = parameters.metadata ?? {};
  }
}

function rowOf(
  code: string,
): { readonly status: number; readonly message: string; readonly hint: string } | undefined {
  return Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : undefined;
}

/** Codes for answers that carry none, as a proxy in front of a relay may give them. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: "invalid_request",
  401: "authentication_failed",
  402: "insufficient_credits",
  403: "permission_denied",
  404: "not_found",
  405: "method_not_allowed",
  409: "idempotency_conflict",
  413: "payload_too_large",
  415: "unsupported_media_type",
  429: "rate_limit_exceeded",
  502: "provider_unavailable",
  503: "overloaded",
  504: "timeout",
};

/** An error from what a relay answered: any JSON or text. `status` undefined: from a stream, where the code decides. */
export function errorFromAnswer(
  answer: unknown,
  { status, requestId }: { readonly status?: number; readonly requestId?: string | undefined },
): AimoError {
  const error = fieldsOf((answer as { error?: unknown } | null)?.error);
  const metadata = fieldsOf(error["metadata"]);
  const code = textOf(error["code"]) ?? CODE_OF_STATUS[status ?? 500] ?? "internal_error";
  const message =
    textOf(error["message"]) ?? (typeof answer === "string" && answer !== "" ? excerpt(answer) : undefined);
  return new AimoError(code, {
    ...(status === undefined ? {} : { status }),
    ...(message === undefined ? {} : { message }),
    requestId: textOf(metadata["request_id"]) ?? requestId,
    param: textOf(error["param"]),
    hint: textOf(metadata["hint"]),
    metadata,
  });
}

const fieldsOf = (value: unknown): Readonly<Partial<Record<keyof ErrorBody["error"] | string, unknown>>> =>
  typeof value === "object" && value !== null ? { ...value } : {};

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/** Pages of proxies are long; a message is a sentence. */
const MAX_MESSAGE_CHARACTERS = 300;

const excerpt = (text: string): string =>
  text.length > MAX_MESSAGE_CHARACTERS ? `${text.slice(0, MAX_MESSAGE_CHARACTERS)}…` : text;
