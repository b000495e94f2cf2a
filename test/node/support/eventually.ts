import { setTimeout as sleep } from "node:timers/promises";

/** Looks until `look` returns something, for things that raise no event. Fails, naming `what`, at the deadline. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`Never happened: ${what}.`);
    await sleep(20);
  }
}
