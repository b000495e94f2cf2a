import { countCharacters } from "@aimo/protocol/audio";
import { expect } from "chai";
import OpenAI, { toFile } from "openai";
import { type RelayWithProvider, startRelayWithProvider } from "../support/relay-with-provider.ts";
import { type Json, until } from "../support/test-relay.ts";

const TEXT = "The tide turns at six. Mind the gap – and the café.";
/** 16-bit mono at 16 kHz, 40 ms for each byte of text. */
const MS_PER_BYTE = 40;

describe("audio and moderation, with a real provider", () => {
  let network: RelayWithProvider;
  let client: OpenAI;
  before(async () => {
    network = await startRelayWithProvider();
    client = network.client;
  });
  after(() => network?.close());

  const lastUsage = () => {
    const outcome = network.ledger.commits.at(-1)?.outcome;
    if (outcome?.kind !== "usage") throw new Error(`The request ended ${JSON.stringify(outcome)}.`);
    return outcome;
  };
  const speak = async (input: string, format: "wav" | "pcm" = "wav") => {
    const request = { model: "acme/speech", voice: "alloy", input, response_format: format } as const;
    const response = await client.audio.speech.create(request);
    return { response, bytes: Buffer.from(await response.arrayBuffer()) };
  };
  const fileOf = (bytes: Buffer) => toFile(bytes, "note.wav", { type: "audio/wav" });

  it("speaks, in the model's own bytes, billed by the character", async () => {
    const { response, bytes } = await speak(TEXT);
    expect(response.headers.get("content-type")).to.equal("audio/wav");
    expect(response.headers.get("x-generation-id")).to.match(/^gen-/);
    expect(bytes.toString("latin1", 0, 4)).to.equal("RIFF");
    expect(bytes.length).to.equal(44 + Buffer.byteLength(TEXT) * MS_PER_BYTE * 32);
    const { statement, charge } = lastUsage();
    expect(statement.units).to.deep.equal([countCharacters(TEXT), 0, 0]);
    expect(charge).to.equal((BigInt(countCharacters(TEXT)) * 15_000_000n * 105n) / 100n);
  });

  it("hears what was spoken, in every format, billed by the millisecond", async () => {
    const { bytes } = await speak(TEXT);
    const file = await fileOf(bytes);
    const ms = Buffer.byteLength(TEXT) * MS_PER_BYTE;
    const heard: Json = await client.audio.transcriptions.create({ model: "acme/listen", file });
    expect(heard.text).to.equal(TEXT);
    expect(heard.usage.seconds).to.equal(ms / 1000);
    expect(heard.usage.cost).to.be.greaterThan(0);
    expect(heard.aimo.receipt_hash).to.match(/^0x/);
    expect(lastUsage().statement.units).to.deep.equal([ms, 0, 0]);
    for (const [format, start] of [
      ["text", TEXT],
      ["srt", "1\n00:00:00,000 --> "],
      ["vtt", "WEBVTT\n\n"],
    ] as const) {
      const text: unknown = await client.audio.transcriptions.create({
        ...{ model: "acme/listen", file, response_format: format },
      });
      expect(text).to.satisfy((value: string) => value.startsWith(start) && value.includes(TEXT));
      expect(lastUsage().statement.units).to.deep.equal([ms, 0, 0]);
    }
    const verbose = await client.audio.transcriptions.create({
      ...{ model: "acme/listen", file, response_format: "verbose_json" },
    });
    expect(verbose.segments?.[0]?.text).to.equal(TEXT);
  });

  it("bills nothing for a silence", async () => {
    const { bytes } = await speak("x");
    const silence = Buffer.concat([bytes.subarray(0, 44), Buffer.alloc(bytes.length - 44)]);
    const { text } = await client.audio.transcriptions.create({
      ...{ model: "acme/listen", file: await fileOf(silence) },
    });
    expect(text).to.equal("");
    expect(lastUsage()).to.include({ charge: 0n });
  });

  it("bills a cut speech whole once a block of it came, and nothing before", async () => {
    const before = network.ledger.commits.length;
    const response = await client.audio.speech.create({
      ...{ model: "acme/speech", voice: "alloy", input: "A long story. ".repeat(200) },
    });
    const reader = response.body?.getReader();
    let bytes = 0;
    while (bytes < 64 * 1024) bytes += (await reader?.read())?.value?.length ?? 0;
    await reader?.cancel();
    await until(() => network.ledger.commits.length > before);
    const { statement, charge } = lastUsage();
    expect(statement.units).to.deep.equal([2_800, 0, 0]);
    expect(charge).to.equal(44_100_000_000n);
  });

  it("moderates, billed by the character and the request", async () => {
    const input = ["I will kill the lights", "Good morning"];
    const reply = await client.moderations.create({ model: "acme/moderation", input });
    expect(reply.results.map(({ flagged }) => flagged)).to.deep.equal([true, false]);
    expect(reply.results[0]?.categories.violence).to.equal(true);
    expect(lastUsage().statement.units).to.deep.equal([countCharacters(input.join("")), 0, 1]);
  });

  it("takes a form apart as strictly as it must", async () => {
    const post = async (form: FormData | string, type?: string) => {
      const headers = { authorization: `Bearer ${network.key}`, ...(type ? { "content-type": type } : {}) };
      const response = await fetch(`${network.url}/v1/audio/transcriptions`, {
        ...{ method: "POST", headers, body: form },
      });
      return [response.status, ((await response.json()) as Json).error.param];
    };
    const formOf = (fields: Readonly<Record<string, string | Blob>>) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      return form;
    };
    const file = new Blob(["RIFF"]);
    expect(await post(formOf({ file }))).to.deep.equal([400, "model"]);
    expect(await post(formOf({ model: "acme/listen" }))).to.deep.equal([400, "file"]);
    expect(await post(formOf({ model: "acme/listen", file: new Blob([]) }))).to.deep.equal([400, "file"]);
    expect(await post(formOf({ model: "acme/listen", file, stream: "true" }))).to.deep.equal([400, "stream"]);
    expect(await post(formOf({ model: "acme/text", file }))).to.deep.equal([400, "model"]);
    // The provider's model refuses what is no recording.
    expect(await post(formOf({ model: "acme/listen", file }))).to.deep.equal([400, "file"]);
    expect(await post("{}", "application/json")).to.deep.equal([415, null]);
    expect(await post("--b\r\n", "multipart/form-data; boundary=other")).to.deep.equal([400, null]);
    expect(await post("--b\r\nrubbish", "multipart/form-data; boundary=b")).to.deep.equal([400, null]);
  });

  it("gives a repeated form its kept reply, though its boundary is another", async () => {
    const { bytes } = await speak("Once only");
    const ask = async () =>
      client.audio.transcriptions
        .create(
          { model: "acme/listen", file: await fileOf(bytes) },
          { headers: { "idempotency-key": "form-1" } },
        )
        .asResponse();
    const first = await (await ask()).text();
    const commits = network.ledger.commits.length;
    const again = await ask();
    expect(await again.text()).to.equal(first);
    expect(again.headers.get("idempotent-replayed")).to.equal("true");
    expect(network.ledger.commits.length).to.equal(commits);
  });

  it("raises the client's own error for a bad request", async () => {
    const wrong = client.audio.speech.create({ model: "acme/speech", voice: "alloy", input: "" });
    const error = await wrong.then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(error).to.be.instanceOf(OpenAI.BadRequestError);
    expect(error).to.include({ param: "input" });
  });

  it("gets every receipt in a group with the provider's signature", async () => {
    const billed = network.ledger.commits.filter(({ outcome }) => outcome.kind === "usage").length;
    await until(() => network.signed.reduce((sum, { count }) => sum + count, 0) >= billed);
    expect(network.signed.every(({ genuine }) => genuine)).to.equal(true);
  });
});
