import { expect } from "chai";
import { kindOf, PLACES } from "../../../relay/src/http/asked-kinds.ts";

describe("the kinds of requests that are passed on", () => {
  const BODIES = ["plain", "read", "coming"] as const;
  const kindsOf = (method: string, url: string) => BODIES.map((body) => kindOf({ method, url }, body));

  it("are those of their bodies for all that has short answers", () => {
    for (const [method, url] of [
      ...[["GET", "/health"] as const, ["GET", "/metrics"] as const, ["POST", "/v1/auth/siwe"] as const],
      ...[["POST", "/v1/keys"] as const, ["GET", "/v1/chat/completions"] as const],
      ...[["POST", "/v1/files"] as const, ["GET", "/v1/files/content"] as const, ["GET", "/%"] as const],
    ])
      expect(kindsOf(method, url), url).to.deep.equal(BODIES);
  });

  it("have inference as one that is read, and one that is still to come", () => {
    for (const url of ["/v1/chat/completions", "/v1/audio/transcriptions", "/v1/%6dessages?beta=true"])
      expect(kindsOf("POST", url), url).to.deep.equal(["inference", "inference", "inferenceComing"]);
  });

  it("have what files contain as one, however its path is written and whatever comes with it", () => {
    for (const url of [
      ...["/v1/files/a/content", "/v1/files/a/content?b=/c", "/v1/f%69les/%2F/content", "/v1/files//content"],
      ...["http://relay/v1/files/a/content", "HTTPS://a#b/v1/files/a%0A/content#"],
    ])
      expect(kindsOf("GET", url), url).to.deep.equal(["contents", "contents", "contents"]);
  });

  it("are as many connections as is written", () => {
    expect(Object.values(PLACES).reduce((sum, each) => sum + each, 0)).to.equal(1_408);
  });
});
