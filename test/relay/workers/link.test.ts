import { EventEmitter } from "node:events";
import { expect } from "chai";
import { Link, type LinkPort } from "../../../relay/src/workers/link.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A process that takes what it is sent when the test says so. */
class Port extends EventEmitter {
  readonly connected = true;
  readonly sent: unknown[] = [];
  readonly #callbacks: (() => void)[] = [];
  send(packets: readonly unknown[], _socket: unknown, _options: unknown, callback: () => void): void {
    this.sent.push(...packets);
    this.#callbacks.push(callback);
  }
  take(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }
}

describe("a link to another process", () => {
  const open = () => {
    const port = new Port();
    const handlers = { questions: {}, news: {}, onFault: () => {} };
    type Asked = { ping: [null, null] };
    const link = new Link<Asked, { news: number; hint: number }, never, never>(
      port as unknown as LinkPort,
      handlers as never,
    );
    return { port, link };
  };

  it("leaves hints out while the other side does not read, and nothing else", async () => {
    const { port, link } = open();
    for (let number = 0; number < 5_000; number++) link.tell("news", number);
    await turn();
    expect([link.unsent, port.sent.length]).to.deep.equal([5_000, 5_000]);
    link.hint("hint", 1);
    link.tell("news", 5_000);
    await turn();
    expect(port.sent.slice(5_000)).to.deep.equal([[0, "news", 5_000]]);
    port.take();
    expect(link.unsent).to.equal(0);
    link.hint("hint", 2);
    await turn();
    expect(port.sent.at(-1)).to.deep.equal([0, "hint", 2]);
  });

  it("counts the questions that are not answered", async () => {
    const { port, link } = open();
    const answers = [link.ask("ping", null), link.ask("ping", null)];
    expect(link.asked).to.equal(2);
    await turn();
    port.emit("message", [[2, 1, null]]);
    expect(link.asked).to.equal(1);
    link.end();
    const [, second] = await Promise.allSettled(answers);
    expect([link.asked, second?.status]).to.deep.equal([0, "rejected"]);
  });
});
