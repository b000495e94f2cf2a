import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Deployment } from "@aimo/protocol/deployment";
import type { Voucher } from "../core/outstanding.ts";
import type { FlowLog, VoucherFiles } from "../flow/ports.ts";

export type VoucherFilesParameters = {
  readonly folder: string;
  readonly deployment: Pick<Deployment, "chainId" | "contracts">;
  readonly providerId: number;
  readonly log: Pick<FlowLog, "error">;
};

/** What a file holds: the arguments of `Reserves.redeemProviderVoucher` but the payee, and where it is called. */
export type VoucherFile = {
  readonly chainId: number;
  readonly reserves: string;
  readonly relayId: number;
  readonly providerId: number;
  /** pUSD, decimal string. */
  readonly cumulative: string;
  readonly signature: string;
  readonly receivedAt: string;
};

/** Writes each relay's newest voucher to `relay-<id>.json`, whole or not at all. Whoever has it can redeem it. */
export function createVoucherFiles({
  folder,
  deployment,
  providerId,
  log,
}: VoucherFilesParameters): VoucherFiles {
  const waiting = new Map<number, Voucher>();
  let running: Promise<void> | undefined;
  const writeOne = async (relayId: number, voucher: Voucher) => {
    const content: VoucherFile = {
      chainId: deployment.chainId,
      reserves: deployment.contracts.reserves,
      relayId,
      providerId,
      cumulative: voucher.cumulative.toString(),
      signature: voucher.signature,
      receivedAt: new Date(voucher.receivedAtMs).toISOString(),
    };
    const path = join(folder, `relay-${relayId}.json`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(`${path}.new`, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  };
  const writeAll = async () => {
    for (;;) {
      const [next] = waiting;
      if (!next) return;
      waiting.delete(next[0]);
      // The journal has the voucher too: a full disk costs the file, not the money.
      await writeOne(...next).catch((error: unknown) =>
        log.error({ err: error }, "A voucher file was not written."),
      );
    }
  };
  return {
    write(relayId, voucher) {
      waiting.set(relayId, voucher);
      running ??= writeAll().finally(() => {
        running = undefined;
      });
    },
    flushed: async () => {
      await running;
    },
  };
}
