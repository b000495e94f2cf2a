import { AimoError, type AimoErrorOptions, type ErrorCode, isAimoError } from "@aimo/protocol/errors";

/** An error between processes: its class would not survive the way. */
export type WireError = { readonly code: ErrorCode } & Omit<AimoErrorOptions, "cause">;

/** What nobody foresaw goes as `internal_error`; its text may hold anything, and stays where it happened. */
export function errorToWire(error: unknown): WireError {
  if (!isAimoError(error)) return { code: "internal_error" };
  const { code, message, hint, param, details, retryAfterSeconds } = error;
  return {
    ...{ code, message, hint, details },
    ...(param === undefined ? {} : { param }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}

export function errorOfWire({ code, ...about }: WireError): AimoError {
  return new AimoError(code, about);
}
