/** `@aimo/sdk`: an OpenAI-compatible client, and bills that you can check against the chain. */

export type { BillSummary } from "@aimo/protocol/bill";
export type { RelayHooks } from "@aimo/protocol/relay-hooks";
export type * from "./chat-types.ts";
export { AimoClient } from "./client.ts";
export type { AimoClientOptions } from "./config.ts";
export { AimoError } from "./errors.ts";
export type { SessionOptions, VoucherSigner } from "./payment/session.ts";
export { type Recorder, type RequestRecord, readRecords } from "./records.ts";
export type { BillPageQuery, KeySettings, SpendAuthorizationJson } from "./resources/account.ts";
export type { MessageSigner, Session } from "./resources/auth.ts";
export type { AimoStream } from "./stream.ts";
export type { RequestOptions } from "./transport.ts";
export type { BillResult } from "./verify/bill.ts";
export type { Problem, ProblemKind } from "./verify/types.ts";
export {
  type GenerationResult,
  type VerifyParameters,
  verifyBill,
  verifyGeneration,
} from "./verify/verify.ts";
