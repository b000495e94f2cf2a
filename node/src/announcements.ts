import {
  type Announcement,
  announcementDigest,
  MAX_ANNOUNCEMENT_BYTES,
  MAX_ANNOUNCEMENT_LIFE_MS,
} from "@aimo/protocol/announcement";
import { concat, toBytes, utf8 } from "@aimo/protocol/bytes";
import { type Deployment, PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import type { Address, Hex } from "viem";
import { announcementFault, parseAnnouncement } from "./announcement-shape.ts";
import { recoverAddress, sign } from "./fast-crypto.ts";
import type { Verdict } from "./verdict.ts";

/**
 * What travels on the offers topic: signature (65 bytes) | announcement as JSON in utf-8. The signature covers the exact
 * bytes, so nobody has to agree on a canonical JSON.
 */
const SIGNATURE_BYTES = 65;

/**
 * Signs an announcement for the gossip topic. Throws a RangeError that names the field which other nodes would refuse,
 * so that a provider learns of it from its own log and not from silence.
 */
export function encodeAnnouncement(announcement: Announcement, privateKey: Uint8Array | Hex): Uint8Array {
  const fault = announcementFault(announcement) ?? lifeFault(announcement);
  if (fault) throw new RangeError(`The announcement cannot be sent: ${fault}.`);
  const payload = utf8(JSON.stringify(announcement));
  const data = concat([toBytes(sign(announcementDigest(payload), privateKey)), payload]);
  if (data.length > MAX_ANNOUNCEMENT_BYTES)
    throw new RangeError(
      `The announcement cannot be sent: it is ${data.length} bytes, above ${MAX_ANNOUNCEMENT_BYTES}.`,
    );
  return data;
}

export type SignedAnnouncement = { readonly announcement: Announcement; readonly signer: Address };

export type JudgeContext = {
  readonly deployment: Pick<Deployment, "chainId" | "contracts">;
  /** Wall-clock milliseconds. */
  readonly now: number;
  /** Highest sequence accepted of this provider; undefined when none was. */
  readonly lastSequence: (providerId: number) => number | undefined;
  /**
   * The chain's word on the sender, from cached data: registered, staked, active, and `signer` is its key. Undefined
   * when it may serve; else why it is ignored. It cannot reject: another node's view of the chain may be a block ahead,
   * and the peer that passed the message on is not its author.
   */
  readonly refusal: (providerId: number, signer: Address) => string | undefined;
};

/** How far a sender's clock may be ahead of ours: machines with NTP stay far below it. Milliseconds. */
export const ANNOUNCEMENT_CLOCK_TOLERANCE_MS = 5_000;

/** Judges bytes of the offers topic, cheap checks first and the signature last. Pure over the context; never throws. */
export function judgeAnnouncement(data: Uint8Array, context: JudgeContext): Verdict<SignedAnnouncement> {
  if (data.length > MAX_ANNOUNCEMENT_BYTES) return { reject: "oversize" };
  if (data.length <= SIGNATURE_BYTES) return { reject: "too short" };
  const payload = data.subarray(SIGNATURE_BYTES);
  const announcement = parseAnnouncement(payload);
  if (typeof announcement === "string") return { reject: announcement };
  const early = judgeHeader(announcement, context);
  if (early) return early;
  const signer = recoverAddress(announcementDigest(payload), data.subarray(0, SIGNATURE_BYTES));
  if (!signer) return { reject: "bad signature" };
  const refusal = context.refusal(announcement.providerId, signer);
  return refusal === undefined ? { accept: { announcement, signer } } : { ignore: refusal };
}

function judgeHeader(
  announcement: Announcement,
  { deployment, now, lastSequence }: JudgeContext,
): Verdict<never> | undefined {
  // The topic names version, chain and contract, so nobody sends another's here by mistake.
  if (announcement.version !== PROTOCOL_VERSION) return { reject: "other protocol version" };
  if (announcement.chainId !== deployment.chainId) return { reject: "other chain" };
  if (announcement.settlement.toLowerCase() !== deployment.contracts.settlement.toLowerCase())
    return { reject: "other deployment" };
  const life = lifeFault(announcement);
  if (life) return { reject: life };
  if (announcement.expiresAt <= now) return { ignore: "expired" };
  if (announcement.issuedAt > now + ANNOUNCEMENT_CLOCK_TOLERANCE_MS) return { ignore: "from the future" };
  const last = lastSequence(announcement.providerId);
  if (last !== undefined && announcement.sequence <= last) return { ignore: "not newer" };
  return undefined;
}

function lifeFault({ issuedAt, expiresAt }: Announcement): string | undefined {
  if (expiresAt <= issuedAt) return "expiresAt is not after issuedAt";
  if (expiresAt - issuedAt > MAX_ANNOUNCEMENT_LIFE_MS)
    return `expiresAt is more than ${MAX_ANNOUNCEMENT_LIFE_MS} ms after issuedAt`;
  return undefined;
}
