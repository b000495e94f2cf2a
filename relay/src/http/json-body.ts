import { AimoError } from "@aimo/protocol/errors";
import type { FastifyInstance } from "fastify";

/** Bodies that are JSON, and what is said of those that are not: where they break, never what they hold. */

const EMPTY = "The body is empty; it must be JSON.";

/** The body's value. Throws `invalid_request`. */
export function parseJson(body: string): unknown {
  if (body === "") throw emptyBody();
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw brokenBody(cause);
  }
}

/** An empty body of type JSON is none: clients send the type with each request, also where a route takes no body. */
export function takeJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    const text = body.toString();
    if (text === "") done(null, undefined);
    else void parse(request, text, (error, value) => (error ? done(faultOf(text)) : done(null, value)));
  });
}

/** Of a route that needs a body. */
export const emptyBody = (): AimoError => new AimoError("invalid_request", { message: EMPTY });

function faultOf(text: string): AimoError {
  try {
    JSON.parse(text);
  } catch (cause) {
    return brokenBody(cause);
  }
  const message = "The body has a field named __proto__ or constructor.prototype, which nothing takes.";
  return new AimoError("invalid_request", { message });
}

function brokenBody(cause: unknown): AimoError {
  const text = cause instanceof SyntaxError ? cause.message : "";
  // Where V8 quotes the body instead, the message ends otherwise.
  const [, position] = /JSON at position (\d+)(?: \(line \d+ column \d+\))?$/.exec(text) ?? [];
  const where =
    position === undefined
      ? text === "Unexpected end of JSON input"
        ? ": it ends too early"
        : ""
      : `: it breaks at position ${position}`;
  return new AimoError("invalid_request", { message: `The body is not valid JSON${where}.`, cause });
}
