import { expect } from "chai";
import fc from "fast-check";
import { isRetryable, retryDelayMs, wait } from "../../sdk/typescript/src/retry.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const delay = (retryAfter: string | null, attempt = 0, random = 0) =>
  retryDelayMs({ attempt, retryAfter, nowMs: NOW, random });

describe("sdk/retry", () => {
  it("waits what Retry-After says, in seconds or until a date", () => {
    expect(delay("3")).to.equal(3_000);
    expect(delay("0")).to.equal(0);
    expect(delay("0.25")).to.equal(250);
    expect(delay("Thu, 01 Jan 2026 00:00:07 GMT")).to.equal(7_000);
    expect(delay("Thu, 01 Jan 2015 00:00:00 GMT")).to.equal(0);
  });

  it("gives up rather than wait longer than a minute", () => {
    expect(delay("61")).to.equal(undefined);
    expect(delay("Fri, 02 Jan 2026 00:00:00 GMT")).to.equal(undefined);
  });

  it("doubles from half a second to eight, less up to a quarter", () => {
    expect([0, 1, 2, 3, 4, 5, 20].map((attempt) => delay(null, attempt))).to.deep.equal([
      500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000,
    ]);
    fc.assert(
      fc.property(fc.nat(30), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
        const full = delay(null, attempt) ?? 0;
        const ms = delay("soon", attempt, random) ?? -1;
        expect(ms).to.be.within(0.75 * full, full);
      }),
    );
  });

  it("retries what can succeed later, and a conflict only when the relay says when", () => {
    const none = new Headers();
    expect([408, 429, 500, 502, 503, 504].every((status) => isRetryable(status, none))).to.equal(true);
    expect([400, 401, 402, 403, 404, 409, 413, 422].some((status) => isRetryable(status, none))).to.equal(
      false,
    );
    expect(isRetryable(409, new Headers({ "retry-after": "1" }))).to.equal(true);
  });

  it("leaves what the relay says may have been carried out to the caller", () => {
    expect(isRetryable(502, new Headers({ "x-should-retry": "false" }))).to.equal(false);
    expect(isRetryable(502, new Headers({ "x-should-retry": "true" }))).to.equal(true);
  });

  it("stops waiting at once when it is aborted", async () => {
    const controller = new AbortController();
    const waiting = wait(60_000, controller.signal).then(
      () => "waited",
      () => "aborted",
    );
    controller.abort();
    expect(await waiting).to.equal("aborted");
    expect(await wait(60_000, controller.signal).catch(() => "aborted")).to.equal("aborted");
  });
});
