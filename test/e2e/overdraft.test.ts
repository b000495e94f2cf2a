import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { initFastCrypto } from "@aimo/node/fast-crypto";
import { PUSD_PER_USD as USD } from "@aimo/protocol/units";
import { expect } from "chai";
import { awaitSettled } from "../../bench/crash/audit.ts";
import { Client } from "../../bench/faults/client.ts";
import { type RawAsk, startRawProvider } from "../../bench/faults/raw-provider.ts";
import { startChild } from "../../bench/relay/child.ts";
import { makeWorld } from "../../bench/relay/make-world.ts";
import { completion, MODEL } from "../../bench/relay/mock.ts";
import { WORLD_FILE } from "../../bench/relay/world.ts";
import { createKey } from "../../scripts/local/sign-in.ts";
import { localWallet } from "../../scripts/local/wallets.ts";

const CHANNEL = 5n * USD;
const REQUESTS = 1_000;
/** An answer of this length costs some four cents: 120 of them are what the channel pays for. */
const MAX_TOKENS = 65_536;
const LEAST_SERVED = 100;
const POLL_MS = 20;

/** What a relay is started with, besides, by the number of its processes. */
const SETTINGS: Readonly<Record<string, string>> = { "one process": "", "four workers": "workers = 4\n" };

type Refusal = { readonly code: string; readonly metadata: { needed_pusd: string; free_pusd: string } };

/** Answers with as much text as the relay pays for, so that nearly all of each hold is charged. */
function spendAll({ call, response }: RawAsk): void {
  const text = "x".repeat(call.max);
  const { statement, mac } = call.state(text, call.max);
  const whole = completion(call.id);
  const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }];
  const usage = { "aimo-usage": Buffer.from(statement).toString("base64url"), "aimo-usage-mac": mac };
  response
    .writeHead(200, { "content-type": "application/json", ...usage })
    .end(JSON.stringify({ ...whole, choices }));
}

describe(`${REQUESTS} requests at once on a channel of 5 USD`, function () {
  this.timeout(180_000);
  before(() => initFastCrypto());

  for (const [name, more] of Object.entries(SETTINGS))
    it(`are served as far as it goes, and refused with numbers beyond: ${name}`, async () => {
      await using started = new AsyncDisposableStack();
      const folder = await mkdtemp(join(tmpdir(), "aimo-overdraft-"));
      started.defer(() => rm(folder, { recursive: true, force: true }));
      const limits = "[serving]\nmax_in_flight_per_account = 4096\n\n[upstream]\nconnections = 4096\n";
      const settings = `${more}\n[http]\nport = 0\nrequests_per_minute = 1000000\n\n${limits}`;
      const { world, close } = await makeWorld(folder, { channel: CHANNEL, settings });
      started.defer(close);
      await writeFile(join(folder, WORLD_FILE), JSON.stringify(world), { mode: 0o600 });
      const relay = await startChild({ program: "run-relay.ts", args: [folder], core: 0 });
      started.defer(() => relay.close());
      const bootstrap = String(relay.ready["p2p"]).split(",");
      const provider = await startRawProvider(world, bootstrap, MAX_TOKENS);
      started.defer(() => provider.close());
      const url = `http://127.0.0.1:${relay.ready["port"]}`;
      const key = await createKey(url, localWallet(world.rpcUrl, world.user), "crowd");
      await waitForOffer(url);

      // Nobody is answered before everybody was admitted or refused: all holds stand at once.
      const waiting: RawAsk[] = [];
      provider.play = (ask) => void waiting.push(ask);
      const refusals: Refusal[] = [];
      const charges: bigint[] = [];
      const all = Array.from({ length: REQUESTS }, () => ask(url, key, { refusals, charges }));
      while (waiting.length + refusals.length < REQUESTS) await wait(POLL_MS);
      expect(waiting.length).to.be.within(LEAST_SERVED, REQUESTS - 1);
      for (const one of waiting) spendAll(one);
      await Promise.all(all);

      expect(charges).to.have.length(waiting.length);
      for (const { code, metadata } of refusals) {
        expect(code).to.equal("insufficient_credits");
        expect(BigInt(metadata.needed_pusd) > BigInt(metadata.free_pusd)).to.equal(true);
      }
      const sum = charges.reduce((total, charge) => total + charge, 0n);
      expect(sum <= CHANNEL, `${sum} pUSD were charged`).to.equal(true);
      const books = await awaitSettled(new Client(url, key));
      expect(books).to.deep.equal({ held: 0n, pending: 0n, charged: sum, settled: sum });
    });
});

type Seen = { readonly refusals: Refusal[]; readonly charges: bigint[] };

async function ask(url: string, key: string, { refusals, charges }: Seen): Promise<void> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: "user", content: "Write as much as you may." }],
      max_tokens: MAX_TOKENS,
    }),
  });
  const { error, aimo } = (await response.json()) as { error?: Refusal; aimo?: { cost_pusd: string } };
  expect(response.status, JSON.stringify(error)).to.equal(error ? 402 : 200);
  if (error) refusals.push(error);
  else charges.push(BigInt(aimo?.cost_pusd ?? -1));
}

async function waitForOffer(url: string): Promise<void> {
  for (;;) {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: unknown[] };
    if (data.length > 0) return;
    await wait(POLL_MS);
  }
}
