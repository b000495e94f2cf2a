import { expect } from "chai";
import { MAX_SERIES, Observations, percentilesOf, uptimeOf } from "../../../relay/src/core/observations.ts";
import type { Attempt, Outcome } from "../../../relay/src/core/types.ts";

const NOW = 1_790_000_000_000;
const MINUTE = 60_000;
const attempt = (providerId: number, error?: Attempt["error"]): Attempt => ({
  ...{ providerId, nonce: "0x", latencyMs: 5 },
  ...(error ? { status: "failed", error } : { status: "ok" }),
});
const served = (providerId: number, latencyMs = 100, tokens = 50): Outcome => ({
  ...{ kind: "usage", providerId, nonce: "0x", requestHash: "0x", modelId: 1, priceVersion: 1, charge: 1n },
  statement: {
    ...{
      attempt: "0x",
      issuedAt: 1,
      units: [1, 0, tokens],
      cost: "1",
      responseHash: "0x",
      receiptHash: "0x",
    },
  },
  ...{
    finishReason: "stop",
    cancelled: false,
    attempts: [attempt(providerId)],
    latencyMs,
    generationMs: 1_000,
  },
});
const failed = (providerId: number, error: NonNullable<Attempt["error"]>): Outcome => ({
  ...{ kind: "free", reason: error, attempts: [attempt(providerId, error)] },
});

describe("relay/core/observations", () => {
  it("counts in windows that move on", () => {
    const observations = new Observations();
    observations.add("m", failed(1, "timeout"), NOW);
    observations.add("m", served(1), NOW + 10 * MINUTE);
    const at = (minutes: number) => observations.read(1, "m", NOW + minutes * MINUTE);
    expect(at(10)).to.deep.include({ last5m: { ok: 1, failed: 0 }, last30m: { ok: 1, failed: 1 } });
    expect(at(35)).to.deep.include({ last30m: { ok: 1, failed: 0 }, last1d: { ok: 1, failed: 1 } });
    expect(at(26 * 60)).to.deep.include({ last1d: { ok: 0, failed: 0 } });
    expect(at(26 * 60)?.latency).to.equal(undefined);
  });

  it("keeps providers and models apart, and knows nothing of what it did not see", () => {
    const observations = new Observations();
    observations.add("m", served(1), NOW);
    expect(observations.read(2, "m", NOW)).to.equal(undefined);
    expect(observations.read(1, "n", NOW)).to.equal(undefined);
  });

  it("lays only on a provider what is its fault", () => {
    const observations = new Observations();
    for (const code of ["invalid_request", "overloaded", "rate_limit_exceeded"] as const)
      observations.add("m", failed(1, code), NOW);
    expect(observations.read(1, "m", NOW)).to.equal(undefined);
    observations.add("m", failed(1, "provider_unavailable"), NOW);
    expect(observations.read(1, "m", NOW)?.last5m).to.deep.equal({ ok: 0, failed: 1 });
  });

  it("gives percentiles of what was served, by nearest rank", () => {
    const observations = new Observations();
    for (let ms = 1; ms <= 100; ms++) observations.add("m", served(1, ms, ms), NOW);
    const { latency, throughput } = observations.read(1, "m", NOW) ?? {};
    expect(latency).to.deep.equal({ p50: 50, p75: 75, p90: 90, p99: 99 });
    expect(throughput).to.deep.equal(latency);
    expect(percentilesOf([])).to.equal(undefined);
    expect(uptimeOf({ ok: 3, failed: 1 })).to.equal(0.75);
    expect(uptimeOf({ ok: 0, failed: 0 })).to.equal(undefined);
  });

  it("is bounded", () => {
    const observations = new Observations();
    for (let id = 0; id <= MAX_SERIES; id++) observations.add("m", served(id), NOW);
    expect(observations.read(0, "m", NOW)).to.equal(undefined);
    expect(observations.read(MAX_SERIES, "m", NOW)?.last5m.ok).to.equal(1);
  });
});
