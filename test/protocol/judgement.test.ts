import { toBytes, toHex } from "@aimo/protocol/bytes";
import {
  activitySpan,
  type BilledClaim,
  type Fault,
  feeBoundAt,
  feesOf,
  isFault,
  isForeignRequest,
  judgeReceipt,
  providerExcess,
  type ReceiptFacts,
  readEvidence,
  type SignedGroup,
  wasSignerAt,
} from "@aimo/protocol/judgement";
import { requestHashOf, type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { recoverSigner } from "@aimo/protocol/signatures";
import { MAX_U32, MAX_U64 } from "@aimo/protocol/units";
import { expect } from "chai";
import type { Address } from "viem";
import { readVectors, type Vector } from "./cases.ts";

function receiptOf(v: Vector): UsageReceipt {
  return {
    relayId: v.number("relayId"),
    providerId: v.number("providerId"),
    modelId: v.number("modelId"),
    priceVersion: v.number("priceVersion"),
    issuedAt: v.number("issuedAt"),
    units: [v.number("units0"), v.number("units1"), v.number("units2")],
    cost: v.big("cost"),
    requestHash: v.hex("requestHash"),
    responseHash: v.hex("responseHash"),
  };
}

function priceOf(v: Vector): ReceiptFacts["price"] {
  if (v.number("effectiveFrom") === 0) return undefined;
  return {
    prices: [v.big("p0"), v.big("p1"), v.big("p2")],
    effectiveFrom: v.number("effectiveFrom"),
    effectiveUntil: v.number("nextFrom") === 0 ? undefined : v.number("nextFrom"),
  };
}

async function factsOf(v: Vector, { group, digest, signature }: SignedGroup): Promise<ReceiptFacts> {
  const { from, to } = activitySpan(v.number("issuedAt"));
  const key = v.text("signer") as Address;
  const signers = [{ key, validFrom: v.number("signerFrom"), validUntil: v.number("signerUntil") }];
  const registeredAt = v.number("registeredAt");
  const fees = feesOf({
    feeCurBps: v.number("feeCurBps"),
    feePrevBps: v.number("feePrevBps"),
    feeChangedAt: v.number("feeChangedAt"),
  });
  return {
    postWindow: v.number("postWindow"),
    provider: registeredAt === 0 ? undefined : { registeredAt, deactivatedAt: v.number("deactivatedAt") },
    wasStaked: v.number("stakedFrom") <= to && from < v.number("stakedUntil"),
    wasSigner: wasSignerAt(signers, await recoverSigner(digest, signature), group.closedAt),
    price: priceOf(v),
    feeBps: feeBoundAt(fees, v.number("issuedAt")),
  };
}

const claimOf = (v: Vector): BilledClaim => ({
  relayId: v.number("billRelayId"),
  postedAt: v.number("postedAt"),
  charge: v.big("charge"),
  receipt: receiptOf(v),
});

async function judge(v: Vector, evidence = toBytes(v.hex("evidence"))): Promise<Fault | undefined> {
  const read = readEvidence(toBytes(v.hex("separator")), claimOf(v), evidence);
  return isFault(read) ? read : judgeReceipt(claimOf(v), read.group, await factsOf(v, read));
}

describe("protocol/judgement", function () {
  // Generous: other programs may use the machine at the same time.

  this.timeout(20_000);
  const vectors = readVectors("judgement");

  for (const v of vectors)
    it(`finds ${v.flag("good") ? "nothing wrong with" : v.text("rule")} as the vectors do: ${v.name}`, async () => {
      const fault = await judge(v);
      expect(toHex(usageDigest(toBytes(v.hex("separator")), receiptOf(v)))).to.equal(v.text("digest"));
      expect(fault?.rule ?? "").to.equal(v.text("rule"));
      expect(fault?.loss ?? 0n).to.equal(v.big("loss"));
      if (fault) expect(fault.allowed).to.equal(v.big("allowed"));
      expect(providerExcess(receiptOf(v), priceOf(v))).to.equal(v.big("excess"));
    });

  it("has a vector for every rule", () => {
    expect([...new Set(vectors.map((v) => v.text("rule")))].sort()).to.deep.equal([
      "",
      "age",
      "charge",
      "closing",
      "cost",
      "evidence",
      "future",
      "group",
      "price",
      "provider",
      "relay",
      "signer",
      "stake",
    ]);
  });

  it("takes no evidence with any byte changed", async () => {
    const v = vectors.find(({ name }) => name === "an honest receipt");
    if (!v) throw new Error("The vector is missing.");
    const evidence = toBytes(v.hex("evidence"));
    for (const at of evidence.keys()) {
      const changed = evidence.map((byte, i) => (i === at ? byte ^ 1 : byte));
      const fault = await judge(v, changed);
      expect(["evidence", "group", "signer"], `byte ${at}`).to.include(fault?.rule);
      expect(fault?.loss).to.equal(v.big("charge"));
    }
    for (const length of evidence.keys())
      expect((await judge(v, evidence.slice(0, length)))?.rule, `${length} bytes`).to.equal("evidence");
  });

  it("does not throw for a receipt whose fields are too wide for it", () => {
    const v = vectors[0];
    if (!v) throw new Error("The vector is missing.");
    const claim = claimOf(v);
    const wide: Partial<UsageReceipt>[] = [
      { cost: MAX_U64 + 1n },
      { units: [MAX_U32 + 1, 0, 0] },
      { units: [0.5, 0, 0] },
      { issuedAt: -1 },
      { requestHash: "0x00" },
    ];
    for (const change of wide) {
      const receipt = { ...claim.receipt, ...change };
      const read = readEvidence(
        toBytes(v.hex("separator")),
        { ...claim, receipt },
        toBytes(v.hex("evidence")),
      );
      expect(isFault(read) && read.rule).to.equal("evidence");
    }
  });

  it("knows fees from the registry's two as from the whole history", () => {
    const relay = { feePrevBps: 700, feeCurBps: 300, feeChangedAt: 10_000 };
    const history = [{ bps: 100, from: 0 }, { bps: 700, from: 4_000 }, ...feesOf(relay).slice(1)];
    for (const issuedAt of [5_000, 9_939, 9_940, 10_000, 10_599, 10_600, 20_000])
      expect(feeBoundAt(history, issuedAt), String(issuedAt)).to.equal(feeBoundAt(feesOf(relay), issuedAt));
    expect(feeBoundAt([], 5)).to.equal(0);
  });

  it("tells a request of somebody else from one that is not the receipt's", () => {
    const request = {
      userId: 7,
      channelEpoch: 2,
      nonce: `0x${"11".repeat(16)}`,
      bodyHash: `0x${"22".repeat(32)}`,
    } as const;
    const receipt = { requestHash: requestHashOf(request) };
    expect(isForeignRequest(request, receipt, { userId: 7, epoch: 2 })).to.equal(false);
    expect(isForeignRequest(request, receipt, { userId: 8, epoch: 2 })).to.equal(true);
    expect(isForeignRequest(request, receipt, { userId: 7, epoch: 3 })).to.equal(true);
    expect(isForeignRequest({ ...request, userId: 8 }, receipt, { userId: 7, epoch: 2 })).to.equal(false);
  });
});
