import type { KeyObject } from "node:crypto";
import { macOf, sha256, verifyMac } from "@aimo/node/session-crypto";
import { DIRECTION, SESSION_HEADERS, type UsageFrame, type UsageStatement } from "@aimo/protocol/session";

/** A request as its MAC covers it; what answers it is MACed over the same, in the other direction. */
export type Signed = { readonly seq: bigint; readonly method: string; readonly path: string };

/** An open session: signs what the relay sends, and checks what the provider says. */
export class SessionKeys {
  readonly id: string;
  readonly #macKey: KeyObject;
  #nextSeq = 1n;

  constructor(id: string, macKey: KeyObject) {
    this.id = id;
    this.#macKey = macKey;
  }

  /** Headers for a request, and what its answer will be checked against. */
  sign(method: string, path: string, body: Uint8Array): { headers: Record<string, string>; signed: Signed } {
    const seq = this.#nextSeq++;
    const bodyHash = sha256(body);
    const mac = macOf(this.#macKey, { direction: DIRECTION.toProvider, seq, method, path, bodyHash });
    const headers = {
      [SESSION_HEADERS.session]: this.id,
      [SESSION_HEADERS.seq]: seq.toString(),
      [SESSION_HEADERS.mac]: mac,
    };
    return { headers, signed: { seq, method, path } };
  }

  /** True when the provider said `text` in answer to that request. */
  verify(signed: Signed, text: string, mac: string): boolean {
    return verifyMac(this.#macKey, { ...signed, direction: DIRECTION.toRelay, bodyHash: sha256(text) }, mac);
  }

  /** The statement in a usage frame, or undefined when its MAC is wrong or it is malformed. Never throws. */
  readUsageFrame(signed: Signed, text: string): UsageStatement | undefined {
    const frame = parse(text) as Partial<UsageFrame> | undefined;
    const statement = textOfMember(text, "statement");
    if (!statement || typeof frame?.mac !== "string" || !this.verify(signed, statement, frame.mac))
      return undefined;
    return frame.statement;
  }

  /** The statement in the headers of a JSON response, as `readUsageFrame`. */
  readUsageHeaders(signed: Signed, usage: string, mac: string): UsageStatement | undefined {
    const text = Buffer.from(usage, "base64url").toString();
    return this.verify(signed, text, mac) ? (parse(text) as UsageStatement | undefined) : undefined;
  }
}

/** `{"…":…,"name":{…},"mac":"…"}`: the text of an object that stands before the MAC, exactly as it was sent. */
export function textOfMember(text: string, name: string): string | undefined {
  const head = `"${name}":`;
  const start = text.indexOf(head);
  const end = text.lastIndexOf(',"mac":"');
  return start === -1 || end < start ? undefined : text.slice(start + head.length, end);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
