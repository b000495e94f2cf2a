import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { FrameReader, FrameWriter } from "@aimo/node/frames";
import {
  FRAME,
  MAX_DATA_BYTES,
  MAX_REQUEST_FRAME,
  readRequest,
  readWindow,
  STREAM_PROTOCOL,
  STREAM_WINDOW,
  writeHead,
} from "@aimo/node/stream-frames";
import { SESSION_PATH, USAGE_EVENT } from "@aimo/protocol/session";
import { ANSWER, completion, frame, paceOf, writeAtPace } from "./mock.ts";
import type { Call, MockSessions } from "./mock-sessions.ts";

/** The mock provider's answers, over HTTP and over the frames of a session's connection. */

const JSON_TYPE = { "content-type": "application/json" };
const STREAM_TYPE = { "content-type": "text/event-stream" };

/** What an answer is written to. */
interface Answer {
  json(text: string, usage: string, mac: string): void;
  /** False: the relay reads slowly; `onDrain` follows. */
  write(text: string): boolean;
  end(text: string): void;
  onDrain(resume: () => void): void;
  onClose(stop: () => void): void;
}

/** Answers the sessions' requests that come to a server, either way. */
export function answerOn(server: Server, sessions: MockSessions): void {
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    buffer(request).then(
      (body) => {
        if (sessions.handle(request, body, response)) return;
        const call = sessions.open(request, body);
        if (!call) response.writeHead(401, JSON_TYPE).end("{}");
        else serve(call, body, overHttp(response));
      },
      () => response.destroy(),
    );
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    const path = request.url ?? "";
    const id = path.split("/").at(-2) ?? "";
    if (!path.startsWith(SESSION_PATH) || !path.endsWith("/stream") || !sessions.knows(id))
      return void socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${STREAM_PROTOCOL}\r\n\r\n`,
    );
    answerFrames(sessions, id, socket);
  });
}

function serve(call: Call, body: Buffer, answer: Answer): void {
  const pace = paceOf(body);
  if (!pace) {
    const { statement, mac } = call.state(ANSWER, 16);
    answer.json(JSON.stringify(completion(call.id)), Buffer.from(statement).toString("base64url"), mac);
    return;
  }
  const said: string[] = [];
  const write = (content: string) => {
    said.push(content);
    return answer.write(frame(call.id, content));
  };
  const stop = writeAtPace(pace, write, {
    onDrain: (resume) => answer.onDrain(resume),
    onEnd: () => {
      const { statement, mac } = call.state(said.join(""), said.length);
      answer.write(`event: ${USAGE_EVENT}\ndata: {"statement":${statement},"mac":"${mac}"}\n\n`);
      answer.end("data: [DONE]\n\n");
    },
  });
  answer.onClose(stop);
}

const overHttp = (response: ServerResponse): Answer => ({
  json: (text, usage, mac) => {
    const headers = { "aimo-usage": usage, "aimo-usage-mac": mac, "content-length": Buffer.byteLength(text) };
    response.writeHead(200, { ...JSON_TYPE, ...headers }).end(text);
  },
  write: (text) => {
    if (!response.headersSent) response.writeHead(200, STREAM_TYPE);
    return response.write(text);
  },
  end: (text) => void response.end(text),
  onDrain: (resume) => void response.once("drain", resume),
  onClose: (stop) => void response.once("close", stop),
});

/** One stream; it keeps what the relay has not granted yet. */
class StreamAnswer implements Answer {
  readonly #id: number;
  readonly #writer: FrameWriter;
  #credit = STREAM_WINDOW;
  #kept: Buffer[] = [];
  #hasHead = false;
  #hasEnded = false;
  #drained: () => void = () => {};
  /** Ends what is still being written. */
  stop: () => void = () => {};

  constructor(id: number, writer: FrameWriter) {
    this.#id = id;
    this.#writer = writer;
  }

  json(text: string, usage: string, mac: string): void {
    this.#head("application/json", usage, mac);
    this.end(text);
  }

  write(text: string): boolean {
    if (!this.#hasHead) this.#head("text/event-stream");
    this.#send(Buffer.from(text));
    return this.#kept.length === 0;
  }

  end(text: string): void {
    this.#hasEnded = true;
    this.#send(Buffer.from(text));
    if (this.#kept.length === 0) this.#writer.begin(FRAME.end, this.#id, 0);
  }

  onDrain(resume: () => void): void {
    this.#drained = resume;
  }

  onClose(stop: () => void): void {
    this.stop = stop;
  }

  grant(credit: number): void {
    this.#credit += credit;
    if (this.#kept.length === 0) return;
    for (const bytes of this.#kept.splice(0)) this.#send(bytes);
    if (this.#kept.length > 0) return;
    if (this.#hasEnded) this.#writer.begin(FRAME.end, this.#id, 0);
    else this.#drained();
  }

  refuse(): void {
    writeHead(this.#writer, this.#id, {
      ...{ status: 401, contentType: "application/json", usage: "", usageMac: "", retryAfter: "" },
    });
    this.#writer.begin(FRAME.end, this.#id, 0);
  }

  #head(contentType: string, usage = "", usageMac = ""): void {
    this.#hasHead = true;
    writeHead(this.#writer, this.#id, { status: 200, contentType, usage, usageMac, retryAfter: "" });
  }

  #send(bytes: Buffer): void {
    const size = Math.min(bytes.length, MAX_DATA_BYTES);
    if (this.#kept.length > 0 || this.#credit < size) {
      this.#kept.push(bytes);
      return;
    }
    this.#credit -= size;
    this.#writer.frame(FRAME.data, this.#id, bytes.subarray(0, size));
    if (size < bytes.length) this.#send(bytes.subarray(size));
  }
}

function answerFrames(sessions: MockSessions, session: string, socket: Duplex): void {
  const answers = new Map<number, StreamAnswer>();
  const writer = new FrameWriter((bytes) => {
    socket.write(bytes);
    return socket.writableLength === 0;
  });
  const reader = new FrameReader(MAX_REQUEST_FRAME, (type, stream, payload) => {
    if (type === FRAME.window) answers.get(stream)?.grant(readWindow(payload));
    else if (type === FRAME.stop) {
      answers.get(stream)?.stop();
      answers.delete(stream);
    } else if (type === FRAME.request) {
      const { seq, mac, path, body } = readRequest(payload);
      const answer = new StreamAnswer(stream, writer);
      const call = sessions.check({ session, seq, mac, path, body });
      if (!call) return answer.refuse();
      answers.set(stream, answer);
      serve(call, body, answer);
    }
  });
  socket.on("data", (chunk: Buffer) => reader.push(chunk));
  socket.on("error", () => socket.destroy());
  socket.once("close", () => {
    for (const answer of answers.values()) answer.stop();
  });
}
