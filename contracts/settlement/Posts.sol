// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPosts, SKIP_FUNDS, SKIP_MISMATCH, SKIP_OVER} from "../interfaces/IPosts.sol";
import {Depth} from "../libraries/Depth.sol";
import {Pricing} from "../libraries/Pricing.sol";
import {MeteredRow, ProviderRow, Rows} from "../libraries/Rows.sol";
import {ChannelCell, ChannelSlot} from "../types/ChannelSlot.sol";
import {ProviderCell, ProviderSlot} from "../types/ProviderSlot.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Earnings} from "./Earnings.sol";

/// @notice Batches. A row that a user made impossible is skipped; what the relay controls reverts.
abstract contract Posts is Earnings {
    using Rows for bytes;
    using SafeCast for uint256;

    /// @dev One post on its way: who and when, its sums in pUSD, and the ids of its skipped rows.
    struct Batch {
        uint32 relayId;
        uint64 batchNo;
        uint40 time;
        uint256 deltas;
        uint256 debits;
        uint256 credits;
        uint256 fee;
        bytes skipped;
        uint256 skippedLength;
        bytes32 rowsHash;
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
        Batch memory batch;
        (batch.relayId, batch.batchNo, batch.time) = (relayId, header.batchNo, _now());
        _applyDebits(batch, header.nA, rows);
        require(batch.deltas == header.receiptsSum, WrongReceiptsSum(header.receiptsSum, batch.deltas));
        _applyCredits(batch, header, rows);
        batch.fee = Pricing.protocolFee(batch.debits, PROTOCOL_FEE_BPS);
        _protocolFees += batch.fee.toUint96();
        _settle(batch);
        _countInflight(batch);
        _commit(batch, header, rows);
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

    /// @dev Unchecked: at most 2^32 deltas of 64 bits, so the sums fit 96; rows and counters stay below that.
    function _applyDebits(Batch memory batch, uint256 nA, bytes calldata rows) private {
        mapping(uint32 userId => ChannelCell cell) storage channels = _channels[batch.relayId];
        (uint40 time, uint32 last) = (batch.time, 0);
        (uint256 deltas, uint256 debits) = (0, 0);
        unchecked {
            for (uint256 index = 0; index < nA; ++index) {
                MeteredRow row = rows.metered(index);
                Rows.checkOrder(index, row.userId(), last);
                last = row.userId();
                deltas += row.delta();
                ChannelCell storage cell = channels[last];
                ChannelSlot channel = cell.slot;
                uint8 reason = _skipReason(channel, row, time);
                if (reason == 0) {
                    cell.slot = channel.debited(row.delta());
                    debits += row.delta();
                } else {
                    _skip(batch, nA, row, reason);
                }
            }
        }
        (batch.deltas, batch.debits) = (deltas, debits);
    }

    function _skip(Batch memory batch, uint256 nA, MeteredRow row, uint8 reason) private {
        if (batch.skipped.length == 0) batch.skipped = new bytes(4 * nA);
        _append(batch, row.userId());
        emit RowSkipped(batch.relayId, row.userId(), batch.batchNo, row.cumEnd(), row.delta(), reason);
    }

    /// @dev Unchecked: at most 2^32 credits of 80 bits.
    function _applyCredits(Batch memory batch, PostHeader calldata header, bytes calldata rows) private {
        mapping(uint32 providerId => ProviderCell cell) storage providers = _providers[batch.relayId];
        (uint256 nA, uint256 nC) = (header.nA, header.nC);
        (uint32 last, uint256 credits) = (0, 0);
        unchecked {
            for (uint256 index = 0; index < nC; ++index) {
                ProviderRow row = rows.provider(nA, index);
                Rows.checkOrder(index, row.providerId(), last);
                last = row.providerId();
                ProviderCell storage cell = providers[last];
                ProviderSlot slot = cell.slot;
                uint80 paid = slot.paid();
                if (!slot.enlisted()) slot = _enlisted(slot, batch.relayId, last);
                // a cumulative that has been reached already owes nothing
                uint80 credit = row.cumEnd() > paid ? row.cumEnd() - paid : 0;
                cell.slot = slot.credited(credit);
                credits += credit;
            }
        }
        batch.credits = credits;
    }

    /// @dev What the debits leave after credits and fee waits in the relay's bucket. What they lack comes from the
    /// relay's earnings, newest first, then from its float.
    function _settle(Batch memory batch) private {
        (RelaySlot memory slot, RelayBucket memory bucket) = _rollBucket(batch.relayId);
        require(batch.batchNo == slot.batchNo, WrongBatchNo(batch.batchNo, slot.batchNo));
        slot.batchNo = batch.batchNo + 1;
        uint256 owed = batch.credits + batch.fee;
        if (batch.debits >= owed) {
            slot.earnedCur = (slot.earnedCur + (batch.debits - owed)).toUint96();
        } else {
            uint256 missing = owed - batch.debits;
            (slot.earnedCur, missing) = _draw(slot.earnedCur, missing);
            (bucket.earnedPrev, missing) = _draw(bucket.earnedPrev, missing);
            (slot.earned, missing) = _draw(slot.earned, missing);
            (bucket.float, missing) = _draw(bucket.float, missing);
            require(missing == 0, Shortfall(batch.relayId, missing));
        }
        _relays[batch.relayId] = slot;
        _buckets[batch.relayId] = bucket;
    }

    function _countInflight(Batch memory batch) private {
        uint32 relayId = batch.relayId;
        Inflight memory volume = _rollInflight(relayId);
        uint256 notFinal = uint256(volume.curCount) + volume.prevCount;
        require(notFinal < _RING, RingFull(relayId, batch.batchNo, notFinal));
        ++volume.curCount;
        if (batch.debits != 0) {
            volume.cur = (volume.cur + batch.debits).toUint96();
            uint256 inflight = uint256(volume.cur) + volume.prev;
            uint256 bond = STAKE_MANAGER.bondOf(ROLE_RELAY, relayId).active;
            uint256 limit = (bond * _BACKED) / _BACKING;
            require(inflight <= limit, InflightAboveBond(relayId, inflight, limit));
        }
        _inflight[relayId] = volume;
    }

    function _commit(Batch memory batch, PostHeader calldata header, bytes calldata rows) private {
        batch.rowsHash = Rows.hash(rows, header.nA, header.nC);
        batch.skippedHash = _skippedHash(batch);
        _ring[batch.relayId][batch.batchNo % _RING] = keccak256(
            abi.encode(header, batch.rowsHash, batch.skippedHash, batch.time, batch.debits.toUint96())
        );
        _emitPosted(batch, header.receiptsRoot, header.receiptsSum);
    }

    function _emitPosted(Batch memory batch, bytes32 receiptsRoot, uint96 receiptsSum) private {
        emit Posted(
            batch.relayId,
            batch.batchNo,
            receiptsRoot,
            receiptsSum,
            batch.rowsHash,
            batch.skippedHash,
            batch.time,
            uint96(batch.debits),
            0,
            batch.credits.toUint96(),
            uint96(batch.fee)
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
    function _skipReason(ChannelSlot channel, MeteredRow row, uint40 time) private pure returns (uint8) {
        if (time > channel.settleBy()) return SKIP_OVER;
        unchecked {
            // 80 and 64 bits
            if (uint256(channel.spent()) + row.delta() != row.cumEnd()) return SKIP_MISMATCH;
        }
        return row.delta() > channel.available() ? SKIP_FUNDS : 0;
    }

    function _draw(uint96 pot, uint256 missing) private pure returns (uint96 left, uint256 stillMissing) {
        uint96 drawn = missing > pot ? pot : uint96(missing);
        return (pot - drawn, missing - drawn);
    }

    /// @dev The list has room for the ids of all rows, so nothing is copied when one more is skipped.
    function _append(Batch memory batch, uint32 userId) private pure {
        bytes memory list = batch.skipped;
        uint256 offset = batch.skippedLength;
        for (uint256 i = 0; i < 4; ++i) list[offset + i] = bytes4(userId)[i];
        batch.skippedLength = offset + 4;
    }

    /// @dev 0 when nothing was skipped, else keccak of the ids.
    function _skippedHash(Batch memory batch) private pure returns (bytes32 hash) {
        if (batch.skippedLength == 0) return bytes32(0);
        bytes memory list = batch.skipped;
        uint256 length = batch.skippedLength;
        // solhint-disable-next-line no-inline-assembly
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
