import { AimoError } from "@aimo/protocol/errors";

/** Characters of an upstream's own message that are passed on: enough to name a field. */
const MAX_MESSAGE_CHARS = 300;
/** Of its own code for a mistake: OpenAI's longest has 40. */
const MAX_CODE_CHARS = 64;

/**
 * What an upstream's refusal means for the relay. Only a 400 or 422 is the client's fault and carries the upstream's
 * own words; everything else is this provider's, and the relay may try another.
 */
export function upstreamRefusal(
  status: number,
  body: string,
  retryAfterSeconds: number | undefined,
): AimoError {
  if (status === 400 || status === 422) {
    const { message, param, code } = readMessage(body);
    return new AimoError("invalid_request", {
      message: message ?? "The inference server refused the request's parameters.",
      ...(param ? { param } : {}),
      ...(code ? { details: { provider_code: code } } : {}),
    });
  }
  if (status === 413)
    return new AimoError("payload_too_large", {
      message: "The body is larger than the inference server accepts.",
    });
  if (status === 429)
    return new AimoError("rate_limit_exceeded", {
      message: "The inference server is busy.",
      retryAfterSeconds: retryAfterSeconds ?? 1,
    });
  if (status === 408 || status === 504) return new AimoError("timeout");
  return new AimoError("provider_unavailable", {
    message: `The inference server answered with status ${status}.`,
    details: { status },
  });
}

type Said = {
  readonly message: string | undefined;
  readonly param: string | undefined;
  readonly code: string | undefined;
};

function readMessage(body: string): Said {
  try {
    const { error, message, code } = Object(JSON.parse(body)) as Record<string, unknown>;
    const inner = Object(error) as Record<string, unknown>;
    const text = [inner["message"], message, error].find((one) => typeof one === "string");
    const param = inner["param"];
    // Some servers give a number, some say all of it outside of `error`.
    const own = [inner["code"], code].find((one) => typeof one === "string" || Number.isInteger(one));
    return {
      message: text?.slice(0, MAX_MESSAGE_CHARS),
      param: typeof param === "string" ? param.slice(0, MAX_MESSAGE_CHARS) : undefined,
      code: own === undefined ? undefined : String(own).slice(0, MAX_CODE_CHARS),
    };
  } catch {
    return { message: undefined, param: undefined, code: undefined };
  }
}
