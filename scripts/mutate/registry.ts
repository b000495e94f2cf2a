import type { Fault } from "./fault.ts";

const IDENTITIES = "registry/Identities.sol";
const PRICES = "registry/Prices.sol";

/** Faults in who is who and what things cost. */
export const REGISTRY_FAULTS: readonly Fault[] = [
  {
    name: "signer-unproven",
    file: IDENTITIES,
    line: "Signatures.checkKey(signer, _hashTypedDataV4(proof.hash()), signerProof);",
    replacement: "",
    means: "Anybody registers with somebody else's key.",
    tests: ["Identities"],
  },
  {
    name: "signer-in-use",
    file: IDENTITIES,
    line: "require(isFree, SignerInUse(signer, bound.role, bound.id));",
    replacement: "",
    means: "One key speaks for two ids, and what it signed for the first is forgotten.",
    tests: ["Identities"],
  },
  {
    name: "signer-thaw",
    file: IDENTITIES,
    line: "bool isFree = bound.role == 0 || time >= uint256(bound.validUntil) + _SIGNER_THAW;",
    replacement: "bool isFree = bound.role == 0 || time >= uint256(bound.validUntil);",
    means: "A key is bound anew while what it signed for its old id can be judged.",
    tests: ["Identities"],
  },
  {
    name: "signer-rotations",
    file: IDENTITIES,
    line: "require(time >= pending, RotationPending(role, id, pending));",
    replacement: "",
    means: "Two rotations at once leave three valid keys.",
    tests: ["Identities"],
  },
  {
    name: "signer-elsewhere",
    file: IDENTITIES,
    line: "if (bound.role != role || bound.id != id) return Signer({key: key, validFrom: 0, validUntil: 0});",
    replacement: "",
    means: "Who binds a relay's former key keeps the relay from changing its next one.",
    tests: ["Identities"],
  },
  {
    name: "signer-window",
    file: IDENTITIES,
    line: "return isBound && bound.validFrom <= time && time < bound.validUntil;",
    replacement: "return isBound && bound.validFrom <= time && time <= bound.validUntil;",
    means: "A replaced key is good for a second longer than it should.",
    tests: ["Identities"],
  },
  {
    name: "fee-notice",
    file: IDENTITIES,
    line: "require(time >= allowedFrom, FeeChangeTooSoon(relayId, allowedFrom));",
    replacement: "",
    means: "A relay raises its fee twice, so that the one before is forgotten.",
    tests: ["Identities"],
  },
  {
    name: "fee-history",
    file: IDENTITIES,
    line: "(fee.curBps, fee.prevBps, fee.changedAt) = (feeBps, previous, time);",
    replacement: "(fee.curBps, fee.prevBps, fee.changedAt) = (feeBps, feeBps, time);",
    means: "The fee before a change is forgotten, so honest bills of that time are slashed.",
    tests: ["Identities"],
  },
  {
    name: "fee-cap",
    file: IDENTITIES,
    line: "require(feeBps <= MAX_RELAY_FEE_BPS, FeeTooHigh(feeBps, MAX_RELAY_FEE_BPS));",
    replacement: "",
    means: "A relay takes any fee.",
    tests: ["Identities"],
  },
  {
    name: "price-notice",
    file: PRICES,
    line: "if (isRise) return effectiveFrom + _PRICE_NOTICE;",
    replacement: "",
    means: "A price rises at once, under requests that are on their way.",
    tests: ["Prices"],
  },
  {
    name: "price-rise-unseen",
    file: PRICES,
    line: "bool isRise = next.kinds != last.kinds || next.p0 > last.p0 || next.p1 > last.p1 || next.p2 > last.p2;",
    replacement: "bool isRise = next.kinds != last.kinds || next.p0 > last.p0 || next.p1 > last.p1;",
    means: "The price of what is produced rises without notice.",
    tests: ["Prices"],
  },
  {
    name: "price-pending",
    file: PRICES,
    line: "require(last.effectiveFrom <= effectiveFrom, PricePending(version, last.effectiveFrom));",
    replacement: "",
    means: "A second change overtakes the one whose notice is running.",
    tests: ["Prices"],
  },
];
