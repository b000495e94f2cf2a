import { spawn } from "node:child_process";
import { expect } from "chai";
import { Seat, type SeatParameters } from "../../../relay/src/workers/seat.ts";
import type { WorkerBooks } from "../../../relay/src/workers/worker-books.ts";

const NO_BOOKS = { questions: {}, news: {}, close: () => {} } as unknown as WorkerBooks;

describe("the seat of a worker", () => {
  const sit = (child: SeatParameters["child"]) =>
    new Seat({ child, books: NO_BOOKS, onLeft: () => {}, onEnd: () => {}, onFault: () => {} });

  it("is free again when its process could not be started", async () => {
    const seat = sit(spawn("/nowhere/to/be/found", { stdio: ["ignore", "ignore", "ignore", "ipc"] }));
    const error = await seat.started.catch((caught: unknown) => caught);
    expect(error).to.include({ code: "ENOENT" });
    await seat.ended;
    await seat.close();
  });
});
