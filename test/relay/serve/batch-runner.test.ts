import type { Database } from "@aimo/node/data-dir";
import { silentLog } from "@aimo/node/log";
import { randomHex } from "@aimo/node/random";
import { AimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import { hasEnded, type JobRecord } from "../../../relay/src/core/batch-job.ts";
import { type BatchModules, BatchRunner } from "../../../relay/src/flow/batch-runner.ts";
import type { KeyRecord } from "../../../relay/src/flow/ports.ts";
import type { RequestRates } from "../../../relay/src/flow/request-rates.ts";
import { FileStore } from "../../../relay/src/store/files.ts";
import { JobStore } from "../../../relay/src/store/jobs.ts";
import { Journal } from "../../../relay/src/store/journal.ts";
import { KeyStore } from "../../../relay/src/store/keys.ts";
import { openMemory } from "../../provider/support/provider.ts";
import { testLimits } from "../support/test-limits.ts";
import { owner, USER_ID, until } from "../support/test-relay.ts";

const ENDPOINT = "/v1/chat/completions";
const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
const LIMITS = {
  ...{ maxFileBytes: MIB, maxLines: 100, maxStoredPerAccount: MIB, maxStored: MIB },
  ...{ maxInFlight: 4, maxInFlightPerAccount: 2, roomPercent: 100, keepDays: 1 },
};
const SETTINGS = {
  ...{ name: "t", limit: undefined, limitReset: undefined, expiresAt: undefined },
  ...{ models: undefined, disabled: false },
};

describe("the runner of batches", () => {
  let now: number;
  let db: Database;
  let runner: BatchRunner;
  let jobs: JobStore;
  let sent: number;
  let key: KeyRecord;
  let rates: RequestRates;
  beforeEach(async () => {
    now = 1_700_000_000_000;
    sent = 0;
    db = await openMemory();
    jobs = await JobStore.open(new Journal(db));
  });
  afterEach(async () => {
    await runner.stop();
    await db.close();
  });

  /** Runs a batch of so many lines; `serve` may throw what a line is refused with. */
  const run = async (lines: number, serve: () => void, requestsPerMinute?: number): Promise<JobRecord> => {
    const keys = await KeyStore.open(db, () => now);
    const settings = { ...SETTINGS, requestsPerMinute };
    const { record } = await keys.create({ userId: USER_ID, owner: owner.address }, settings);
    key = record;
    rates = testLimits({ now: () => now }).rates;
    const files = await FileStore.open(db, LIMITS, () => now);
    const serving: BatchModules["serving"] = {
      serve: async (_request, sink) => {
        sent++;
        serve();
        sink.sendJson("gen-1", "{}");
        return { generationId: "gen-1" } as Awaited<ReturnType<BatchModules["serving"]["serve"]>>;
      },
    };
    runner = new BatchRunner({
      ...{ jobs, files, keys, rates, serving, limits: LIMITS, log: silentLog(), now: () => now },
      ...{ admission: { inFlight: 0 }, maxInFlight: 64, maxBodyBytes: MIB },
      randomHex: (bytes) => `0x${randomHex(bytes)}`,
    });
    const line = (no: number) =>
      JSON.stringify({
        ...{ custom_id: `${no}`, method: "POST", url: ENDPOINT },
        body: { model: "stand-in", messages: [{ role: "user", content: "Hello" }] },
      });
    const content = Array.from({ length: lines }, (_, no) => Buffer.from(`${line(no)}\n`));
    const about = {
      userId: USER_ID,
      filename: "in.jsonl",
      purpose: "batch",
      expiresAt: now + 9 * DAY_MS,
    } as const;
    const { id } = await files.create(about, content);
    return runner.create({
      ...{ userId: USER_ID, keyHash: record.hash, endpoint: ENDPOINT, inputFileId: id },
      ...{ metadata: null, keepMs: DAY_MS },
    });
  };
  const read = ({ id }: JobRecord) => runner.require(USER_ID, id);

  it("ends what was refused until its time was over as expired", async () => {
    const job = await run(3, () => {
      throw new AimoError("rate_limit_exceeded", { retryAfterSeconds: 1 });
    });
    await until(() => sent > 0);
    expect(read(job).status).to.equal("in_progress");
    now += DAY_MS + 1;
    await until(() => hasEnded(read(job)));
    expect(read(job)).to.deep.include({ status: "expired", counts: { total: 3, completed: 0, failed: 3 } });
    expect(sent).to.be.at.most(LIMITS.maxInFlightPerAccount);
  });

  it("begins no line for a while after a refusal, then sends each once that has not ended", async () => {
    const job = await run(6, () => {
      if (sent === 2) throw new AimoError("overloaded");
    });
    await until(() => sent > 1);
    await until(() => read(job).counts.completed === 1);
    expect(sent).to.equal(2);
    now += 500;
    await until(() => hasEnded(read(job)));
    expect(read(job)).to.deep.include({ status: "completed", counts: { total: 6, completed: 6, failed: 0 } });
    expect(sent).to.equal(7);
  });

  it("takes each line from the requests of its key, and leaves half of a minute's to those who wait", async () => {
    const job = await run(35, () => {}, 60);
    await until(() => read(job).counts.completed === 30);
    expect(sent).to.equal(30);
    for (let i = 0; i < 30; i++) expect(rates.takeOfKey(key).allowed).to.equal(true);
    expect(rates.takeOfKey(key).allowed).to.equal(false);
    now += 35_000;
    await until(() => hasEnded(read(job)));
    expect(read(job)).to.deep.include({ counts: { total: 35, completed: 35, failed: 0 } });
  });

  it("stops at once while it waits, and ends nothing by that", async () => {
    const job = await run(1, () => {
      throw new AimoError("overloaded", { retryAfterSeconds: 3_600 });
    });
    await until(() => sent === 1);
    await runner.stop();
    expect(read(job).status).to.equal("in_progress");
  });
});
