import { ERRORS } from "@aimo/protocol/errors";
import { expect } from "chai";

/** What holds of every reply, whatever was sent. */

export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
};

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields =>
  (typeof value === "object" && value !== null ? value : {}) as Fields;

const NONE: ReadonlySet<string> = new Set();

/** Each error that can be read among the replies of a connection is one of ours, and none is the relay's fault. */
export function expectInForm(replies: string): void {
  if (replies === "") return;
  expect(replies).to.match(/^HTTP\/1\.1 \d{3} /);
  const heads = /HTTP\/1\.1 ([45]\d\d) [^\r]*\r\n(.*?)\r\n\r\n(\{[^\r\n]*)?/gsu;
  for (const [, status, head = "", body = ""] of replies.matchAll(heads)) {
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    // The reply to a HEAD has no body to look into.
    if (body === "" || !body.startsWith('{"error"')) continue;
    const headers = { "x-request-id": /x-request-id: (\S+)/i.exec(head)?.[1] };
    const whole = Buffer.from(body).subarray(0, Number(length)).toString();
    expect(faultOf("/", { status: Number(status), headers, body: whole }, NONE), replies).to.equal(undefined);
  }
}

/** What is wrong with a reply; undefined when nothing is. `allowed`: codes of 5xx that are nobody's fault here. */
export function faultOf(
  path: string,
  { status, headers, body }: Reply,
  allowed: ReadonlySet<string>,
): string | undefined {
  if (status < 200) return `status ${status}`;
  if (status < 400) return undefined;
  const whole = readJson(body);
  const error = fieldsOf(whole["error"]);
  const { code, message, param } = error;
  const isMessages = path.split("?", 1)[0] === "/v1/messages";
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code)) return `${status} without a code: ${body}`;
  if (ERRORS[code as keyof typeof ERRORS].status !== status) return `${status} is not the status of ${code}`;
  if (typeof message !== "string" || message === "") return `${code} without a message`;
  if (param !== null && typeof param !== "string") return `${code} with a param that is no text`;
  if (typeof fieldsOf(error["metadata"])["hint"] !== "string") return `${code} without a hint`;
  if (isMessages && whole["type"] !== "error") return `${code} is not in Anthropic's form`;
  if (headers["x-request-id"] === undefined) return `${code} without a request id`;
  if (status >= 500 && !allowed.has(code)) return `${status} ${code}: ${message}`;
  return undefined;
}

function readJson(text: string): Fields {
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    return {};
  }
}
