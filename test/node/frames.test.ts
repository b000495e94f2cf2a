import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { FRAME_HEADER_BYTES, FrameReader, FrameWriter } from "@aimo/node/frames";
import {
  FRAME,
  readHead,
  readRequest,
  readWindow,
  type StreamRequest,
  writeHead,
  writeRequest,
  writeWindow,
} from "@aimo/node/stream-frames";
import { expect } from "chai";
import fc from "fast-check";

type Frame = { type: number; stream: number; payload: Buffer };
const MAX = 512;

const someFrame = fc.record({
  type: fc.nat(255),
  stream: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: MAX }).map((bytes) => Buffer.from(bytes)),
});

function bytesOf(frames: readonly Frame[]): Buffer {
  return Buffer.concat(
    frames.flatMap(({ type, stream, payload }) => {
      const header = Buffer.alloc(FRAME_HEADER_BYTES);
      header.writeUInt32BE(payload.length);
      header[4] = type;
      header.writeUInt32BE(stream, 5);
      return [header, payload];
    }),
  );
}

function reading(max = MAX): { reader: FrameReader; frames: Frame[] } {
  const frames: Frame[] = [];
  const reader = new FrameReader(max, (type, stream, payload) =>
    frames.push({ type, stream, payload: Buffer.from(payload) }),
  );
  return { reader, frames };
}

/** What a writer hands on, frame by frame. */
function written(write: (writer: FrameWriter) => void): Frame[] {
  const { reader, frames } = reading(1 << 24);
  const writer = new FrameWriter((bytes) => {
    reader.push(Buffer.from(bytes));
    return true;
  });
  write(writer);
  writer.flush();
  return frames;
}

describe("frames of streams", () => {
  it("come out the same however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(someFrame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 200 })),
        (sent, cuts) => {
          const bytes = bytesOf(sent);
          const { reader, frames } = reading();
          let at = 0;
          for (const size of cuts) {
            if (at < bytes.length) reader.push(bytes.subarray(at, at + size));
            at += size;
          }
          if (at < bytes.length) reader.push(bytes.subarray(at));
          expect(frames).to.deep.equal(sent);
        },
      ),
    );
  });

  it("come out the same byte by byte", () => {
    const sent = [
      { type: 1, stream: 7, payload: Buffer.from("ab") },
      { type: 4, stream: 7, payload: Buffer.alloc(0) },
      { type: 3, stream: 0xffff_ffff, payload: Buffer.alloc(MAX, 9) },
    ];
    const { reader, frames } = reading();
    for (const byte of bytesOf(sent)) reader.push(Buffer.from([byte]));
    expect(frames).to.deep.equal(sent);
  });

  it("are refused when too long, also when the header comes in pieces", () => {
    const bytes = bytesOf([{ type: 1, stream: 1, payload: Buffer.alloc(MAX + 1) }]);
    for (const cut of [bytes.length, FRAME_HEADER_BYTES, 3]) {
      const { reader, frames } = reading();
      expect(() => {
        reader.push(bytes.subarray(0, cut));
        reader.push(bytes.subarray(cut));
      }).to.throw(RangeError, "512 are allowed");
      expect(frames).to.have.length(0);
    }
  });

  it("are written as they are read, also those larger than a buffer", () => {
    const sizes = fc.array(fc.oneof(fc.nat(300), fc.integer({ min: 60_000, max: 140_000 })), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(sizes, (all) => {
        const sent = all.map((size, stream) => ({
          type: 3,
          stream,
          payload: Buffer.alloc(size, stream + 1),
        }));
        const got = written((writer) => {
          for (const { type, stream, payload } of sent) writer.frame(type, stream, payload);
        });
        expect(got.length).to.equal(sent.length);
        for (const [index, { payload }] of got.entries())
          expect(payload.equals(sent[index]?.payload ?? Buffer.alloc(0))).to.equal(true);
      }),
      { numRuns: 20 },
    );
  });

  it("of one turn of the event loop leave together", async () => {
    const sent: number[] = [];
    const writer = new FrameWriter((bytes) => sent.push(bytes.length) > 0);
    for (let stream = 0; stream < 10; stream++) {
      writer.begin(FRAME.end, stream, 0);
      await Promise.resolve();
    }
    expect(sent).to.deep.equal([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent).to.deep.equal([10 * FRAME_HEADER_BYTES]);
  });

  it("arrive unharmed over a socket that is slower than their writer", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [peer] = (await once(server, "connection")) as [Socket];
    const count = 2_000;
    let next = 0;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const reader = new FrameReader(8_192, (_, stream, payload) => {
      if (stream !== next || payload.some((byte) => byte !== stream % 251)) reject(new Error("garbled"));
      if (++next === count) resolve();
    });
    peer.on("data", (chunk: Buffer) => reader.push(chunk));
    const writer = new FrameWriter((bytes) => {
      socket.write(bytes);
      return socket.writableLength === 0;
    });
    for (let stream = 0; stream < count; stream++)
      writer.frame(FRAME.data, stream, Buffer.alloc(1 + (stream % 8_192), stream % 251));
    await promise;
    socket.destroy();
    server.close();
  });
});

describe("what frames of a channel say", () => {
  const request: StreamRequest = {
    ...{
      seq: 2n ** 63n - 1n,
      mac: `0x${"ab".repeat(32)}`,
      stream: true,
      path: "/aimo/v1/infer/chat?id=gen-1",
    },
    body: Buffer.from('{"model":"ä"}'),
  };

  it("reads a request as it was written", () => {
    const [frame] = written((writer) => writeRequest(writer, 5, request));
    expect(frame).to.include({ type: FRAME.request, stream: 5 });
    expect(readRequest(frame?.payload ?? Buffer.alloc(0))).to.deep.equal(request);
  });

  it("reads a head and a window as they were written", () => {
    const head = {
      status: 429,
      contentType: "application/json",
      usage: "e30",
      usageMac: "0x1",
      retryAfter: "7",
    };
    const [first, second] = written((writer) => {
      writeHead(writer, 1, head);
      writeWindow(writer, 2, 131_072);
    });
    expect(readHead(first?.payload ?? Buffer.alloc(0))).to.deep.equal(head);
    expect(readWindow(second?.payload ?? Buffer.alloc(0))).to.equal(131_072);
  });

  it("refuses whatever is cut short", () => {
    const [asked, head] = written((writer) => {
      writeRequest(writer, 1, { ...request, body: new Uint8Array(0) });
      writeHead(writer, 1, { status: 200, contentType: "a", usage: "b", usageMac: "c", retryAfter: "d" });
    });
    for (const [payload, read] of [
      [asked?.payload, readRequest],
      [head?.payload, readHead],
      [Buffer.alloc(4), readWindow],
    ] as const)
      for (let size = 0; size < (payload?.length ?? 0); size++)
        expect(() => read(payload?.subarray(0, size) ?? Buffer.alloc(0)), `${size}`).to.throw(RangeError);
  });
});
