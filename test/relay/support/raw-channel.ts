import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { FrameReader, FrameWriter } from "@aimo/node/frames";
import { FRAME, readRequest, readWindow, type StreamRequest, writeHead } from "@aimo/node/stream-frames";
import type { AimoError } from "@aimo/protocol/errors";
import {
  type ChannelTimes,
  StreamChannel,
  type StreamHandler,
} from "../../../relay/src/upstream/stream-channel.ts";

/** A relay's channel on a real socket, with the provider's side of the frames in the hands of the test. */

class RawProvider {
  readonly socket: Socket;
  readonly asked: { stream: number; request: StreamRequest }[] = [];
  readonly stopped: number[] = [];
  /** Bytes granted per stream, by frames. */
  readonly granted = new Map<number, number>();
  readonly writer: FrameWriter;

  constructor(socket: Socket) {
    this.socket = socket;
    this.writer = new FrameWriter((bytes) => {
      socket.write(bytes);
      return socket.writableLength === 0;
    });
    const reader = new FrameReader(1 << 20, (type, stream, payload) => {
      if (type === FRAME.request) this.asked.push({ stream, request: readRequest(Buffer.from(payload)) });
      if (type === FRAME.stop) this.stopped.push(stream);
      if (type === FRAME.window)
        this.granted.set(stream, (this.granted.get(stream) ?? 0) + readWindow(payload));
    });
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.on("error", () => {});
  }

  head(stream: number, contentType = "text/event-stream"): void {
    writeHead(this.writer, stream, { status: 200, contentType, usage: "", usageMac: "", retryAfter: "" });
  }

  data(stream: number, bytes: string | Buffer): void {
    this.writer.frame(FRAME.data, stream, Buffer.from(bytes));
  }

  end(stream: number): void {
    this.writer.begin(FRAME.end, stream, 0);
  }
}

/** What a request's handler was told. */
export class Told implements StreamHandler {
  status = 0;
  bytes = 0;
  text = "";
  ended = false;
  error: AimoError | undefined;
  /** Called for each chunk. */
  onChunk: () => void = () => {};

  onStreamHead({ status }: { status: number }): void {
    this.status = status;
  }
  onStreamData(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.text.length < 1_024) this.text += chunk.toString();
    this.onChunk();
  }
  onStreamEnd(): void {
    this.ended = true;
  }
  onStreamError(error: AimoError): void {
    this.error = error;
  }
}

export type RawPair = {
  readonly channel: StreamChannel;
  readonly provider: RawProvider;
  close(): Promise<void>;
};

export async function openPair(times: Partial<ChannelTimes> = {}): Promise<RawPair> {
  const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [peer] = (await once(server, "connection")) as [Socket];
  const channel = new StreamChannel(socket, { firstByteMs: 20_000, idleMs: 20_000, ...times });
  const provider = new RawProvider(peer);
  return {
    channel,
    provider,
    close: async () => {
      channel.destroy();
      peer.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const rawRequest = (body = "{}"): StreamRequest => ({
  ...{ seq: 1n, mac: `0x${"00".repeat(32)}`, stream: true, path: "/aimo/v1/infer/chat?id=gen-1" },
  body: Buffer.from(body),
});
