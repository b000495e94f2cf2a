import { audioMs } from "../core/audio-length.ts";
import { type PreparedBody, prepareBody } from "../core/client-body.ts";
import { prepareForm } from "../core/form-body.ts";
import type { Model } from "../core/types.ts";
import type { Vendor } from "../core/vendors.ts";
import type { InferRequest } from "./ports.ts";
import type { Counter } from "./response.ts";

export type Prepared = {
  readonly prepared: PreparedBody;
  /** The body as text, for counting a prompt; empty for a form. */
  readonly body: string;
  readonly recording: Uint8Array | undefined;
};

/** Checks a client's body and makes what goes to the upstream in its place. Throws `invalid_request` with the field. */
export function prepare(request: Pick<InferRequest, "body" | "max">, model: Model, vendor: Vendor): Prepared {
  if (model.route === "transcriptions") {
    const form = prepareForm(model, request.body);
    return { prepared: form, body: "", recording: form.recording };
  }
  const body = Buffer.from(request.body).toString();
  const bodyBytes = request.body.length;
  const prepared = prepareBody({ model, vendor, body, bodyBytes, clamp: request.max });
  return { prepared, body, recording: undefined };
}

/**
 * What of the input is billed: its characters, or the milliseconds of a recording as the upstream counts them, by its
 * own frames where the upstream says nothing, and never more than the relay has held for.
 */
export function inputOf({ ask }: PreparedBody, recording: Uint8Array | undefined): Counter["input"] {
  const most = ask.inputUnits ?? 0;
  if (!recording) return () => most;
  const own = audioMs(recording);
  return (seconds) => Math.min(seconds === undefined ? (own ?? 0) : Math.ceil(seconds * 1000), most);
}
