import fc from "fast-check";
import { fromSchema, type Schema } from "./from-schema.ts";
import { GOOD_BODIES } from "./good-bodies.ts";
import { hostileForm } from "./hostile-form.ts";
import { hostileJson } from "./hostile-json.ts";

/** An operation of /openapi.json. */
export type Operation = {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { readonly in: string; readonly name: string; readonly schema?: Schema }[];
  readonly contentType: string | undefined;
  readonly body: Schema;
  readonly isForSessions: boolean;
};

/** One request as it goes out. `path` has its query. */
export type Sent = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
};

export type Credentials = { readonly key: string; readonly session: string };

type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
};
type DocumentedOperation = {
  readonly parameters?: Operation["parameters"];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly security?: readonly object[];
};

/** Everything that the relay says it can do. */
export function operationsOf(document: unknown): Operation[] {
  return Object.entries((document as Document).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, security = [] }]) => {
      const [[contentType, media] = []] = Object.entries(requestBody?.content ?? {});
      const isForSessions = security.some((scheme) => "session" in scheme);
      const base = { method: method.toUpperCase(), path, parameters, isForSessions };
      return { ...base, contentType, body: media?.schema ?? {} };
    }),
  );
}

const TEXTS = fc.oneof(
  fc.constantFrom(
    "",
    "0",
    "-1",
    "1e9",
    "99999999999999999999",
    "NaN",
    "null",
    "true",
    "price",
    "desc",
    "batch",
  ),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "../..",
    "%00",
    "%zz",
    "%",
    "%ff",
    "%e2%82",
    "a%2fb",
    "a;b",
    "a&b=c",
  ),
  fc.constantFrom("x".repeat(255), "x".repeat(257), "x".repeat(4_000), "demo-text", "file-0", "batch_0", "*"),
  fc.string({ unit: "binary", maxLength: 20 }).map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string({ maxLength: 20 }).map(encodeURIComponent),
);

const printable = (maxLength: number) =>
  fc.string({ maxLength }).map((text) => text.replace(/[^\x20-\x7e]/g, "").trim());

/** Headers with a meaning here, and values that they do not expect. */
const HEADERS: fc.Arbitrary<Record<string, string>> = fc.record(
  {
    "idempotency-key": fc.oneof(
      fc.constantFrom("", "k", "k".repeat(255), "k".repeat(256), "../x", "a:b"),
      printable(30),
    ),
    "x-session-id": fc.oneof(fc.constantFrom("", "s", "s".repeat(256), "s".repeat(257)), printable(30)),
    "aimo-voucher": fc.oneof(
      fc.constantFrom("", "1", "1,2,3", "v".repeat(600), `1 2 0x${"0".repeat(130)}`),
      printable(60),
    ),
    "x-forwarded-for": fc.constantFrom("", "1.2.3.4", "::1", "unknown, 1.1.1.1", ",".repeat(500)),
    "accept-encoding": fc.constantFrom("gzip", "identity;q=0", "*"),
    accept: fc.constantFrom("text/event-stream", "application/xml", "*/*"),
    origin: fc.constantFrom("null", "https://page.example", "file://"),
    range: fc.constantFrom("bytes=0-1", "bytes=-0", "lines=1"),
    "if-none-match": fc.constantFrom("*", '"x"'),
    expect: fc.constantFrom("100-continue"),
    "anthropic-version": fc.constantFrom("2023-06-01", "", "x"),
  },
  { requiredKeys: [] },
);
const CONTENT_TYPES = fc.constantFrom(
  ...[
    "application/json; charset=utf-16",
    "application/json;",
    "APPLICATION/JSON",
    "text/plain",
    "application/xml",
  ],
  ...[
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "/",
    ";",
    "x",
  ],
  ...[
    "application/json, text/html",
    "application/vnd.api+json",
    `multipart/form-data; boundary=${"b".repeat(80)}`,
  ],
);

/** Requests that are near to what an operation takes. */
export function hostileRequest(operation: Operation, credentials: Credentials): fc.Arbitrary<Sent> {
  const { key, session } = credentials;
  const own = operation.isForSessions ? session : key;
  const authorization = fc.oneof(
    { weight: 12, arbitrary: fc.constant(`Bearer ${own}`) },
    { weight: 2, arbitrary: fc.constantFrom(`Bearer ${key}`, `Bearer ${session}`, `bearer  ${key}`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "",
        "Bearer",
        "Basic eDp5",
        `Bearer ${"x".repeat(300)}`,
        "Bearer aimo-sk-x",
        `${key} x`,
      ),
    },
  );
  const { contentType, method } = operation;
  const stray = fc.option(fc.constantFrom("{}", "[", "x"), { nil: undefined, freq: 4 });
  const body: fc.Arbitrary<Body> =
    contentType === undefined ? stray.map((text) => ({ text })) : bodyOf(operation);
  return fc
    .record({
      path: pathOf(operation),
      authorization,
      headers: HEADERS,
      body,
      type: fc.option(CONTENT_TYPES, { nil: undefined, freq: 8 }),
    })
    .map(({ path, authorization: credential, headers, body: made, type }) => ({
      ...{ method, path, body: made.text },
      headers: {
        ...headers,
        ...(credential === "" ? {} : { authorization: credential }),
        ...(made.text === undefined
          ? {}
          : { "content-type": type ?? made.type ?? contentType ?? "application/json" }),
      },
    }));
}

type Body = { readonly text: string | Buffer | undefined; readonly type?: string };

function bodyOf({ contentType, path, body }: Operation): fc.Arbitrary<Body> {
  if (contentType === "multipart/form-data") return hostileForm(path);
  const good = GOOD_BODIES[path];
  return hostileJson(good ? fc.constantFrom(...good) : fromSchema(body)).map((text) => ({ text }));
}

function pathOf({ path, parameters }: Operation): fc.Arbitrary<string> {
  const inPath = parameters.filter((one) => one.in === "path").map(({ name }) => [name, TEXTS] as const);
  const inQuery = parameters.filter((one) => one.in === "query");
  const names = fc.constantFrom(...inQuery.map(({ name }) => name), "limit", "after", "__proto__", "x", "");
  const query = fc.array(fc.tuple(names, TEXTS), { maxLength: 4 });
  return fc.tuple(fc.record(Object.fromEntries(inPath)), query).map(([values, pairs]) => {
    const filled = path.replace(/\{([^}]+)\}/g, (_, name: string) => String(values[name]));
    const search = pairs.map(([name, value]) => `${name}=${value}`).join("&");
    return search === "" ? filled : `${filled}?${search}`;
  });
}
