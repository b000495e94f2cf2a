import type { AimoMeta } from "@aimo/protocol/routes";
import { createRecordKeeper, type Recorder, recordOf } from "../records.ts";
import type { Answer, RequestOptions, Transport } from "../transport.ts";

/** What all inference resources do: send a body, and keep a record of what was billed for it. */
export type Inference = {
  /** Sends a body and reads the JSON that answers it. */
  post<T extends { readonly aimo?: AimoMeta }>(
    path: string,
    body: object,
    options: RequestOptions,
  ): Promise<T>;
  /** Sends a body whose answer is read as it comes; the reader calls `onEnd`. */
  open(path: string, body: object, options: RequestOptions): Promise<OpenedStream>;
};
type OpenedStream = {
  readonly answer: Answer;
  readonly onEnd: (aimo: AimoMeta | undefined) => Promise<void>;
};

export function createInference(transport: Transport, records: string | Recorder | undefined): Inference {
  const keeper = createRecordKeeper(records);

  async function open(path: string, body: object, options: RequestOptions): Promise<OpenedStream> {
    await keeper?.prepare();
    const createdAt = new Date();
    const answer = await transport.send({ ...options, method: "POST", path, body });
    const { generationId, bodyHash } = answer;
    return {
      answer,
      async onEnd(aimo) {
        const record = recordOf({ generationId, bodyHash, aimo, createdAt });
        if (record) await keeper?.keep(record);
      },
    };
  }

  return {
    open,
    async post<T extends { readonly aimo?: AimoMeta }>(path: string, body: object, options: RequestOptions) {
      const { answer, onEnd } = await open(path, body, options);
      const reply = await transport.read<T>(answer);
      await onEnd(reply.aimo);
      return reply;
    },
  };
}
