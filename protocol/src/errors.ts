/**
 * Every error a user or an operator can meet: code, HTTP status, sentence, and what to do. Codes are closed, so they
 * are safe as metric labels. HTTP responses, SDK errors, the CLI and the documentation derive from this table.
 */
export const ERRORS = {
  invalid_request: {
    status: 400,
    message: "The request is not valid.",
    hint: "Correct the field that the message names.",
  },
  request_above_limit: {
    status: 400,
    message: "The request may use more tokens than its account or key may use in a whole minute.",
    hint: "Lower max_tokens, shorten the prompt, or use an account or key with a higher limit; waiting does not help.",
  },
  authentication_failed: {
    status: 401,
    message: "The API key or session is missing, unknown, expired or revoked.",
    hint: "Send `Authorization: Bearer aimo-sk-…`; make a key with `aimo keys create`.",
  },
  insufficient_credits: {
    status: 402,
    message: "The account's channel cannot cover this request.",
    hint: "Top up the channel with `aimo credits buy`, or lower max_tokens.",
  },
  channel_exhausted: {
    status: 402,
    message: "The channel is closed, expired, thawing or empty.",
    hint: "Open or extend a channel to this relay with `aimo credits buy`.",
  },
  channel_retired: {
    status: 402,
    message: "The relay can charge this epoch of the channel no more.",
    hint: "Run `aimo channel thaw`, then `aimo channel withdraw`, then `aimo channel open AMOUNT`, which uses what came out.",
  },
  voucher_required: {
    status: 402,
    message: "The channel pays by signed vouchers, and the request brings none.",
    hint: "Sign a voucher over `needed_pusd` with the channel's session key and repeat; the SDK does it with `session`.",
  },
  voucher_too_low: {
    status: 402,
    message:
      "The channel's highest voucher does not cover what is charged, what is in flight and this request.",
    hint: "Sign a voucher over `needed_pusd` with the channel's session key and repeat the request.",
  },
  voucher_invalid: {
    status: 402,
    message: "The voucher is not one of the channel's session key for its present epoch.",
    hint: "Sign for the user and epoch in the error's metadata, with the session key that it names.",
  },
  voucher_ceiling: {
    status: 402,
    message: "More would be signed for than this client may sign ahead of what it was charged.",
    hint: "Raise `session.maxAheadUsd`, lower max_tokens, or have fewer requests in flight.",
  },
  key_limit_reached: {
    status: 402,
    message: "The key's own spending limit is reached.",
    hint: "Raise the key's limit, wait for its reset, or use another key.",
  },
  permission_denied: {
    status: 403,
    message: "The key may not do this.",
    hint: "Use a key with the scope or model that the message names.",
  },
  model_not_found: {
    status: 404,
    message: "No such model is registered.",
    hint: "List models with `aimo models list` or GET /v1/models.",
  },
  no_fitting_provider: {
    status: 404,
    message: "No provider of the model fits what the request says of providers.",
    hint: "Loosen the filter that the message names; GET /v1/models shows prices and promises of each provider.",
  },
  not_found: { status: 404, message: "There is no such resource.", hint: "Check the path and the id." },
  method_not_allowed: {
    status: 405,
    message: "The resource does not know this method.",
    hint: "See /openapi.json for the methods of each path.",
  },
  request_timeout: {
    status: 408,
    message: "The request was not sent whole in the time that there is for it.",
    hint: "Send headers and body without a pause; the time is the relay's `http.request_timeout_ms`.",
  },
  idempotency_conflict: {
    status: 409,
    message: "This Idempotency-Key was used with another body.",
    hint: "Use a fresh key for a different request.",
  },
  request_in_progress: {
    status: 409,
    message: "A request with this Idempotency-Key is still running.",
    hint: "Wait for it to end, then repeat the request with the same key.",
  },
  payload_too_large: {
    status: 413,
    message: "The body is larger than this relay accepts.",
    hint: "Send a smaller body; the limit is in the message.",
  },
  unsupported_media_type: {
    status: 415,
    message: "The body must be JSON.",
    hint: "Send `Content-Type: application/json`.",
  },
  headers_too_large: {
    status: 431,
    message: "The request's headers are larger, or more, than this node accepts.",
    hint: "Send fewer and shorter headers.",
  },
  rate_limit_exceeded: {
    status: 429,
    message: "Too many requests.",
    hint: "Wait for the seconds in Retry-After.",
  },
  credit_limit_reached: {
    status: 429,
    message: "The relay owes this provider as much as it may.",
    hint: "Acknowledge the provider's signed groups, or use another provider until it raises its limit.",
  },
  internal_error: {
    status: 500,
    message: "Something unexpected failed in this node.",
    hint: "Try again; give the request id to the operator if it stays.",
  },
  provider_unavailable: {
    status: 502,
    message: "Every provider that was tried failed.",
    hint: "Try again; failed attempts are free.",
  },
  model_unavailable: {
    status: 503,
    message: "No provider offers this model right now.",
    hint: "Try again shortly, or choose another model.",
  },
  overloaded: {
    status: 503,
    message: "The node has no room for another request.",
    hint: "Wait for the seconds in Retry-After.",
  },
  shutting_down: {
    status: 503,
    message: "The node is stopping and admits no new request.",
    hint: "Use another relay.",
  },
  chain_unavailable: {
    status: 503,
    message: "The chain cannot be reached.",
    hint: "Check the RPC URL and that the chain is running.",
  },
  relay_unavailable: {
    status: 503,
    message: "The relay cannot be reached, or broke off its answer.",
    hint: "Check AIMO_BASE_URL and that the relay is running; what was not delivered is free.",
  },
  timeout: {
    status: 504,
    message: "The provider did not answer in time.",
    hint: "Try again; a request without an answer is free.",
  },
  cancelled: {
    status: 499,
    message: "The caller cancelled the request.",
    hint: "A cancelled stream pays for what was delivered, no more.",
  },
  config_invalid: {
    status: 500,
    message: "The configuration is not valid.",
    hint: "Correct the setting that the message names.",
  },
  wrong_chain: {
    status: 500,
    message: "The RPC endpoint serves another chain than the one configured.",
    hint: "Correct the RPC URL or the chain id.",
  },
  wrong_deployment: {
    status: 500,
    message: "The contracts at these addresses are not an AiMo deployment.",
    hint: "Use the addresses that the deployment wrote for this chain id.",
  },
  deployment_exists: {
    status: 500,
    message: "This chain has a deployment already.",
    hint: "Check it with --verify; to deploy another, move its file away first.",
  },
  deployment_incomplete: {
    status: 500,
    message: "A deployment on this chain stopped half-way.",
    hint: "Nothing uses what it left: begin anew with --start-over.",
  },
  port_in_use: {
    status: 500,
    message: "The port is used by another program.",
    hint: "Choose another port, or stop that program.",
  },
  data_of_other_chain: {
    status: 500,
    message: "The data folder belongs to another chain or deployment.",
    hint: "Use another data folder, or the chain it was made for.",
  },
  data_corrupt: {
    status: 500,
    message: "The data folder cannot be read.",
    hint: "Restore it from a backup; do not delete it while receipts are unposted.",
  },
  data_in_use: {
    status: 500,
    message: "The data folder is in use by another process.",
    hint: "Stop that process first.",
  },
  clock_skew: {
    status: 500,
    message: "This machine's clock is too far from the chain's.",
    hint: "Set the clock (NTP), or point the node at a chain that is in step.",
  },
  not_registered: {
    status: 500,
    message: "This node's key is not registered for its role.",
    hint: "Run `aimo relay register` or `aimo provider register`.",
  },
  not_bonded: {
    status: 500,
    message: "The relay's bond is below the minimum.",
    hint: "Add to it with `aimo relay bond`.",
  },
  not_staked: {
    status: 500,
    message: "The provider's stake is below the minimum.",
    hint: "Add to it with `aimo provider stake`.",
  },
  low_gas: {
    status: 500,
    message: "The node's account cannot pay for gas.",
    hint: "Send native coin to the address in the message.",
  },
  transaction_failed: {
    status: 500,
    message: "A transaction was refused by the chain.",
    hint: "The message names the contract's reason.",
  },
  bill_mismatch: {
    status: 500,
    message: "The relay's bill does not agree with the chain.",
    hint: "Keep the report; each line names a receipt that can be disputed.",
  },
} as const satisfies Record<string, { status: number; message: string; hint: string }>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | readonly string[]>>;

export type AimoErrorOptions = ErrorOptions & {
  /** Replaces the table's sentence with one that names the field and the limit. */
  readonly message?: string;
  /** Replaces the table's advice with a better one. */
  readonly hint?: string;
  /** The request's field at fault, as in OpenAI's errors. */
  readonly param?: string;
  readonly details?: ErrorDetails;
  /** Seconds until a retry makes sense. */
  readonly retryAfterSeconds?: number;
};

/** The one error class. Compare `code`, never `instanceof` across packages. */
export class AimoError extends Error {
  override readonly name = "AimoError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly hint: string;
  readonly param: string | undefined;
  readonly details: ErrorDetails;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, options: AimoErrorOptions = {}) {
    super(
      options.message ?? ERRORS[code].message,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.code = code;
    this.status = ERRORS[code].status;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.param = options.param;
    this.details = options.details ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** True for an AimoError of any installed copy of this package. */
export function isAimoError(value: unknown): value is AimoError {
  return (
    value instanceof Error && value.name === "AimoError" && "code" in value && String(value.code) in ERRORS
  );
}
