import {
  ANNOUNCEMENT_CLOCK_TOLERANCE_MS,
  encodeAnnouncement,
  type JudgeContext,
  judgeAnnouncement,
} from "@aimo/node/announcements";
import { sign } from "@aimo/node/fast-crypto";
import { addressOf } from "@aimo/node/keys";
import {
  type Announcement,
  announcementDigest,
  MAX_ANNOUNCEMENT_BYTES,
  type ModelOffer,
} from "@aimo/protocol/announcement";
import { concat, toBytes, utf8 } from "@aimo/protocol/bytes";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { expect } from "chai";
import fc from "fast-check";
import type { Address, Hex } from "viem";

const KEY: Hex = `0x${"33".repeat(32)}`;
const NOW = 1_800_000_000_000;
const SETTLEMENT: Address = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

const model: ModelOffer = {
  modelId: 1,
  slug: "demo/text",
  priceVersion: 1,
  route: "chat",
  contextTokens: 8_192,
  maxOutputTokens: 1_024,
  freeSlots: 4,
  queued: 0,
  latencyMs: 12.5,
  description: "A demo model: schreibt Sätze.",
};
const announcement: Announcement = {
  version: PROTOCOL_VERSION,
  chainId: 31_337,
  settlement: SETTLEMENT.toLowerCase() as Address,
  providerId: 3,
  sequence: 100,
  issuedAt: NOW - 1_000,
  expiresAt: NOW + 20_000,
  endpoint: "http://127.0.0.1:9001",
  region: "local",
  models: [model],
};
const contracts = {
  clock: SETTLEMENT,
  accessManager: SETTLEMENT,
  reserves: SETTLEMENT,
  fraudProofs: SETTLEMENT,
  depositRouter: SETTLEMENT,
  lens: SETTLEMENT,
  token: SETTLEMENT,
  vault: SETTLEMENT,
  registry: SETTLEMENT,
  stakeManager: SETTLEMENT,
  settlement: SETTLEMENT,
};
const context: JudgeContext = {
  deployment: { chainId: 31_337, contracts },
  now: NOW,
  lastSequence: () => undefined,
  refusal: () => undefined,
};

/** Signs whatever it is given, as no honest provider would. */
function forge(payload: string): Uint8Array {
  const bytes = utf8(payload);
  return concat([toBytes(sign(announcementDigest(bytes), KEY)), bytes]);
}
const altered = (change: object): Uint8Array => forge(JSON.stringify({ ...announcement, ...change }));
const withModel = (change: object): Uint8Array => altered({ models: [{ ...model, ...change }] });

describe("node/announcements", () => {
  it("accepts what it encoded, and names the signer", () => {
    const data = encodeAnnouncement(announcement, KEY);
    expect(judgeAnnouncement(data, context)).to.deep.equal({
      accept: { announcement, signer: addressOf(KEY) },
    });
  });

  it("accepts what a provider promises of a model, and those who promise nothing", () => {
    const claims = {
      ...{ quantization: "fp8", supportedParameters: ["tools", "top_k"], zeroRetention: true },
      ...{ collectsData: false, residency: "eu-west" },
    } as const;
    const judged = judgeAnnouncement(withModel({ ...claims, notYetInvented: 1 }), context);
    const model_ = "accept" in judged ? judged.accept.announcement.models[0] : undefined;
    expect(model_).to.deep.equal({ ...model, ...claims });
    expect(Object.keys(announcement.models[0] ?? {})).to.not.include("quantization");
  });

  const rejected: readonly [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(), /too short/],
    ["a signature alone", new Uint8Array(65), /too short/],
    ["more bytes than allowed", new Uint8Array(MAX_ANNOUNCEMENT_BYTES + 1), /oversize/],
    ["text that is no JSON", forge("hello"), /not JSON/],
    ["bytes that are no utf-8", concat([new Uint8Array(65), Uint8Array.of(0xff, 0xfe)]), /not JSON/],
    ["deeply nested JSON", forge("[".repeat(30_000)), /not JSON/],
    ["null", forge("null"), /not an object/],
    ["a list", forge("[]"), /not an object/],
    ["a missing field", altered({ endpoint: undefined }), /endpoint is missing/],
    ["another protocol version", altered({ version: PROTOCOL_VERSION + 1 }), /version/],
    ["another chain", altered({ chainId: 1 }), /other chain/],
    ["another deployment", altered({ settlement: `0x${"12".repeat(20)}` }), /other deployment/],
    ["a quantization that nobody knows", withModel({ quantization: "fp7" }), /quantization/],
    ["parameters that are no list", withModel({ supportedParameters: "tools" }), /supportedParameters/],
    ["a parameter with a space", withModel({ supportedParameters: ["a b"] }), /supportedParameters/],
    ["too many parameters", withModel({ supportedParameters: Array(49).fill("a") }), /above 48/],
    ["a promise that is neither true nor false", withModel({ zeroRetention: "yes" }), /zeroRetention/],
    ["a residency in capitals", withModel({ residency: "EU" }), /residency/],
    ["a provider id of 0", altered({ providerId: 0 }), /providerId/],
    ["a provider id above u32", altered({ providerId: 2 ** 32 }), /providerId/],
    ["a sequence that is no integer", altered({ sequence: 1.5 }), /sequence/],
    ["a life above 30 s", altered({ expiresAt: NOW + 29_001 }), /more than 30000 ms/],
    ["an expiry before the issue", altered({ expiresAt: NOW - 2_000 }), /not after issuedAt/],
    ["an endpoint of another scheme", altered({ endpoint: "file:///etc/passwd" }), /endpoint/],
    ["an endpoint with a password", altered({ endpoint: "http://a:b@127.0.0.1" }), /user, query/],
    ["an endpoint with a query", altered({ endpoint: "http://127.0.0.1/?a=b" }), /user, query/],
    ["an endpoint that is no URL", altered({ endpoint: "http://" }), /no URL/],
    ["an endpoint too long", altered({ endpoint: `http://${"a".repeat(256)}` }), /endpoint/],
    ["a region with capitals", altered({ region: "EU" }), /region/],
    ["models that are no list", altered({ models: {} }), /models is not a list/],
    ["65 models", altered({ models: Array(65).fill(model) }), /65 models, above 64/],
    ["the same model twice", altered({ models: [model, model] }), /twice/],
    ["a model that is no object", altered({ models: [7] }), /models\[0\]/],
    ["a model id of 0", withModel({ modelId: 0 }), /models\[0\]\.modelId/],
    ["a slug with a space", withModel({ slug: "a b" }), /models\[0\]\.slug/],
    ["a slug of 129 characters", withModel({ slug: "a".repeat(129) }), /models\[0\]\.slug/],
    ["an unknown route", withModel({ route: "video" }), /models\[0\]\.route/],
    ["slots below 0", withModel({ freeSlots: -1 }), /models\[0\]\.freeSlots/],
    ["a latency of null", withModel({ latencyMs: null }), /models\[0\]\.latencyMs/],
    ["a terminal escape in a description", withModel({ description: "\u001b[2J" }), /description/],
    ["a description of 281 characters", withModel({ description: "a".repeat(281) }), /description/],
  ];
  for (const [title, data, reason] of rejected)
    it(`rejects ${title}`, () => {
      expect(judgeAnnouncement(data, context)).to.have.property("reject").that.matches(reason);
    });

  it("rejects a signature that recovers no key", () => {
    const data = encodeAnnouncement(announcement, KEY);
    data.set(new Uint8Array(65));
    expect(judgeAnnouncement(data, context)).to.deep.equal({ reject: "bad signature" });
  });

  it("sees another signer, or none, when one bit of the payload is flipped", () => {
    const data = encodeAnnouncement(announcement, KEY);
    const at = data.length - 10;
    data[at] = (data[at] ?? 0) ^ 1;
    const verdict = judgeAnnouncement(data, context);
    if ("accept" in verdict) expect(verdict.accept.signer).to.not.equal(addressOf(KEY));
  });

  const ignored: readonly [string, Uint8Array, Partial<JudgeContext>, string][] = [
    ["what has expired", altered({}), { now: NOW + 20_000 }, "expired"],
    [
      "what comes from the future",
      altered({}),
      { now: announcement.issuedAt - ANNOUNCEMENT_CLOCK_TOLERANCE_MS - 1 },
      "from the future",
    ],
    ["a sequence seen before", altered({}), { lastSequence: () => 100 }, "not newer"],
    ["a sequence older than the last", altered({}), { lastSequence: () => 101 }, "not newer"],
    ["whom the chain does not know", altered({}), { refusal: () => "not registered" }, "not registered"],
  ];
  for (const [title, data, change, reason] of ignored)
    it(`ignores ${title}`, () => {
      expect(judgeAnnouncement(data, { ...context, ...change })).to.deep.equal({ ignore: reason });
    });

  it("accepts a newer sequence, and a clock that is a little ahead", () => {
    const change = { lastSequence: () => 99, now: announcement.issuedAt - ANNOUNCEMENT_CLOCK_TOLERANCE_MS };
    expect(judgeAnnouncement(altered({}), { ...context, ...change })).to.have.property("accept");
  });

  it("asks the chain about the provider and its signer only after all else", () => {
    const asked: unknown[] = [];
    const refusal = (providerId: number, signer: Address) => {
      asked.push([providerId, signer]);
      return undefined;
    };
    judgeAnnouncement(altered({ chainId: 1 }), { ...context, refusal });
    judgeAnnouncement(altered({}), { ...context, refusal, lastSequence: () => 100 });
    expect(asked).to.deep.equal([]);
    judgeAnnouncement(altered({}), { ...context, refusal });
    expect(asked).to.deep.equal([[3, addressOf(KEY)]]);
  });

  it("drops fields that it does not know", () => {
    const verdict = judgeAnnouncement(
      altered({ extra: "x".repeat(1_000), models: [{ ...model, extra: 1 }] }),
      context,
    );
    expect(verdict).to.deep.equal({ accept: { announcement, signer: addressOf(KEY) } });
  });

  it("never throws, whatever bytes a peer sends", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), (data) => {
        expect(judgeAnnouncement(data, context)).to.have.property("reject");
      }),
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(judgeAnnouncement(forge(text), context)).to.have.property("reject");
      }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(announcement)), fc.jsonValue(), (field, value) => {
        judgeAnnouncement(altered({ [field]: value }), context);
      }),
    );
  });

  it("refuses to encode what others would reject, naming the field", () => {
    const encode = (change: object) => () => encodeAnnouncement({ ...announcement, ...change }, KEY);
    expect(encode({ region: "EU West" })).to.throw(RangeError, /region has characters/);
    expect(encode({ expiresAt: NOW + 40_000 })).to.throw(RangeError, /30000 ms/);
    const wordy = { description: "a".repeat(280), slug: "a".repeat(128) };
    const models = Array.from({ length: 64 }, (_, index) => ({ ...model, ...wordy, modelId: index + 1 }));
    expect(encode({ models })).to.throw(RangeError, /above 32768/);
  });
});
