import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openData } from "@aimo/node/data-dir";
import type { Hex } from "viem";
import { Journal } from "../relay/src/store/journal.ts";
import { LevelLedger } from "../relay/src/store/ledger.ts";
import { UnpostedReceipts } from "../relay/src/store/unposted.ts";

const REQUESTS = 50_000;
/** Requests in flight at once, as a busy relay has them. */
const WAVE = 500;
const HASH: Hex = `0x${"11".repeat(32)}`;
const ADDRESS: Hex = `0x${"22".repeat(20)}`;

/** Holds and their ends on disk: each wave counts when its journal is synced. */
export async function benchLedger(): Promise<Readonly<Record<string, number>>> {
  const folder = await mkdtemp(join(tmpdir(), "aimo-bench-"));
  const db = await openData({
    location: { folder },
    identity: { chainId: 1, genesisHash: HASH, settlement: ADDRESS },
  });
  try {
    const journal = new Journal(db);
    const unposted = await UnpostedReceipts.open(journal);
    const ledger = await LevelLedger.open({ journal, unposted, now: Date.now, protocolNow: () => 0 });
    ledger.setChannel({
      ...{ userId: 1, owner: ADDRESS, epoch: 1, mode: 0, available: 10n ** 18n, spent: 0n },
      ...{ settleBy: 2, expiry: 1, thawAmount: 0n, thawEnd: 0 },
      ...{ openedAt: 0, revokedAt: 0, sessionKey: ADDRESS },
    });
    const caller = {
      userId: 1,
      owner: ADDRESS,
      keyHash: "k",
      models: undefined,
      limit: undefined,
      limitReset: undefined,
    };
    const started = performance.now();
    for (let first = 0; first < REQUESTS; first += WAVE) {
      const ids = Array.from({ length: WAVE }, (_, i) => `gen-${first + i}`);
      for (const id of ids)
        ledger.hold(
          {
            id,
            userId: 1,
            keyHash: "k",
            epoch: 1,
            model: "m",
            route: "chat",
            streamed: false,
            createdAt: 0,
            bodyHash: HASH,
          },
          caller,
          1_000n,
        );
      for (const id of ids) ledger.commit(id, { kind: "free", reason: "cancelled", attempts: [] });
      await ledger.flushed();
    }
    const seconds = (performance.now() - started) / 1000;
    await journal.close();
    return {
      "requests (hold and commit) per second, durable": Math.round(REQUESTS / seconds),
      "requests in a wave": WAVE,
    };
  } finally {
    await db.close();
    await rm(folder, { recursive: true, force: true });
  }
}
