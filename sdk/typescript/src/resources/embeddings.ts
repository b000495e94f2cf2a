import type { AimoMeta, UsageJson } from "@aimo/protocol/routes";
import type { RequestOptions } from "../transport.ts";
import type { Inference } from "./inference.ts";

type EmbeddingParameters = {
  readonly model: string;
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly dimensions?: number;
  readonly user?: string;
  /** Any other field of OpenAI's interface. */
  readonly [field: string]: unknown;
};
type Embedding = {
  readonly object: "embedding";
  readonly index: number;
  readonly embedding: number[];
};
type EmbeddingsResponse = {
  readonly object: "list";
  readonly model: string;
  readonly data: readonly [Embedding, ...Embedding[]];
  readonly usage: UsageJson;
  readonly aimo: AimoMeta;
};

/** `client.embeddings`. */
export type Embeddings = {
  /** Turns texts into vectors; texts about the same thing have vectors that are near. */
  create(parameters: EmbeddingParameters, options?: RequestOptions): Promise<EmbeddingsResponse>;
};

export function createEmbeddings(inference: Inference): Embeddings {
  return {
    create: (parameters, options = {}) =>
      inference.post<EmbeddingsResponse>("/embeddings", parameters, options),
  };
}
