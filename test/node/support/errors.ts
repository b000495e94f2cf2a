import { type AimoError, type ErrorCode, isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";

/** The AimoError that a promise rejects with; fails when it resolves, or rejects with anything else. */
export async function errorOf(code: ErrorCode, promise: Promise<unknown>): Promise<AimoError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isAimoError(error)) throw new Error(`Expected ${code}, have ${String(error)}.`, { cause: error });
  expect(error.code, error.message).to.equal(code);
  return error;
}
