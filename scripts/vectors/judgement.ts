import { toBytes, toHex } from "@aimo/protocol/bytes";
import { buildGroup, encodeEvidence, groupDigest } from "@aimo/protocol/groups";
import {
  activitySpan,
  type BilledClaim,
  type Fault,
  feeBoundAt,
  feesOf,
  isFault,
  judgeReceipt,
  providerExcess,
  readEvidence,
  wasSignerAt,
} from "@aimo/protocol/judgement";
import { type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { recoverSigner } from "@aimo/protocol/signatures";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { MAX_U96 } from "@aimo/protocol/units";
import { bytes32, type Case, decimals, providerAccount, userAccount, VECTOR_DOMAIN } from "./case.ts";
import { JUDGEMENT_TALES, type Scene, type Tale } from "./judgement-tales.ts";

const separator = domainSeparator(VECTOR_DOMAIN);

/** Receipts as a relay billed them, with what the chain knew, and what it must find. */
export function judgementCases(): Promise<Case[]> {
  return Promise.all(JUDGEMENT_TALES.map(caseOf));
}

/** Signs the receipt as the provider would, in a group of two, and falsifies what the tale says. */
async function evidenceOf(scene: Scene): Promise<Uint8Array> {
  const signed: UsageReceipt = { ...scene.receipt, ...scene.signedInstead };
  const { root, paths } = buildGroup([toBytes(bytes32("a neighbour")), usageDigest(separator, signed)]);
  const group = {
    relayId: scene.receipt.relayId,
    providerId: scene.receipt.providerId,
    count: 2,
    closedAt: scene.closedAt,
    root,
    ...scene.groupInstead,
  };
  const by = scene.isByStranger ? userAccount : providerAccount;
  const signature = await by.sign({ hash: toHex(groupDigest(separator, group)) });
  return scene.falsify(encodeEvidence({ group, index: 1, path: paths[1] ?? [], signature }));
}

async function caseOf({ name, rule, scene }: Tale): Promise<Case> {
  const evidence = await evidenceOf(scene);
  const claim: BilledClaim = scene;
  const fault = await judge(scene, claim, evidence);
  if (fault?.rule !== rule) throw new Error(`"${name}": the judgement says ${fault?.rule}, not ${rule}.`);
  const { units, ...receipt } = scene.receipt;
  const { prices, ...price } = scene.price ?? { prices: [0n, 0n, 0n], effectiveFrom: 0, nextFrom: 0 };
  const allowed = fault?.allowed ?? allowedFor(scene);
  return {
    name,
    good: fault === undefined,
    rule: fault?.rule ?? "",
    separator: toHex(separator),
    ...decimals({ billRelayId: scene.relayId, postedAt: scene.postedAt, charge: scene.charge }),
    ...decimals({ postWindow: scene.postWindow, ...receipt }),
    ...decimals({ units0: units[0], units1: units[1], units2: units[2] }),
    digest: toHex(usageDigest(separator, scene.receipt)),
    evidence: toHex(evidence),
    ...decimals({ ...scene.provider, ...scene.stake, ...scene.signer, ...scene.fee }),
    signer: providerAccount.address,
    ...decimals({ p0: prices[0], p1: prices[1], p2: prices[2], ...price }),
    ...decimals({
      allowed,
      loss: fault?.loss ?? 0n,
      excess: providerExcess(scene.receipt, priceTerm(scene)),
    }),
  };
}

function priceTerm({ price }: Scene) {
  return price && { ...price, effectiveUntil: price.nextFrom === 0 ? undefined : price.nextFrom };
}

/** What a good receipt might have been charged: the judgement says it of what is wrong only. */
function allowedFor(scene: Scene): bigint {
  const dear = { ...scene, charge: MAX_U96 };
  const fault = judgeReceipt(dear, { closedAt: scene.closedAt }, { ...factsOf(scene), wasSigner: true });
  if (fault?.rule !== "charge") throw new Error("A good receipt has no bound.");
  return fault.allowed;
}

function factsOf(scene: Scene) {
  const { registeredAt } = scene.provider;
  const { from, to } = activitySpan(scene.receipt.issuedAt);
  return {
    postWindow: scene.postWindow,
    provider: registeredAt === 0 ? undefined : scene.provider,
    wasStaked: scene.stake.stakedFrom <= to && from < scene.stake.stakedUntil,
    price: priceTerm(scene),
    feeBps: feeBoundAt(feesOf(scene.fee), scene.receipt.issuedAt),
  };
}

async function judge(scene: Scene, claim: BilledClaim, evidence: Uint8Array): Promise<Fault | undefined> {
  const read = readEvidence(separator, claim, evidence);
  if (isFault(read)) return read;
  const { signerFrom, signerUntil } = scene.signer;
  const terms = [{ key: providerAccount.address, validFrom: signerFrom, validUntil: signerUntil }];
  const signer = await recoverSigner(read.digest, read.signature);
  const wasSigner = wasSignerAt(terms, signer, read.group.closedAt);
  return judgeReceipt(claim, read.group, { ...factsOf(scene), wasSigner });
}
