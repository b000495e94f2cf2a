// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEarnings} from "../interfaces/IEarnings.sol";
import {ProviderSlot} from "../types/ProviderSlot.sol";
import {ROLE_PROVIDER, ROLE_RELAY, UnknownId} from "../types/Roles.sol";
import {Books} from "./Books.sol";

/// @notice What providers, relays and the protocol are owed, and the relays' floats.
abstract contract Earnings is Books {
    using SafeCast for uint256;

    /// @inheritdoc IEarnings
    function enlist(uint32 relayId, uint32 providerId) external nonReentrant {
        _checkExists(ROLE_RELAY, relayId);
        ProviderSlot slot = _providers[relayId][providerId].slot;
        if (!slot.enlisted()) _providers[relayId][providerId].slot = _enlisted(slot, relayId, providerId);
    }

    /// @inheritdoc IEarnings
    function claimProvider(
        uint32 providerId,
        uint32[] calldata relayIds,
        address to
    ) external nonReentrant returns (uint96 amount) {
        _checkIdOwner(ROLE_PROVIDER, providerId);
        uint256 total = 0;
        for (uint256 i = 0; i < relayIds.length; ++i) {
            ProviderSlot slot = _providers[relayIds[i]][providerId].slot;
            total += slot.claimable();
            _providers[relayIds[i]][providerId].slot = slot.withClaimable(0);
        }
        uint96 claimable = total.toUint96();
        uint96 dust = uint96(claimable % VAULT.SCALE());
        amount = claimable - dust;
        if (dust != 0) {
            // there is a last relay, or there were no credits
            uint32 last = relayIds[relayIds.length - 1];
            _providers[last][providerId].slot = _providers[last][providerId].slot.withClaimable(dust);
        }
        emit ProviderClaimed(providerId, to, amount);
        VAULT.payOut(to, claimable);
    }

    /// @inheritdoc IEarnings
    function claimRelay(uint32 relayId, address to) external nonReentrant returns (uint96 amount) {
        _checkIdOwner(ROLE_RELAY, relayId);
        (RelaySlot memory slot, RelayBucket memory bucket) = _rollBucket(relayId);
        uint96 earned = slot.earned;
        slot.earned = uint96(earned % VAULT.SCALE());
        amount = earned - slot.earned;
        _relays[relayId] = slot;
        _buckets[relayId] = bucket;
        emit RelayClaimed(relayId, to, amount);
        VAULT.payOut(to, earned);
    }

    /// @inheritdoc IEarnings
    function claimProtocolFees() external nonReentrant returns (uint96 amount) {
        uint96 fees = _protocolFees;
        uint96 dust = uint96(fees % VAULT.SCALE());
        amount = fees - dust;
        _protocolFees = dust;
        emit ProtocolFeesClaimed(TREASURY, amount);
        VAULT.payOut(TREASURY, fees);
    }

    /// @inheritdoc IEarnings
    function notePaid(uint32 relayId, uint32 providerId, uint80 amount) external nonReentrant {
        require(msg.sender == RESERVES, NotReserves(msg.sender));
        ProviderSlot slot = _providers[relayId][providerId].slot;
        if (!slot.enlisted()) slot = _enlisted(slot, relayId, providerId);
        slot = slot.notePaid(amount);
        _providers[relayId][providerId].slot = slot;
        emit PaidByReserve(relayId, providerId, amount, slot.paid());
    }

    /// @inheritdoc IEarnings
    function fundRelay(uint32 relayId, uint96 amount) external nonReentrant {
        _nowRunning();
        _checkExists(ROLE_RELAY, relayId);
        require(amount != 0, ZeroFloat());
        uint32 userId = VAULT.userIdOf(msg.sender);
        require(userId != 0, UnknownPayer(msg.sender));
        _buckets[relayId].float += amount;
        emit RelayFunded(relayId, msg.sender, amount);
        VAULT.lock(userId, amount);
    }

    /// @inheritdoc IEarnings
    function withdrawFloat(uint32 relayId, uint96 amount) external nonReentrant {
        address owner = _checkIdOwner(ROLE_RELAY, relayId);
        require(amount != 0, ZeroFloat());
        uint32 userId = VAULT.userIdOf(owner);
        require(userId != 0, UnknownPayer(owner));
        RelayBucket storage bucket = _buckets[relayId];
        uint96 float = bucket.float;
        require(amount <= float, InsufficientFloat(relayId, float, amount));
        bucket.float = float - amount;
        emit FloatWithdrawn(relayId, amount);
        VAULT.release(userId, amount);
    }

    /// @inheritdoc IEarnings
    function providerAccountOf(uint32 relayId, uint32 providerId) external view returns (ProviderAccount memory) {
        ProviderSlot slot = _providers[relayId][providerId].slot;
        return ProviderAccount({claimable: slot.claimable(), paid: slot.paid(), enlisted: slot.enlisted()});
    }

    /// @inheritdoc IEarnings
    function relayAccountOf(uint32 relayId) external view returns (RelayAccount memory) {
        (RelaySlot memory slot, RelayBucket memory bucket) = _rollBucket(relayId);
        return
            RelayAccount({
                batchNo: slot.batchNo,
                earned: slot.earned,
                pendingCur: slot.earnedCur,
                pendingPrev: bucket.earnedPrev,
                float: bucket.float
            });
    }

    /// @inheritdoc IEarnings
    function protocolFees() external view returns (uint96) {
        return _protocolFees;
    }

    /// @dev The slot of a pair whose first row or enlistment this is. The provider may have left: it was owed before.
    function _enlisted(ProviderSlot slot, uint32 relayId, uint32 providerId) internal returns (ProviderSlot) {
        _checkExists(ROLE_PROVIDER, providerId);
        emit ProviderEnlisted(relayId, providerId);
        return slot.enlist();
    }

    function _checkExists(uint8 role, uint32 id) private view {
        require(REGISTRY.ownerOf(role, id) != address(0), UnknownId(role, id));
    }
}
