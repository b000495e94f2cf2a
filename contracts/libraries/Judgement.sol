// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentities} from "../interfaces/IIdentities.sol";
import {IPrices} from "../interfaces/IPrices.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IStakeManager} from "../interfaces/IStakeManager.sol";
import {ROLE_PROVIDER} from "../types/Roles.sol";
import {Groups} from "./Groups.sol";
import {UsageReceipt} from "./Messages.sol";
import {Pricing} from "./Pricing.sol";

/// @notice Whether a receipt is what a relay may bill. Never reverts for anything that a receipt or its evidence says:
/// what cannot be read is false. Sums are of 256 bits, so nothing here overflows either.
library Judgement {
    /// @param separator EIP-712 separator of receipts.
    /// @param postWindow How long after it was issued a receipt can be billed, seconds.
    struct Law {
        IRegistry registry;
        IStakeManager stakeManager;
        bytes32 separator;
        uint32 postWindow;
    }

    /// @param charge What the relay billed for the receipt, pUSD.
    struct Bill {
        uint32 relayId;
        uint40 postedAt;
        uint64 charge;
    }

    /// @dev A receipt is signed at most this long after its request was accepted.
    uint256 private constant _CLOSING = 1 hours;
    /// @dev How long what was replaced may still be used: nodes act on blocks that cannot be undone.
    uint256 private constant _GRACE = 10 minutes;
    /// @dev How far clocks may be apart.
    uint256 private constant _SKEW = 1 minutes;

    /// @notice Judges a billed receipt.
    /// @return isGood Whether nothing is wrong with it.
    /// @return allowed What might have been charged, pUSD: 0 when the receipt itself is false.
    function judge(
        Law memory law,
        Bill memory bill,
        UsageReceipt memory receipt,
        bytes32 digest,
        bytes calldata evidence
    ) internal view returns (bool isGood, uint256 allowed) {
        if (receipt.relayId != bill.relayId) return (false, 0);
        if (uint256(receipt.issuedAt) + law.postWindow < bill.postedAt) return (false, 0);
        (bool isSigned, uint40 closedAt) = isSignedByProvider(law, receipt, digest, evidence);
        if (!isSigned || closedAt > bill.postedAt + _SKEW || !_wasActive(law, receipt)) return (false, 0);
        (bool inForce, uint256 priced) = priceOf(law.registry, receipt);
        if (!inForce) return (false, 0);
        // at most the receipt's cost, so it fits
        uint64 cost = receipt.cost < priced ? receipt.cost : uint64(priced);
        allowed = Pricing.chargeBound(cost, _feeOf(law.registry, receipt));
        isGood = receipt.cost <= priced && bill.charge <= allowed;
    }

    /// @notice Whether evidence shows that the receipt's provider signed it for the receipt's relay, within the time it
    /// has for that, with a key that was valid.
    function isSignedByProvider(
        Law memory law,
        UsageReceipt memory receipt,
        bytes32 digest,
        bytes calldata evidence
    ) internal view returns (bool isSigned, uint40 closedAt) {
        (bool isRead, Groups.Proven memory proven) = Groups.read(law.separator, digest, evidence);
        uint32 providerId = receipt.providerId;
        bool isFor = proven.group.relayId == receipt.relayId && proven.group.providerId == providerId;
        if (!isRead || !isFor) return (false, 0);
        closedAt = proven.group.closedAt;
        if (closedAt < receipt.issuedAt || closedAt > receipt.issuedAt + _CLOSING) return (false, closedAt);
        isSigned = law.registry.isSignerValid(ROLE_PROVIDER, providerId, proven.signer, closedAt);
    }

    /// @notice Whether the receipt's price version was in force when it was issued, and what its units cost by it,
    /// pUSD. A version may be used for a while after the next one took effect.
    function priceOf(
        IRegistry registry,
        UsageReceipt memory receipt
    ) internal view returns (bool inForce, uint256 priced) {
        (uint32 providerId, uint32 modelId) = (receipt.providerId, receipt.modelId);
        uint32 version = receipt.priceVersion;
        IPrices.Price memory price = registry.priceOf(providerId, modelId, version);
        if (price.effectiveFrom == 0 || receipt.issuedAt < price.effectiveFrom) return (false, 0);
        // the version exists, so it is not the highest number there is
        uint256 nextFrom = registry.priceOf(providerId, modelId, version + 1).effectiveFrom;
        inForce = nextFrom == 0 || receipt.issuedAt < nextFrom + _GRACE;
        priced = Pricing.cost([receipt.units0, receipt.units1, receipt.units2], [price.p0, price.p1, price.p2]);
    }

    /// @dev Registered and staked at some time around the receipt's.
    function _wasActive(Law memory law, UsageReceipt memory receipt) private view returns (bool) {
        uint256 from = receipt.issuedAt > _GRACE ? receipt.issuedAt - _GRACE : 0;
        uint256 to = receipt.issuedAt + _SKEW;
        IIdentities.Provider memory provider = law.registry.providerOf(receipt.providerId);
        if (provider.owner == address(0) || provider.registeredAt > to) return false;
        if (provider.deactivatedAt != 0 && provider.deactivatedAt < from) return false;
        // issuedAt is at most closedAt, which is at most the time of the post and the skew
        return law.stakeManager.wasStaked(ROLE_PROVIDER, receipt.providerId, uint40(from), uint40(to));
    }

    /// @dev The relay's fee for a request of that time. Around a change either of the two; what was issued well before
    /// it knows only the old one, or a relay could raise its fee for what it billed already.
    function _feeOf(IRegistry registry, UsageReceipt memory receipt) private view returns (uint256) {
        IIdentities.Relay memory relay = registry.relayOf(receipt.relayId);
        if (receipt.issuedAt >= relay.feeChangedAt + _GRACE) return relay.feeCurBps;
        if (receipt.issuedAt + _SKEW < relay.feeChangedAt) return relay.feePrevBps;
        return relay.feeCurBps > relay.feePrevBps ? relay.feeCurBps : relay.feePrevBps;
    }
}
