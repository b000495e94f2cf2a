import { toHex } from "@aimo/protocol/bytes";
import { usageDigest } from "@aimo/protocol/receipts";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { costOf } from "@aimo/protocol/units";
import { ChatRecord } from "@aimo/provider/core/chat-record";
import { kindsOf } from "@aimo/provider/core/prices";
import type { ServedModel } from "@aimo/provider/core/types";
import { statedUnits } from "@aimo/provider/core/usage";
import { VENDORS } from "@aimo/provider/core/vendors";
import { inputOf, prepare } from "@aimo/provider/flow/input";
import { createCounter } from "@aimo/provider/flow/prompt-count";
import { type JsonAnswer, readAnswer, textAnswer } from "@aimo/provider/flow/response";
import { expect } from "chai";
import fc from "fast-check";
import type { Hex } from "viem";
import { type Ask, readAsk } from "../../../relay/src/core/ask.ts";
import { planHold, tokensFor, worstUnits } from "../../../relay/src/core/estimate.ts";
import { judgeStatement } from "../../../relay/src/core/judge.ts";
import { ChatMeter, type Delivered } from "../../../relay/src/core/meter.ts";
import { readReply } from "../../../relay/src/core/reply-meter.ts";
import type { Offer } from "../../../relay/src/core/types.ts";
import { MODELS } from "../../provider/support/provider.ts";

const HASH: Hex = `0x${"ab".repeat(32)}`;
const SEPARATOR = domainSeparator({
  chainId: 1,
  verifyingContract: "0x00000000000000000000000000000000000000AA",
});
const USD = 10n ** 12n;

type Route = "chat" | "embeddings" | "images" | "moderations";
type Changes = Partial<Pick<ServedModel, "contextTokens" | "claims">>;

function modelOf(route: Route, changes: Changes = {}): ServedModel {
  const model = MODELS.find((one) => one.route === route);
  if (!model) throw new Error(`No model is served on ${route}.`);
  return { ...model, ...changes };
}

const offerOf = ({
  modelId,
  slug,
  route,
  contextTokens,
  maxOutputTokens,
  prices,
  claims,
}: ServedModel): Offer => ({
  ...{
    providerId: 1,
    signer: "0x00000000000000000000000000000000000000B0",
    endpoint: "http://x",
    region: "",
  },
  model: {
    ...{ modelId, slug, route, contextTokens, maxOutputTokens, priceVersion: 1 },
    ...{ freeSlots: 1, queued: 0, latencyMs: 0, description: "", ...claims },
  },
  price: { version: 1, prices, kinds: kindsOf(route) },
  expiresAt: Number.MAX_SAFE_INTEGER,
});

/** One request as both sides read it. */
function request(model: ServedModel, fields: object, free = 5n * USD) {
  const text = JSON.stringify({ model: model.slug, ...fields });
  const body = Buffer.from(text);
  const offer = offerOf(model);
  const ask = readAsk(model.route, JSON.parse(text), body.length);
  const { maxTokens } = planHold({ ask, offers: [offer], free, feeBps: 500 });
  const max = maxTokens === undefined ? undefined : tokensFor(offer, maxTokens);
  const { prepared, recording } = prepare({ body, max }, model, VENDORS.generic);
  const count = createCounter(text, model.contextTokens, (said) => said.length, inputOf(prepared, recording));
  return { model, offer, ask, max, prepared, count };
}

type Asked = ReturnType<typeof request>;

/** What the relay makes of what the provider states for an answer. */
function judge({ model, offer, ask, max, prepared }: Asked, answer: JsonAnswer, delivered: Delivered) {
  const units = statedUnits(answer, model, prepared.ask);
  const cost = costOf(units, model.prices);
  const { responseHash } = answer;
  const receipt = { relayId: 1, providerId: 1, modelId: model.modelId, priceVersion: 1, requestHash: HASH };
  const digest = usageDigest(SEPARATOR, { ...receipt, issuedAt: 1_000, units, cost, responseHash });
  const statement = { attempt: HASH, issuedAt: 1_000, units, cost: cost.toString(), responseHash };
  const worst = worstUnits(ask as Ask, offer, max ?? 0) ?? [0, 0, 0];
  return judgeStatement({
    ...{ attempt: HASH, requestHash: HASH, offer, relayId: 1, separator: SEPARATOR, sentAt: 1_000 },
    ...{ worst, delivered, statement: { ...statement, receiptHash: toHex(digest) } },
  });
}

const counts = fc.oneof(fc.nat(40), fc.nat(20_000), fc.nat(2 ** 32 - 1), fc.integer(), fc.double());
const usage = fc.option(
  fc.record({
    prompt_tokens: counts,
    completion_tokens: counts,
    prompt_tokens_details: fc.option(fc.record({ cached_tokens: counts })),
  }),
  { nil: undefined },
);
const text = fc.string({ unit: fc.constantFrom("a", "é", "✓", "𝄞", "\ud834", "\udd1e"), maxLength: 12 });
const delta = fc.record(
  {
    content: text,
    reasoning_content: text,
    tool_calls: fc.array(
      fc.record({ index: fc.nat(2), function: fc.record({ name: text, arguments: text }) }),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: [] },
);
const pieces = fc.array(fc.record({ index: fc.nat(3), delta, usage }), { minLength: 1, maxLength: 6 });
const asked = fc.record(
  {
    messages: fc.constantFrom(
      [{ role: "user", content: "x" }],
      [{ role: "user", content: "Tell me of the sea. ".repeat(40) }],
      [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }],
      [{ role: "user", content: [{ type: "text", text: "x" }] }],
    ),
    n: fc.integer({ min: 1, max: 4 }),
    max_tokens: fc.integer({ min: 1, max: 400 }),
  },
  { requiredKeys: ["messages"] },
);
const free = fc.constantFrom(5n * USD, 50_000_000n);
const changes = fc.record({
  contextTokens: fc.constantFrom(16, 300, 8_192),
  claims: fc.constantFrom({}, { hiddenReasoning: true }),
});

describe("what an honest provider states", () => {
  it("passes the relay's judge for a whole chat, whatever the inference server counted", () => {
    fc.assert(
      fc.property(asked, changes, free, pieces, usage, (fields, change, covered, choices, counted) => {
        const both = request(modelOf("chat", change), fields, covered);
        const body = {
          choices: choices.map(({ index, delta: message }) => ({ index, message })),
          usage: counted,
        };
        const meter = new ChatMeter();
        meter.addBody(body);
        const verdict = judge(both, readAnswer("chat", body, both.count), meter.delivered());
        expect(verdict).to.include({ ok: true });
      }),
    );
  });

  it("passes it for a stream that is cut at any frame", () => {
    const countedBy = fc.constantFrom("in_all" as const, "per_choice" as const);
    fc.assert(
      fc.property(asked, changes, pieces, usage, countedBy, (fields, change, frames, final, by) => {
        const both = request(modelOf("chat", change), { ...fields, stream: true });
        const record = new ChatRecord(by);
        const meter = new ChatMeter();
        const delivered = frames.map(({ usage: running, ...choice }) => {
          const chunk = { choices: [choice], usage: running };
          record.addChunk(chunk);
          meter.addFrame(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
          return meter.delivered();
        });
        record.addChunk({ choices: [], usage: final });
        for (const [at, seen] of delivered.entries())
          expect(judge(both, textAnswer(record, at + 1, both.count), seen)).to.include({ ok: true });
      }),
    );
  });

  it("passes it for embeddings, images and moderations", () => {
    const decode = (base64: string) => Buffer.from(base64, "base64");
    const data = fc.array(
      fc.record({
        embedding: fc.array(fc.nat(3), { maxLength: 2 }),
        b64_json: fc.constantFrom("", "AAEC"),
      }),
      { minLength: 1, maxLength: 12 },
    );
    const fields = { input: "Is this well said?", prompt: "a boat", n: 2 };
    fc.assert(
      fc.property(data, usage, changes, (items, counted, change) => {
        for (const route of ["embeddings", "images", "moderations"] as const) {
          const both = request(modelOf(route, change), fields);
          const body = { data: items, results: items, usage: counted };
          const reply = { contentType: "application/json", text: JSON.stringify(body) };
          const { delivered } = readReply(route, reply, decode);
          expect(judge(both, readAnswer(route, body, both.count), delivered)).to.include({ ok: true });
        }
      }),
    );
  });
});
