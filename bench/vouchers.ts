import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { initFastCrypto, recoverAddress, sign } from "@aimo/node/fast-crypto";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { formatVoucher, parseVoucher, voucherDigest } from "@aimo/protocol/vouchers";
import { createVoucherGate } from "@aimo/relay/flow/vouchers";
import { type Address, type Hex, zeroAddress } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const KEY: Hex = `0x${"07".repeat(32)}`;
const COUNT = 5_000;
const WARM_UP = 500;
const IN_FLIGHT = 64;
const DOMAIN = { relayId: 1, userId: 1 };
const separator = domainSeparator({ chainId: 1, verifyingContract: zeroAddress });

/** Processor time for checking the voucher of a request: in the request's own turn, and by a worker thread. */
export async function benchVouchers(): Promise<Readonly<Record<string, number>>> {
  await initFastCrypto();
  const texts = Array.from({ length: COUNT }, (_, index) => textOf(BigInt(index + 1)));
  const [first = ""] = texts;
  const known = texts.map(() => first);
  const alone = await byWorker(texts, 1);
  const many = await byWorker(texts, IN_FLIGHT);
  return {
    "in the request's turn, µs": admitAll(texts),
    "the highest one again, µs": admitAll(known),
    "METERED channel, µs": admitAll(known, true),
    "by a worker thread, µs of the thread that serves": many.own,
    "by a worker thread, µs of both": many.all,
    "by a worker thread, µs that a request waits for it": alone.elapsed,
  };
}

const round = (value: number) => Math.round(10 * value) / 10;

function digestFor(cumulative: bigint): Uint8Array {
  return voucherDigest(separator, { ...DOMAIN, channelEpoch: 1, cumulative });
}

function textOf(cumulative: bigint): string {
  return formatVoucher({ epoch: 1, cumulative, signature: sign(digestFor(cumulative), KEY) });
}

/** Microseconds of processor time for each. */
function admitAll(texts: readonly string[], isMetered = false): number {
  const sessionKey: Address = privateKeyToAccount(KEY).address;
  let highest: ReturnType<typeof parseVoucher>;
  const totals = { charged: 0n, pending: 0n, held: 0n, spent: 0n, free: 1n };
  const gate = createVoucherGate({
    ...{ relayId: DOMAIN.relayId, separator, recover: recoverAddress },
    book: {
      voucherStateOf: (userId) =>
        isMetered ? undefined : { userId, epoch: 1, sessionKey, highest, ...totals },
      takeVoucher: (_, voucher) => {
        highest = voucher;
      },
    },
  });
  for (const text of texts.slice(0, WARM_UP)) gate.admit(1, text, 1n);
  const before = process.threadCpuUsage();
  for (const text of texts) gate.admit(1, text, 1n);
  return round(spent(process.threadCpuUsage(before)) / texts.length);
}

const spent = ({ user, system }: NodeJS.CpuUsage): number => user + system;

/** Microseconds for each, with so many of them under way. */
async function byWorker(texts: readonly string[], inFlight: number) {
  const worker = new Worker(new URL("./voucher-worker.ts", import.meta.url));
  await once(worker, "message");
  const [own, all, started] = [process.threadCpuUsage(), process.cpuUsage(), performance.now()];
  await new Promise<void>((resolve) => {
    let [next, done] = [0, 0];
    const send = () => {
      const voucher = parseVoucher(texts[next++] ?? "");
      if (!voucher) return;
      const { cumulative, signature } = voucher;
      worker.postMessage({ id: next, digest: digestFor(cumulative), signature });
    };
    worker.on("message", () => {
      done += 1;
      if (done === texts.length) resolve();
      else send();
    });
    for (let i = 0; i < inFlight; i++) send();
  });
  const figures = {
    own: round(spent(process.threadCpuUsage(own)) / texts.length),
    all: round(spent(process.cpuUsage(all)) / texts.length),
    elapsed: round((1_000 * (performance.now() - started)) / texts.length),
  };
  await worker.terminate();
  return figures;
}
