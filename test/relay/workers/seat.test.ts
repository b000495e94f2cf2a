import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { Socket } from "node:net";
import { expect } from "chai";
import { Seat, type SeatParameters } from "../../../relay/src/workers/seat.ts";
import type { WorkerBooks } from "../../../relay/src/workers/worker-books.ts";

const NO_BOOKS = { questions: {}, news: {}, close: () => {} } as unknown as WorkerBooks;

const nothing = () => {};
const NOBODY = {
  onLeft: nothing,
  onUntaken: nothing,
  onEnd: nothing,
  onLate: nothing,
  onHung: nothing,
  onFault: nothing,
};

describe("the seat of a worker", () => {
  const sit = (child: SeatParameters["child"], more: Partial<SeatParameters> = {}) =>
    new Seat({ child, books: NO_BOOKS, ...NOBODY, ...more });

  it("is free again when its process could not be started", async () => {
    const seat = sit(spawn("/nowhere/to/be/found", { stdio: ["ignore", "ignore", "ignore", "ipc"] }));
    const error = await seat.started.catch((caught: unknown) => caught);
    expect(error).to.include({ code: "ENOENT" });
    await seat.ended;
    await seat.close();
  });

  /** A process that says what the test lets it say. */
  class Child extends EventEmitter {
    readonly pid = 1;
    connected = true;
    readonly asked: number[] = [];
    readonly signals: string[] = [];
    send(packets: readonly [kind: number, id: number][]): void {
      for (const [kind, id] of packets) if (kind === 1) this.asked.push(id);
    }
    kill(signal: string): void {
      this.signals.push(signal);
    }
    ready(): void {
      this.emit("message", [[0, "ready", null]]);
    }
    async answer(): Promise<void> {
      for (const id of this.asked.splice(0)) this.emit("message", [[2, id, null]]);
      await turn();
    }
  }
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const sitOn = (more: Partial<SeatParameters> = {}) => {
    const child = new Child();
    const seat = sit(child as unknown as ChildProcess, more);
    child.ready();
    return { child, seat };
  };

  it("is not waited for again when it has missed a ping, until it answers", async () => {
    const { child, seat } = sitOn();
    await seat.heard();
    expect([seat.isLate, child.asked.length]).to.deep.equal([true, 1]);
    await seat.heard();
    expect(child.asked).to.have.length(1);
    await child.answer();
    expect(seat.isLate).to.equal(false);
    const heard = seat.heard();
    await turn();
    await child.answer();
    await heard;
    expect(seat.isLate).to.equal(false);
  });

  it("is ended when it misses pings in a row, which is not told of one that is slow", async () => {
    const told: string[] = [];
    const { child, seat } = sitOn({ onLate: () => told.push("late"), onHung: () => told.push("hung") });
    const watch = async (times: number) => {
      for (let i = 0; i < times; i++) {
        seat.watch();
        await turn();
        await turn();
      }
    };
    await watch(8);
    await child.answer();
    expect([child.signals, told]).to.deep.equal([[], ["late"]]);
    await watch(8);
    expect([child.signals, child.asked.length]).to.deep.equal([[], 1]);
    await watch(1);
    expect([child.signals, told]).to.deep.equal([["SIGKILL"], ["late", "late", "hung"]]);
  });

  it("takes no connection when its process is gone, and gives back those that have not arrived", async () => {
    const untaken: string[] = [];
    const left: string[] = [];
    const { child, seat } = sitOn({
      onUntaken: (_socket, { address }) => untaken.push(address),
      onLeft: (address) => left.push(address),
    });
    const sockets = ["a", "b", "c"].map((address) => {
      const socket = new Socket();
      expect(seat.give(socket, { address, isRefused: false })).to.equal(true);
      return socket;
    });
    child.emit("message", [[0, "taken", 1]]);
    expect(sockets.map(({ destroyed }) => destroyed)).to.deep.equal([true, false, false]);
    child.connected = false;
    expect(seat.give(new Socket(), { address: "d", isRefused: false })).to.equal(false);
    child.emit("close", null, "SIGKILL");
    await seat.ended;
    expect([untaken, left]).to.deep.equal([["b", "c"], ["a"]]);
  });

  it("gives back connections that were sent before a question it has answered, and that it has not taken", async () => {
    const untaken: string[] = [];
    const { child, seat } = sitOn({ onUntaken: (_socket, { address }) => untaken.push(address) });
    const give = (address: string) => seat.give(new Socket(), { address, isRefused: false });
    for (const address of ["a", "b"]) give(address);
    seat.watch();
    await turn();
    give("c");
    expect(untaken).to.deep.equal([]);
    child.emit("message", [[0, "taken", 1]]);
    await child.answer();
    expect([untaken, seat.connectionCount]).to.deep.equal([["b"], 2]);
    // Answered by "taken" in the same message, before.
    seat.watch();
    await turn();
    child.emit("message", [
      [0, "taken", 3],
      [2, child.asked.pop(), null],
    ]);
    await turn();
    expect([untaken, seat.connectionCount]).to.deep.equal([["b"], 2]);
  });

  it("gives back none while it does not answer", async () => {
    const untaken: string[] = [];
    const { seat } = sitOn({ onUntaken: (_socket, { address }) => untaken.push(address) });
    seat.give(new Socket(), { address: "a", isRefused: false });
    for (let times = 0; times < 4; times++) {
      seat.watch();
      await turn();
      await turn();
    }
    expect(untaken).to.deep.equal([]);
  });

  it("is ended when more waits for it than it will ever read", async () => {
    const { child, seat } = sitOn();
    for (let number = 0; number < 70_000; number++) seat.link.tell("behind", number);
    await turn();
    seat.watch();
    expect(child.signals).to.deep.equal(["SIGKILL"]);
  });
});
