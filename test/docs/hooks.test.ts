import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAimoError } from "@aimo/protocol/errors";
import { expect } from "chai";
import { loadHooks } from "../../relay/src/hooking.ts";
import { startRelayWithProvider } from "../relay/support/relay-with-provider.ts";
import { CHAT, eventsOf, jsonOf, providerOf, startTestRelay } from "../relay/support/test-relay.ts";

const PAGE = new URL("../../docs/hooks.md", import.meta.url);

describe("docs/hooks.md", () => {
  let folder: string;
  let module: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "aimo-hooks-"));
    module = await write("hooks.mjs", /```js\n([\s\S]*?)```/.exec(await readFile(PAGE, "utf8"))?.[1] ?? "");
  });
  after(() => rm(folder, { recursive: true }));
  const write = async (name: string, text: string) => {
    const file = join(folder, name);
    await writeFile(file, text);
    return file;
  };

  it("has an example that takes addresses out of prompts, answers and streams", async () => {
    const hooks = await loadHooks({ module, timeLimitMs: 1_000 });
    const relay = await startTestRelay(hooks ? { hooks } : {});
    try {
      providerOf(relay).onAsk = (ask) => ask.reply("Ask bob.b+x@mail.example.org, or me.");
      const messages = [
        { role: "system", content: "I am ann@example.com." },
        { role: "user", content: [{ type: "text", text: "Write to ann@example.com!" }] },
      ];
      const reply = await jsonOf(await relay.post("/v1/chat/completions", { ...CHAT, messages }));
      expect(JSON.parse(String(providerOf(relay).asks[0]?.body)).messages).to.deep.equal([
        { role: "system", content: "I am [address]." },
        { role: "user", content: [{ type: "text", text: "Write to [address]!" }] },
      ]);
      expect(reply.choices[0].message.content).to.equal("Ask [address], or me.");
      providerOf(relay).onAsk = (ask) => {
        for (const piece of ["It is ann", "@exam", "ple.com", " at", " home"]) ask.say(piece);
        const choices = [{ index: 0, delta: {}, finish_reason: "stop" }];
        ask.response.write(`data: ${JSON.stringify({ choices })}\n\n`);
        ask.finish();
      };
      const stream = await relay.post("/v1/chat/completions", { ...CHAT, stream: true });
      const events = eventsOf(await stream.text());
      const pieces = events.slice(0, -2).map((event) => event.choices[0].delta.content);
      expect(pieces).to.deep.equal(["It is ", "", "", "[address] ", "at ", "home"]);
      expect(events.at(-2).aimo.receipt_hash).to.match(/^0x/);
    } finally {
      await relay.close();
    }
  });

  it("names the setting that loads it into a relay, and the refusal is the client's", async () => {
    const network = await startRelayWithProvider({ hooks: { module }, tiers: { default: "free" } });
    try {
      for await (const model of network.client.models.list()) expect(model.object).to.equal("model");
      const messages = [{ role: "user" as const, content: "Tell me of the sea." }];
      const about = { model: "acme/text", messages, max_tokens: 12 };
      const stream = await network.client.chat.completions.create({ ...about, stream: true });
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      expect(text).not.to.equal("");
      const billed = network.ledger.commits.length;
      const refused = await network.client.chat.completions.create({ ...about, n: 2 }).catch((e) => e);
      expect([refused.status, refused.code]).to.deep.equal([403, "permission_denied"]);
      expect(refused.message).to.include("The free tier has one answer at a time.");
      expect(network.ledger.commits).to.have.length(billed);
    } finally {
      await network.close();
    }
  });

  it("says what is config_invalid, and it is", async () => {
    for (const [name, text, words] of [
      ["none.mjs", "export const other = 1;", "none of onRequest"],
      ["text.mjs", 'export const onFrame = "x";', "no function"],
      ["broken.mjs", "export const onFrame = ;", "cannot be loaded"],
      ["throws.mjs", 'throw new Error("at once");', "at once"],
    ] as const) {
      const file = await write(name, text);
      const error: unknown = await loadHooks({ module: file, timeLimitMs: 1 }).catch((e) => e);
      expect(isAimoError(error) && error.code, name).to.equal("config_invalid");
      expect(String(error)).to.include(words).and.to.include("hooks.module");
    }
    const missing = await loadHooks({ module: join(folder, "no.mjs"), timeLimitMs: 1 }).catch((e) => e);
    expect(isAimoError(missing) && missing.code).to.equal("config_invalid");
    expect(await loadHooks({ module: "", timeLimitMs: 1 })).to.equal(undefined);
  });
});
