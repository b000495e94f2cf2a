import { type AimoMeta, ROUTE_HEADERS } from "@aimo/protocol/routes";
import type { Payer, Payment } from "../payment/payer.ts";
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

export type InferenceParameters = {
  readonly transport: Transport;
  readonly records: string | Recorder | undefined;
  /** Signs what SIGNED channels pay by. */
  readonly payer: Payer | undefined;
};

export function createInference({ transport, records, payer }: InferenceParameters): Inference {
  const keeper = createRecordKeeper(records);

  async function open(path: string, body: object, options: RequestOptions): Promise<OpenedStream> {
    await keeper?.prepare();
    const createdAt = new Date();
    const payment = await payer?.begin(path, body);
    const answer = await sendPaid(transport, { ...options, method: "POST", path, body }, payment);
    const { generationId, bodyHash, isCached } = answer;
    return {
      answer,
      async onEnd(aimo) {
        if (isCached) {
          payment?.free();
          return;
        }
        const record = recordOf({ generationId, bodyHash, aimo, createdAt });
        if (record) await keeper?.keep(record);
        payment?.end(aimo, generationId);
      },
    };
  }

  return {
    open,
    async post<T extends { readonly aimo?: AimoMeta }>(path: string, body: object, options: RequestOptions) {
      const { answer, onEnd } = await open(path, body, options);
      const reply = await transport.read<T>(answer).catch(async (error: unknown) => {
        await onEnd(undefined);
        throw error;
      });
      await onEnd(reply.aimo);
      return reply;
    },
  };
}

/** Sends a request with a voucher, and again with another one where the relay says what it needs. */
async function sendPaid(
  transport: Transport,
  call: Parameters<Transport["send"]>[0],
  payment: Payment | undefined,
): Promise<Answer> {
  if (!payment) return transport.send(call);
  for (;;) {
    const voucher = await payment.voucher();
    const headers = voucher === undefined ? {} : { [ROUTE_HEADERS.voucher]: voucher };
    try {
      const answer = await transport.send({ ...call, headers: { ...call.headers, ...headers } });
      payment.accepted();
      return answer;
    } catch (error) {
      if (!(await payment.correct(error))) throw error;
    }
  }
}
