import type { AimoMeta, UsageJson } from "@aimo/protocol/routes";
import type { RequestOptions } from "../transport.ts";
import type { Inference } from "./inference.ts";

type ImageParameters = {
  readonly model: string;
  readonly prompt: string;
  /** E.g. `1024x1024`. */
  readonly size?: string | null;
  readonly n?: number | null;
  readonly quality?: string | null;
  readonly response_format?: "url" | "b64_json" | null;
  readonly user?: string;
  /** Any other field of OpenAI's interface. */
  readonly [field: string]: unknown;
};
type Image = { readonly url?: string; readonly b64_json?: string; readonly revised_prompt?: string };
type ImagesResponse = {
  readonly created: number;
  readonly data: readonly [Image, ...Image[]];
  readonly usage?: UsageJson;
  readonly aimo: AimoMeta;
};

/** `client.images`. */
export type Images = {
  /** Draws images from a prompt. */
  generate(parameters: ImageParameters, options?: RequestOptions): Promise<ImagesResponse>;
};

export function createImages(inference: Inference): Images {
  return {
    generate: (parameters, options = {}) =>
      inference.post<ImagesResponse>("/images/generations", parameters, options),
  };
}
