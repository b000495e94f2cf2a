import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import type { KeySettings } from "../../../relay/src/flow/ports.ts";
import { KeyStore, MAX_KEYS_PER_ACCOUNT } from "../../../relay/src/store/keys.ts";
import { callerOf, type Disk, DRIVERS } from "./books-world.ts";

const SETTINGS: KeySettings = {
  ...{ name: "", limit: undefined, limitReset: undefined },
  ...{ expiresAt: undefined, models: undefined, disabled: false },
};
const { userId, owner } = callerOf(1);

for (const [name, openDisk] of Object.entries(DRIVERS))
  describe(`keys on ${name}`, () => {
    let disk: Disk;
    let keys: KeyStore;
    beforeEach(async () => {
      disk = await openDisk();
      keys = await KeyStore.open(disk.db, Date.now);
    });
    afterEach(() => disk.remove());

    const refusalOf = (key: string): string => {
      try {
        keys.authenticate(key);
        return "accepted";
      } catch (error) {
        if (isAimoError(error)) return error.code;
        throw error;
      }
    };

    it("keep every change of several that race", async () => {
      const { record } = await keys.create({ userId, owner }, SETTINGS);
      await Promise.all([
        keys.change(userId, record.hash, { disabled: true }),
        keys.change(userId, record.hash, { name: "renamed" }),
        keys.change(userId, record.hash, { limit: 5n }),
      ]);
      const changed = { disabled: true, name: "renamed", limit: 5n };
      expect(keys.find(userId, record.hash)).to.include(changed);
      const again = await KeyStore.open(await disk.reopen(), Date.now);
      expect(again.find(userId, record.hash)).to.include(changed);
    });

    it("stay revoked whatever change is under way, at once and over a restart", async () => {
      const { key, record } = await keys.create({ userId, owner }, SETTINGS);
      const change = () => keys.change(userId, record.hash, { name: "late" }).catch(() => {});
      const all = [change(), keys.remove(userId, record.hash), change()];
      expect(refusalOf(key)).to.equal("authentication_failed");
      await Promise.all(all);
      expect(refusalOf(key)).to.equal("authentication_failed");
      expect(keys.list(userId)).to.deep.equal([]);
      keys = await KeyStore.open(await disk.reopen(), Date.now);
      expect(refusalOf(key)).to.equal("authentication_failed");
    });

    it("are at most so many for an account, also when they are made at once", async function () {
      this.timeout(30_000);
      const made = await Promise.allSettled(
        Array.from({ length: MAX_KEYS_PER_ACCOUNT + 5 }, () => keys.create({ userId, owner }, SETTINGS)),
      );
      expect(made.filter(({ status }) => status === "rejected")).to.have.length(5);
      expect(keys.list(userId)).to.have.length(MAX_KEYS_PER_ACCOUNT);
    });
  });
