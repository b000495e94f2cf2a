// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPosts, SKIP_FUNDS, SKIP_MISMATCH, SKIP_OVER} from "../interfaces/IPosts.sol";
import {Depth} from "../libraries/Depth.sol";
import {Pricing} from "../libraries/Pricing.sol";
import {Rows} from "../libraries/Rows.sol";
import {ChannelSlot} from "../types/ChannelSlot.sol";
import {ProviderSlot} from "../types/ProviderSlot.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Earnings} from "./Earnings.sol";

/// @notice Batches. A row that a user made impossible is skipped; what the relay controls reverts.
abstract contract Posts is Earnings {
    using SafeCast for uint256;

    /// @dev Sums of one post, pUSD.
    struct Totals {
        uint256 deltas;
        uint256 debits;
        uint256 credits;
        uint256 fee;
        uint256 skippedBytes;
        bytes32 skippedHash;
    }

    uint256 private constant _RING = 256;
    /// @dev Volume that is not final may be 0.8 of the bond: the rest pays for penalties.
    uint256 private constant _BACKED = 8;
    uint256 private constant _BACKING = 10;

    /// @inheritdoc IPosts
    function post(uint32 relayId, PostHeader calldata header, bytes calldata rows) external nonReentrant {
        require(REGISTRY.mayPost(relayId, msg.sender), NotPoster(relayId, msg.sender));
        _checkHeader(header);
        Rows.checkLength(rows, header.nA, header.nC);
        uint40 time = _now();
        Totals memory totals;
        _applyDebits(relayId, header, rows, time, totals);
        require(totals.deltas == header.receiptsSum, WrongReceiptsSum(header.receiptsSum, totals.deltas));
        _applyCredits(relayId, header, rows, totals);
        totals.fee = Pricing.protocolFee(totals.debits, PROTOCOL_FEE_BPS);
        _protocolFees += totals.fee.toUint96();
        _settle(relayId, header.batchNo, totals);
        _countInflight(relayId, header.batchNo, totals.debits);
        _commit(relayId, header, rows, time, totals);
    }

    /// @inheritdoc IPosts
    function inflightOf(uint32 relayId) external view returns (Inflight memory) {
        return _rollInflight(relayId);
    }

    /// @inheritdoc IPosts
    function requiredBond(uint32 relayId) external view returns (uint256) {
        Inflight memory volume = _rollInflight(relayId);
        uint256 backed = (uint256(volume.cur) + volume.prev) * _BACKING;
        return (backed + _BACKED - 1) / _BACKED;
    }

    /// @inheritdoc IPosts
    function commitOf(uint32 relayId, uint64 batchNo) external view returns (bytes32) {
        uint64 next = _relays[relayId].batchNo;
        return batchNo < next && next - batchNo <= _RING ? _ring[relayId][batchNo % _RING] : bytes32(0);
    }

    function _applyDebits(
        uint32 relayId,
        PostHeader calldata header,
        bytes calldata rows,
        uint40 time,
        Totals memory totals
    ) private {
        mapping(uint32 userId => ChannelSlot slot) storage channels = _channels[relayId];
        bytes memory skipped;
        uint32 last = 0;
        for (uint256 row = 0; row < header.nA; ++row) {
            (uint32 userId, uint80 cumEnd, uint64 delta) = Rows.metered(rows, row);
            Rows.checkOrder(row, userId, last);
            last = userId;
            totals.deltas += delta;
            ChannelSlot channel = channels[userId];
            uint8 reason = _skipReason(channel, cumEnd, delta, time);
            if (reason == 0) {
                channels[userId] = channel.debited(delta);
                totals.debits += delta;
            } else {
                if (skipped.length == 0) skipped = new bytes(4 * uint256(header.nA));
                _append(skipped, totals.skippedBytes, userId);
                totals.skippedBytes += 4;
                emit RowSkipped(relayId, userId, header.batchNo, cumEnd, delta, reason);
            }
        }
        if (totals.skippedBytes != 0) totals.skippedHash = _hashHead(skipped, totals.skippedBytes);
    }

    function _applyCredits(
        uint32 relayId,
        PostHeader calldata header,
        bytes calldata rows,
        Totals memory totals
    ) private {
        mapping(uint32 providerId => ProviderSlot slot) storage providers = _providers[relayId];
        uint32 last = 0;
        for (uint256 row = 0; row < header.nC; ++row) {
            (uint32 providerId, uint80 cumEnd) = Rows.provider(rows, header.nA, row);
            Rows.checkOrder(row, providerId, last);
            last = providerId;
            ProviderSlot slot = providers[providerId];
            uint80 paid = slot.paid();
            if (!slot.enlisted()) slot = _enlisted(slot, relayId, providerId);
            // a cumulative that has been reached already owes nothing
            uint80 credit = cumEnd > paid ? cumEnd - paid : 0;
            providers[providerId] = slot.credited(credit);
            totals.credits += credit;
        }
    }

    /// @dev What the debits leave after credits and fee waits in the relay's bucket. What they lack comes from the
    /// relay's earnings, newest first, then from its float.
    function _settle(uint32 relayId, uint64 batchNo, Totals memory totals) private {
        (RelaySlot memory slot, RelayBucket memory bucket) = _rollBucket(relayId);
        require(batchNo == slot.batchNo, WrongBatchNo(batchNo, slot.batchNo));
        slot.batchNo = batchNo + 1;
        uint256 owed = totals.credits + totals.fee;
        if (totals.debits >= owed) {
            slot.earnedCur = (slot.earnedCur + (totals.debits - owed)).toUint96();
        } else {
            uint256 missing = owed - totals.debits;
            (slot.earnedCur, missing) = _draw(slot.earnedCur, missing);
            (bucket.earnedPrev, missing) = _draw(bucket.earnedPrev, missing);
            (slot.earned, missing) = _draw(slot.earned, missing);
            (bucket.float, missing) = _draw(bucket.float, missing);
            require(missing == 0, Shortfall(relayId, missing));
        }
        _relays[relayId] = slot;
        _buckets[relayId] = bucket;
    }

    function _countInflight(uint32 relayId, uint64 batchNo, uint256 debits) private {
        Inflight memory volume = _rollInflight(relayId);
        uint256 notFinal = uint256(volume.curCount) + volume.prevCount;
        require(notFinal < _RING, RingFull(relayId, batchNo, notFinal));
        ++volume.curCount;
        if (debits != 0) {
            volume.cur = (volume.cur + debits).toUint96();
            uint256 inflight = uint256(volume.cur) + volume.prev;
            uint256 bond = STAKE_MANAGER.bondOf(ROLE_RELAY, relayId).active;
            uint256 limit = (bond * _BACKED) / _BACKING;
            require(inflight <= limit, InflightAboveBond(relayId, inflight, limit));
        }
        _inflight[relayId] = volume;
    }

    function _commit(
        uint32 relayId,
        PostHeader calldata header,
        bytes calldata rows,
        uint40 time,
        Totals memory totals
    ) private {
        bytes32 rowsHash = Rows.hash(rows, header.nA, header.nC);
        uint96 debitA = totals.debits.toUint96();
        bytes32 commit = keccak256(abi.encode(header, rowsHash, totals.skippedHash, time, debitA));
        _ring[relayId][header.batchNo % _RING] = commit;
        emit Posted(
            relayId,
            header.batchNo,
            header.receiptsRoot,
            header.receiptsSum,
            rowsHash,
            totals.skippedHash,
            time,
            debitA,
            0,
            totals.credits.toUint96(),
            totals.fee.toUint96()
        );
    }

    function _rollInflight(uint32 relayId) private view returns (Inflight memory volume) {
        volume = _inflight[relayId];
        uint32 epoch = uint32(_now() / _EPOCH);
        if (epoch == volume.epoch) return volume;
        bool isNext = epoch == volume.epoch + 1;
        (volume.prev, volume.prevCount) = isNext ? (volume.cur, volume.curCount) : (0, 0);
        (volume.cur, volume.curCount, volume.epoch) = (0, 0, epoch);
    }

    /// @dev 0 to apply the row. Everything here can change under a relay that built its batch in good faith.
    function _skipReason(
        ChannelSlot channel,
        uint80 cumEnd,
        uint64 delta,
        uint40 time
    ) private pure returns (uint8) {
        if (time > channel.settleBy()) return SKIP_OVER;
        if (uint256(channel.spent()) + delta != cumEnd) return SKIP_MISMATCH;
        if (delta > channel.available()) return SKIP_FUNDS;
        return 0;
    }

    function _draw(uint96 pot, uint256 missing) private pure returns (uint96 left, uint256 stillMissing) {
        uint96 drawn = missing > pot ? pot : uint96(missing);
        return (pot - drawn, missing - drawn);
    }

    /// @dev `list` has room for the ids of all rows, so nothing is copied when one more is skipped.
    function _append(bytes memory list, uint256 offset, uint32 userId) private pure {
        assembly ("memory-safe") {
            let place := add(add(list, 32), offset)
            // the 28 bytes behind keep what they hold: the last id ends where the list ends
            mstore(place, or(shl(224, userId), and(mload(place), sub(shl(224, 1), 1))))
        }
    }

    function _hashHead(bytes memory list, uint256 length) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(list, 32), length)
        }
    }

    function _checkHeader(PostHeader calldata header) private pure {
        require(header.nB == 0, SignedRowsNotSupported(header.nB));
        uint256 depth = Depth.forLeaves(header.nA);
        require(header.depth == depth, WrongDepth(header.depth, depth));
        bool hasRoot = header.receiptsRoot != bytes32(0);
        require(hasRoot == (header.nA != 0), WrongReceiptsRoot(header.receiptsRoot, header.nA));
    }
}
