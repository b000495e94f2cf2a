import { Writable } from "node:stream";
import { createLog, type Log } from "@aimo/node/log";

export type WorkerProcesses = {
  readonly log: Log;
  /** By their numbers. */
  readonly pids: ReadonlyMap<number, number>;
  /** Resolves when the log has a line that begins so, of a worker. */
  said(sentence: string): Promise<void>;
};

/** Workers of a relay, as its log tells of them. */
export function watchWorkers(): WorkerProcesses {
  const pids = new Map<number, number>();
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const destination = new Writable({
    write(line, _encoding, done) {
      const { worker, worker_pid: pid, msg } = JSON.parse(String(line));
      if (msg === "A worker serves.") pids.set(worker, pid);
      lines.push(msg);
      for (const look of [...waiting]) look();
      done();
    },
  });
  const said = (sentence: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!lines.some((line) => line.startsWith(sentence))) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { pids, said, log: createLog({ level: "info", name: "relay", destination }) };
}
