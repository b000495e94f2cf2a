import { initFastCrypto } from "@aimo/node/fast-crypto";
import { CHANNEL_MODES } from "@aimo/protocol/deployment";
import { parseVoucher } from "@aimo/protocol/vouchers";
import { AimoClient, AimoError, type RequestRecord, type SessionOptions } from "@aimo/sdk";
import { expect } from "chai";
import {
  channelOf,
  type Disk,
  DRIVERS,
  newClock,
  openWorld,
  type World,
} from "../relay/store/books-world.ts";
import { SESSION_ADDRESS, SESSION_KEY, voucherText } from "../relay/support/session-key.ts";
import {
  CHAIN_ID,
  CHAT,
  providerOf,
  RELAY_ID,
  SEPARATOR,
  SETTLEMENT,
  startTestRelay,
  type TestRelay,
  USD,
  USER_ID,
  until,
} from "../relay/support/test-relay.ts";

const DOMAIN = { separator: SEPARATOR, relayId: RELAY_ID, userId: USER_ID };
const PAYEE = { relayId: RELAY_ID, chainId: CHAIN_ID, settlement: SETTLEMENT };
const REQUEST = { ...CHAT, messages: [{ role: "user" as const, content: "Hello" }] };
const IN_FLIGHT = 64;

/** The SDK's session key against a relay's HTTP interface with its real ledger. */
describe("a client with a session key", () => {
  let relay: TestRelay;
  let disk: Disk;
  let world: World;
  /** Vouchers as they were sent, and statuses as they came back. */
  let sent: (string | null)[];
  let statuses: number[];
  let asked: string[];

  before(initFastCrypto);
  beforeEach(async () => {
    disk = await DRIVERS["memory-level"]();
    world = await openWorld(disk.db, newClock());
    setChannel();
    relay = await startTestRelay({ realLedger: world.ledger, book: world.ledger.vouchers });
    sent = [];
    statuses = [];
    asked = [];
  });
  afterEach(async () => {
    await relay.close();
    await disk.remove();
  });

  const setChannel = (change = {}) =>
    world.ledger.setChannel(
      channelOf(USER_ID, { mode: CHANNEL_MODES.signed, sessionKey: SESSION_ADDRESS, ...change }),
    );
  const clientOf = (session: Partial<SessionOptions> = {}, records?: (record: RequestRecord) => void) =>
    new AimoClient({
      ...(records ? { records } : {}),
      ...{ apiKey: relay.key, baseURL: `${relay.url}/v1`, maxRetries: 0 },
      session: { key: SESSION_KEY, ...PAYEE, ...session },
      fetch: async (input, init) => {
        sent.push(new Headers(init?.headers).get("aimo-voucher"));
        const response = await fetch(input, init);
        statuses.push(response.status);
        if (!String(input).includes("/generation")) return response;
        const text = await response.text();
        asked.push(text);
        return new Response(text, response);
      },
    });
  const balance = () => world.ledger.balanceOf(USER_ID);
  const highestSent = () =>
    sent.reduce((most, text) => {
      const cumulative = (text && parseVoucher(text)?.cumulative) || 0n;
      return cumulative > most ? cumulative : most;
    }, 0n);
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => error as AimoError,
    );

  it("is told once what a request needs, then signs for the charge and the next worst case", async () => {
    const client = clientOf();
    const first = await client.chat.completions.create(REQUEST);
    const second = await client.chat.completions.create(REQUEST);
    expect(statuses).to.deep.equal([402, 200, 200]);
    expect(sent[0]).to.equal(null);
    const hold = BigInt(first.aimo.provisional?.hold_pusd ?? 0);
    const charge = BigInt(first.aimo.cost_pusd);
    expect(sent.slice(1).map((text) => parseVoucher(text ?? "")?.cumulative)).to.deep.equal([
      hold,
      charge + hold,
    ]);
    expect(balance()?.pending).to.equal(charge + BigInt(second.aimo.cost_pusd));
  });

  it(`has ${IN_FLIGHT} requests in flight after one refusal, and signs for no more than those`, async () => {
    const client = clientOf();
    const waiting: (() => void)[] = [];
    providerOf(relay).onAsk = (ask) => void waiting.push(() => ask.reply("Hello."));
    const answers = Array.from({ length: IN_FLIGHT }, () => client.chat.completions.create(REQUEST));
    await until(() => waiting.length === IN_FLIGHT);
    const held = balance()?.held ?? 0n;
    expect(highestSent()).to.equal(held);
    for (const reply of waiting) reply();
    await Promise.all(answers);
    expect(statuses.filter((status) => status === 402)).to.have.length(1);
    const { charge, hold } = { charge: balance()?.pending ?? 0n, hold: held / BigInt(IN_FLIGHT) };
    providerOf(relay).onAsk = (ask) => ask.reply("Hello.");
    await client.chat.completions.create(REQUEST);
    // Nothing is lowered, and nothing is added that the channel's own charges and this request do not need.
    expect(highestSent()).to.equal(held > charge + hold ? held : charge + hold);
  });

  it("counts nothing, and records nothing, for an answer that the relay had already", async () => {
    const records: string[] = [];
    const client = clientOf({}, ({ id }) => void records.push(id));
    const options = { headers: { "x-aimo-cache": "true" } };
    const first = await client.chat.completions.create(REQUEST, options);
    const before = balance();
    const again = await client.chat.completions.create(REQUEST, options);
    expect(again.aimo).to.include({ cached: true, cost_pusd: "0" });
    const streamed = { ...REQUEST, stream: true } as const;
    providerOf(relay).onAsk = (ask) => {
      for (const word of ["One", " two", " three."]) ask.say(word);
      ask.finish();
    };
    const read = await client.chat.completions.create(streamed, options);
    for await (const _ of read);
    const charged = balance();
    // One that is left says nothing of its cost: its head did.
    for await (const _ of await client.chat.completions.create(streamed, options)) break;
    expect(balance()).to.deep.equal(charged);
    expect(records).to.deep.equal([first.aimo.generation_id, read.generationId]);
    providerOf(relay).onAsk = (ask) => ask.reply("Hello.");
    const { aimo } = await client.chat.completions.create(REQUEST);
    const charges = (before?.pending ?? 0n) + BigInt(read.aimo()?.cost_pusd ?? 0);
    const hold = BigInt(aimo.provisional?.hold_pusd ?? 0);
    // Room for one request that runs, and for none that is over.
    expect(Number(highestSent() - charges)).to.be.within(Number(hold), 1.5 * Number(hold));
    expect(asked).to.have.length(0);
  });

  it("counts a stream that was left at what the relay says it cost", async () => {
    const client = clientOf();
    const body = { ...REQUEST, stream: true } as const;
    providerOf(relay).onAsk = (ask) => void ask.say("One two three.");
    for await (const _ of await client.chat.completions.create(body)) break;
    await until(() => balance()?.held === 0n);
    const cut = balance()?.pending ?? 0n;
    // The client asks what it was charged, in its own time.
    await until(() => asked.length > 0);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    providerOf(relay).onAsk = (ask) => {
      ask.say("Hello.");
      ask.finish();
    };
    const stream = await client.chat.completions.create(body);
    for await (const _ of stream);
    const hold = BigInt(stream.aimo()?.provisional?.hold_pusd ?? 0);
    expect(cut > 0n).to.equal(true);
    expect(parseVoucher(sent.at(-1) ?? "")?.cumulative).to.equal(cut + hold);
  });

  it("counts nothing for a request that failed", async () => {
    const client = clientOf();
    providerOf(relay).onAsk = (ask) => void ask.response.writeHead(500).end("{}");
    const error = await failure(client.chat.completions.create(REQUEST));
    expect(error?.code).to.equal("provider_unavailable");
    providerOf(relay).onAsk = (ask) => ask.reply("Hello.");
    const { aimo } = await client.chat.completions.create(REQUEST);
    expect(highestSent()).to.equal(BigInt(aimo.provisional?.hold_pusd ?? 0));
  });

  it("goes on after a restart from what it signed before, which the relay has to show", async () => {
    await clientOf().chat.completions.create(REQUEST);
    const charge = balance()?.pending ?? 0n;
    const anew = clientOf();
    const { aimo } = await anew.chat.completions.create(REQUEST);
    expect(highestSent()).to.equal(charge + BigInt(aimo.provisional?.hold_pusd ?? 0));
    await anew.chat.completions.create(REQUEST);
    expect(statuses.filter((status) => status === 402)).to.have.length(2);
  });

  it("shares a channel with another client of the same key", async () => {
    const [one, two] = [clientOf(), clientOf()];
    for (let turn = 0; turn < 3; turn++) {
      await one.chat.completions.create(REQUEST);
      await two.chat.completions.create(REQUEST);
    }
    expect(statuses.filter((status) => status === 200)).to.have.length(6);
    expect((balance()?.pending ?? 0n) <= (balance()?.voucher ?? 0n)).to.equal(true);
  });

  it("never signs for more ahead than it is allowed to", async () => {
    const { aimo } = await clientOf().chat.completions.create(REQUEST);
    const hold = BigInt(aimo.provisional?.hold_pusd ?? 0);
    const waiting: (() => void)[] = [];
    providerOf(relay).onAsk = (ask) => void waiting.push(() => ask.reply("Hello."));
    const three = `0.${`${3n * hold + 7n}`.padStart(12, "0")}`;
    const client = clientOf({ maxAheadUsd: three });
    const answers = Array.from({ length: 5 }, () => failure(client.chat.completions.create(REQUEST)));
    await until(() => waiting.length === 3);
    for (const reply of waiting) reply();
    const codes = (await Promise.all(answers)).map((error) => error?.code);
    expect(codes.filter((code) => code === undefined)).to.have.length(3);
    expect(codes.filter((code) => code === "voucher_ceiling")).to.have.length(2);
  });

  it("refuses to sign for a channel of another key, and for charges that it never signed for", async () => {
    const other = await failure(clientOf({ key: `0x${"55".repeat(32)}` }).chat.completions.create(REQUEST));
    expect(other?.code).to.equal("voucher_invalid");
    expect(other?.message).to.contain(SESSION_ADDRESS);
    // A relay that says that the channel was charged a dollar, and shows no voucher for it.
    setChannel({ epoch: 2, spent: USD });
    const claimed = await failure(clientOf().chat.completions.create(REQUEST));
    expect(claimed?.message).to.match(/never signed/);
    // Nor does somebody else's signature show it.
    const forged = voucherText(DOMAIN, 2n * USD, { epoch: 2, key: `0x${"66".repeat(32)}` });
    world.ledger.vouchers.takeVoucher(
      USER_ID,
      parseVoucher(forged) as NonNullable<ReturnType<typeof parseVoucher>>,
    );
    expect((await failure(clientOf().chat.completions.create(REQUEST)))?.message).to.match(/never signed/);
    expect(sent.every((text) => text === null)).to.equal(true);
  });

  it("starts from zero when the channel was opened anew, and goes no further back", async () => {
    const client = clientOf();
    await client.chat.completions.create(REQUEST);
    setChannel({ epoch: 2 });
    const { aimo } = await client.chat.completions.create(REQUEST);
    expect(aimo.channel?.epoch).to.equal(2);
    expect(parseVoucher(sent.at(-1) ?? "")).to.include({
      ...{ epoch: 2, cumulative: BigInt(aimo.provisional?.hold_pusd ?? 0) },
    });
  });

  it("pays a METERED channel as any client does", async () => {
    setChannel({ epoch: 2, mode: CHANNEL_MODES.metered });
    const client = clientOf();
    await Promise.all([1, 2, 3].map(() => client.chat.completions.create(REQUEST)));
    expect(sent).to.deep.equal([null, null, null]);
  });

  it("names a key or a limit that is none, and does not repeat the key", () => {
    const secret = `0x${"12".repeat(31)}` as const;
    const make = (session: SessionOptions) => () => new AimoClient({ session });
    expect(make({ key: secret }))
      .to.throw(AimoError, /session\.key/)
      .and.not.match(/1212/);
    expect(make({ key: SESSION_KEY, maxAheadUsd: "much" })).to.throw(AimoError, /maxAheadUsd/);
  });
});
