import type { IncomingMessage } from "node:http";
import { AimoError } from "@aimo/protocol/errors";

/**
 * Reads a body of at most `limit` bytes. Throws `payload_too_large`; rejects with `invalid_request` when the sender
 * breaks off.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > limit) return Promise.reject(tooLarge(limit));
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    request.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes > limit) {
        request.pause();
        reject(tooLarge(limit));
      } else parts.push(part);
    });
    request.on("end", () => resolve(parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)));
    request.on("error", (cause) =>
      reject(new AimoError("invalid_request", { message: "The body broke off.", cause })),
    );
  });
}

function tooLarge(limit: number): AimoError {
  return new AimoError("payload_too_large", { message: `The body is larger than ${limit} bytes.` });
}

type Fields = Readonly<Record<string, unknown>>;

/** The JSON object in a small body. Throws `invalid_request`. */
export function parseObject(body: Buffer): Fields {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (cause) {
    throw new AimoError("invalid_request", { message: "The body is not valid JSON.", cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new AimoError("invalid_request", { message: "The body is not a JSON object." });
}

/** A whole number of `fields` from 0 to `most`. Throws `invalid_request` with the field. */
export function requireInteger(fields: Fields, name: string, most: number): number {
  const value = fields[name];
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most) return value as number;
  throw new AimoError("invalid_request", {
    message: `'${name}' is no whole number up to ${most}.`,
    param: name,
  });
}

/** Hex of exactly `bytes` bytes. Throws `invalid_request` with the field. */
export function requireHex(value: unknown, name: string, bytes: number): `0x${string}` {
  if (typeof value === "string" && value.length === 2 + 2 * bytes && /^0x[0-9a-f]*$/i.test(value))
    return value.toLowerCase() as `0x${string}`;
  throw new AimoError("invalid_request", { message: `'${name}' is not ${bytes} bytes in hex.`, param: name });
}
