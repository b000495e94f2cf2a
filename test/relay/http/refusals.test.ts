import { expect } from "chai";
import { AccountClient } from "../support/account-client.ts";
import { jsonOf, startTestRelay, type TestRelay } from "../support/test-relay.ts";

const CHATS = "/v1/chat/completions";

describe("a refusal", () => {
  let relay: TestRelay;
  let client: AccountClient;
  let session: string;
  before(async () => {
    relay = await startTestRelay();
    client = new AccountClient(relay, Date.now);
    session = await client.openSession();
  });
  after(() => relay.close());

  const errorOf = async (reply: Response) => {
    const { error } = await jsonOf(reply);
    const { code, param, message, metadata } = error;
    return { status: reply.status, code, param, message, hint: metadata.hint };
  };
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    relay.post(path, body, headers).then(errorOf);
  const managed = async (method: string, path: string, body: object) =>
    errorOf(await client.call(method, path, session, body));
  const batch = { input_file_id: "file-none", endpoint: CHATS, completion_window: "24h" };

  it("says what a field has to be, by its name", async () => {
    for (const [body, param, message] of [
      [{ completion_window: "1h" }, "completion_window", 'completion_window must be "24h".'],
      [{ input_file_id: undefined }, "input_file_id", "input_file_id is required."],
      [
        { output_expires_after: { anchor: "created_at", seconds: 1 } },
        "output_expires_after.seconds",
        "output_expires_after.seconds must be an integer from 3600 to 2592000 (seconds).",
      ],
      [{ metadata: 7 }, "metadata", "metadata must be an object of at most 16 fields or null."],
    ] as const)
      expect(await post("/v1/batches", { ...batch, ...body }), message).to.include({ param, message });
    const { message } = await post("/v1/batches", { ...batch, endpoint: "/v1/audio/speech" });
    expect(message).to.match(/^endpoint must be "\/v1\/chat\/completions", .+ or "\/v1\/moderations"\.$/);
    for (const [path, body, param, message] of [
      [
        "keys",
        { limit_reset: "hourly" },
        "limit_reset",
        'limit_reset must be "daily", "weekly", "monthly" or null.',
      ],
      [
        "keys",
        { limit_reset: 7 },
        "limit_reset",
        'limit_reset must be "daily", "weekly", "monthly" or null.',
      ],
      ["keys", { limit: -1 }, "limit", "limit must be a number from 0 to 1000000000 (USD) or null."],
      ["keys", { name: 1 }, "name", "name must be a string of at most 100 characters."],
      ["keys", { models: [""] }, "models[0]", "models[0] must be a string of 1 to 128 characters."],
      ["keys", { disabled: 1 }, "disabled", "disabled must be true or false."],
      ["keys", { nmae: "x" }, "nmae", "nmae is not a field that is known."],
      ["keys", [], "body", "The body must be a JSON object."],
      ["presets", { slug: "A" }, "slug", "slug must be 1 to 64 of a-z, 0-9 and hyphens."],
      [
        "presets",
        { slug: "a", cache: { enabled: true, ttl: 0 } },
        "cache.ttl",
        "cache.ttl must be an integer from 1 to 86400 (seconds).",
      ],
    ] as const)
      expect(await managed("POST", `/v1/${path}`, body), message).to.include({ status: 400, param, message });
  });

  it("says the same of a query's number, whatever is wrong with it", async () => {
    for (const [path, most] of [
      ["/v1/models", 10_000],
      ["/v1/files", 10_000],
      ["/v1/batches", 100],
      ["/v1/settlements", 1_000],
    ] as const)
      for (const limit of ["0", "x", "99999", "1.5"]) {
        const reply = await errorOf(await client.call("GET", `${path}?limit=${limit}`, relay.key));
        const message = `limit must be an integer from 1 to ${most}.`;
        expect(reply, `${path} ${limit}`).to.include({ status: 400, param: "limit", message });
      }
    expect((await client.call("GET", "/v1/settlements?limit=5", relay.key)).status).to.equal(200);
    const { param, message } = await errorOf(await client.call("GET", "/v1/generation", relay.key));
    expect({ param, message }).to.deep.equal({ param: "id", message: "id is required." });
  });

  it("names the field that holds the id of a file that is not there", async () => {
    expect(await post("/v1/batches", batch)).to.include({ status: 404, param: "input_file_id" });
    const reply = await client.call("GET", "/v1/files/file-none", relay.key);
    expect(await errorOf(reply)).to.include({ status: 404, param: "file_id" });
  });

  it("tells a missing key from one in another form and from an unknown one", async () => {
    const why = async (headers: Record<string, string>) => {
      const { status, code, message } = await errorOf(await fetch(`${relay.url}/v1/key`, { headers }));
      expect({ status, code }).to.deep.equal({ status: 401, code: "authentication_failed" });
      return message;
    };
    expect(await why({})).to.include("no header Authorization");
    for (const authorization of ["Basic abc", "Bearer", "aimo-sk-abc"])
      expect(await why({ authorization })).to.include("not of the form `Bearer");
    for (const key of ["aimo-sk-unknown", "aimo-st-unknown", "other"]) {
      const unknown = "The API key or session is unknown, expired or revoked.";
      expect(await why({ authorization: `Bearer ${key}` })).to.equal(unknown);
      expect(await why({ "x-api-key": key })).to.equal(unknown);
    }
  });

  it("says what to send where a key or a session is the wrong one of the two", async () => {
    const byKey = await errorOf(await client.call("GET", "/v1/keys", relay.key));
    expect(byKey).to.include({ status: 403, code: "permission_denied" });
    expect(byKey.hint).to.include("aimo auth session").and.include("/v1/auth/siwe");
    const bySession = await errorOf(await client.call("POST", CHATS, session, {}));
    expect(bySession).to.include({ status: 403, code: "permission_denied" });
    expect(bySession.hint).to.include("aimo keys create");
  });

  it("asks for a form where only a form is taken", async () => {
    for (const path of ["/v1/files", "/v1/audio/transcriptions"]) {
      const refused = await post(path, {});
      expect(refused).to.include({ status: 415, message: "The body must be a form: multipart/form-data." });
      expect(refused.hint).to.include("multipart/form-data");
    }
    const refused = await post(CHATS, "a=b", { "content-type": "application/x-www-form-urlencoded" });
    expect(refused).to.include({ status: 415, message: "The body must be JSON." });
  });

  it("tells an empty body from a broken one, and says where that breaks and not what it holds", async () => {
    const authorization = `Bearer ${session}`;
    for (const [path, headers] of [
      [CHATS, {}],
      ["/v1/keys", { authorization }],
    ] as const)
      for (const [body, message] of [
        ["", "The body is empty; it must be JSON."],
        ['{"secret": "x" 1}', "The body is not valid JSON: it breaks at position 15."],
        ['{"secret": ', "The body is not valid JSON: it ends too early."],
        ['{"secret": at position 5 }', "The body is not valid JSON."],
      ] as const)
        expect(await post(path, body, headers), `${path} ${body}`).to.include({ status: 400, message });
    expect((await post("/v1/keys", '{"__proto__": {}}', { authorization })).message).to.include("__proto__");
  });

  it("does not meet an empty body of type JSON where none is needed", async () => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${session}` };
    const made = await jsonOf(await client.call("POST", "/v1/keys", session, {}));
    const path = `${relay.url}/v1/keys/${made.data.hash}`;
    expect((await fetch(path, { method: "DELETE", headers })).status).to.equal(200);
    const key = { ...headers, authorization: `Bearer ${relay.key}` };
    const cancel = `${relay.url}/v1/batches/batch_${"0".repeat(24)}/cancel`;
    expect((await fetch(cancel, { method: "POST", headers: key })).status).to.equal(404);
    expect((await relay.post("/v1/auth/nonce", "")).status).to.equal(200);
  });
});
