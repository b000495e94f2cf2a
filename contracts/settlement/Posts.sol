// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPosts, SKIP_FUNDS, SKIP_MISMATCH, SKIP_OVER} from "../interfaces/IPosts.sol";
import {Batch, Batches} from "../libraries/Batches.sol";
import {Depth} from "../libraries/Depth.sol";
import {Pricing} from "../libraries/Pricing.sol";
import {DebitRow, ProviderRow, Rows} from "../libraries/Rows.sol";
import {VoucherFrame, Vouchers} from "../libraries/Vouchers.sol";
import {ChannelAccount, ChannelSlot, MODE_METERED, MODE_SIGNED} from "../types/ChannelSlot.sol";
import {ProviderCell, ProviderSlot} from "../types/ProviderSlot.sol";
import {Volumes} from "./Volumes.sol";

/// @notice Batches. A row that a user made impossible is skipped; what the relay controls reverts.
abstract contract Posts is Volumes {
    using Rows for bytes;
    using SafeCast for uint256;

    /// @dev One post on its way: who and when, its sums in pUSD, and the ids of its skipped rows.
    struct Posting {
        uint32 relayId;
        uint64 batchNo;
        uint40 time;
        uint256 userRows;
        uint256 deltas;
        uint256 debitA;
        uint256 debitB;
        uint256 credits;
        uint256 fee;
        uint256 skippedDeltas;
        bytes skipped;
        uint256 skippedLength;
    }

    /// @inheritdoc IPosts
    function post(uint32 relayId, PostHeader calldata header, bytes calldata rows) external nonReentrant {
        require(REGISTRY.mayPost(relayId, msg.sender), NotPoster(relayId, msg.sender));
        _checkHeader(header);
        Rows.checkLength(rows, header.nA, header.nB, header.nC);
        Posting memory posting;
        (posting.relayId, posting.batchNo, posting.time) = (relayId, header.batchNo, _nowRunning());
        posting.userRows = uint256(header.nA) + header.nB;
        _applyMetered(posting, header.nA, rows);
        _applySigned(posting, header.nA, rows);
        require(posting.deltas == header.receiptsSum, WrongReceiptsSum(header.receiptsSum, posting.deltas));
        _applyCredits(posting, header, rows);
        posting.fee = Pricing.protocolFee(posting.debitA + posting.debitB, PROTOCOL_FEE_BPS);
        _protocolFees += posting.fee.toUint96();
        _settle(posting);
        if (posting.debitA != 0) _countInflight(relayId, posting.debitA);
        _countCommit(relayId, posting.batchNo);
        _commit(posting, header, rows);
    }

    /// @dev Unchecked: at most 2^32 deltas of 64 bits, so the sums fit 96; rows and places stay below that.
    function _applyMetered(Posting memory posting, uint256 nA, bytes calldata rows) private {
        mapping(uint32 userId => ChannelAccount account) storage channels = _channels[posting.relayId];
        (uint256 place, uint40 time, uint256 last, uint256 deltas) = (rows.placeOf(0), posting.time, 0, 0);
        unchecked {
            for (uint256 left = nA; left != 0; --left) {
                DebitRow row = Rows.debitFrom(place);
                uint32 userId = row.userId();
                if (userId <= last) Rows.checkOrder(nA - left, userId, uint32(last));
                last = userId;
                deltas += row.delta();
                ChannelAccount storage account = channels[userId];
                ChannelSlot channel = account.slot;
                // before anything that may skip: an id names one row of a batch because its mode allows one section
                if (channel.mode() != MODE_METERED) revert WrongMode(userId, channel.mode());
                if (channel.canPay(row.cumEnd(), row.delta(), time)) account.slot = channel.debited(row.delta());
                else _skip(posting, channel, row);
                place += Rows.METERED_BYTES;
            }
        }
        (posting.deltas, posting.debitA) = (deltas, deltas - posting.skippedDeltas);
    }

    /// @dev Likewise. A voucher is checked where money moves: rows that a user made impossible are skipped before.
    function _applySigned(Posting memory posting, uint256 nA, bytes calldata rows) private {
        mapping(uint32 userId => ChannelAccount account) storage channels = _channels[posting.relayId];
        VoucherFrame frame = Vouchers.frameFor(_domainSeparatorV4(), posting.relayId);
        uint256 place = rows.placeOf(nA * Rows.METERED_BYTES);
        (uint40 time, uint256 last, uint256 deltas) = (posting.time, 0, posting.deltas);
        unchecked {
            for (uint256 left = posting.userRows - nA; left != 0; --left) {
                DebitRow row = Rows.debitFrom(place);
                uint32 userId = row.userId();
                if (userId <= last) Rows.checkOrder(posting.userRows - left, userId, uint32(last));
                last = userId;
                deltas += row.delta();
                ChannelAccount storage account = channels[userId];
                ChannelSlot channel = account.slot;
                if (channel.mode() != MODE_SIGNED) revert WrongMode(userId, channel.mode());
                if (channel.canPay(row.cumEnd(), row.delta(), time)) {
                    uint256 cumulative = uint256(row.cumEnd()) + row.excess();
                    (bytes32 r, bytes32 vs) = Rows.signatureFrom(place);
                    if (!frame.isBy(account.sessionKey, userId, channel.epoch(), cumulative, r, vs)) {
                        revert BadVoucherSignature(userId, cumulative);
                    }
                    account.slot = channel.debited(row.delta());
                } else {
                    _skip(posting, channel, row);
                }
                place += Rows.SIGNED_BYTES;
            }
        }
        posting.debitB = deltas - posting.skippedDeltas - posting.debitA;
        posting.deltas = deltas;
    }

    function _skip(Posting memory posting, ChannelSlot channel, DebitRow row) private {
        posting.skippedDeltas += row.delta();
        uint8 reason = _skipReason(channel, row, posting.time);
        if (posting.skippedLength == 0) posting.skipped = new bytes(4 * posting.userRows + 28);
        _append(posting, row.userId());
        emit RowSkipped(posting.relayId, row.userId(), posting.batchNo, row.cumEnd(), row.delta(), reason);
    }

    /// @dev Unchecked: at most 2^32 credits of 80 bits.
    function _applyCredits(Posting memory posting, PostHeader calldata header, bytes calldata rows) private {
        mapping(uint32 providerId => ProviderCell cell) storage providers = _providers[posting.relayId];
        (uint256 last, uint256 credits) = (0, 0);
        unchecked {
            uint256 place = rows.placeOf(
                uint256(header.nA) * Rows.METERED_BYTES + uint256(header.nB) * Rows.SIGNED_BYTES
            );
            uint256 nC = header.nC;
            for (uint256 left = nC; left != 0; --left) {
                ProviderRow row = Rows.providerFrom(place);
                uint32 providerId = row.providerId();
                if (providerId <= last) Rows.checkOrder(nC - left, providerId, uint32(last));
                last = providerId;
                ProviderCell storage cell = providers[providerId];
                ProviderSlot slot = cell.slot;
                uint80 paid = slot.paid();
                if (!slot.enlisted()) slot = _enlisted(slot, posting.relayId, providerId);
                // a cumulative that has been reached already owes nothing
                uint80 credit = row.cumEnd() > paid ? row.cumEnd() - paid : 0;
                cell.slot = slot.credited(credit);
                credits += credit;
                place += Rows.PROVIDER_BYTES;
            }
        }
        posting.credits = credits;
    }

    /// @dev What the debits leave after credits and fee waits in the relay's bucket. What they lack comes from the
    /// relay's earnings, newest first, then from its float.
    function _settle(Posting memory posting) private {
        (RelaySlot memory slot, RelayBucket memory bucket) = _rollBucket(posting.relayId);
        require(posting.batchNo == slot.batchNo, WrongBatchNo(posting.batchNo, slot.batchNo));
        slot.batchNo = posting.batchNo + 1;
        uint256 debits = posting.debitA + posting.debitB;
        uint256 owed = posting.credits + posting.fee;
        if (debits >= owed) {
            slot.earnedCur = (slot.earnedCur + (debits - owed)).toUint96();
        } else {
            uint256 missing = owed - debits;
            (slot.earnedCur, missing) = _draw(slot.earnedCur, missing);
            (bucket.earnedPrev, missing) = _draw(bucket.earnedPrev, missing);
            (slot.earned, missing) = _draw(slot.earned, missing);
            (bucket.float, missing) = _draw(bucket.float, missing);
            require(missing == 0, Shortfall(posting.relayId, missing));
        }
        _relays[posting.relayId] = slot;
        _buckets[posting.relayId] = bucket;
    }

    function _commit(Posting memory posting, PostHeader calldata header, bytes calldata rows) private {
        Batch memory batch = Batch({
            header: header,
            rowsHash: Rows.hash(rows, header.nA, header.nB, header.nC),
            skippedHash: _skippedHash(posting),
            postedAt: posting.time,
            debitA: posting.debitA.toUint96()
        });
        _ring[posting.relayId][posting.batchNo % _RING] = Batches.commit(batch);
        emit Posted(
            posting.relayId,
            posting.batchNo,
            header.receiptsRoot,
            header.receiptsSum,
            batch.rowsHash,
            batch.skippedHash,
            posting.time,
            batch.debitA,
            uint96(posting.debitB),
            posting.credits.toUint96(),
            uint96(posting.fee)
        );
    }

    /// @dev For a row that its channel cannot pay. Everything here can change under a relay that built its batch in good
    /// faith.
    function _skipReason(ChannelSlot channel, DebitRow row, uint40 time) private pure returns (uint8) {
        if (time > channel.settleBy()) return SKIP_OVER;
        return uint256(channel.spent()) + row.delta() == row.cumEnd() ? SKIP_FUNDS : SKIP_MISMATCH;
    }

    function _draw(uint96 pot, uint256 missing) private pure returns (uint96 left, uint256 stillMissing) {
        uint96 drawn = missing > pot ? pot : uint96(missing);
        return (pot - drawn, missing - drawn);
    }

    /// @dev The list has room for the ids of all rows, and for the word in which the last is written.
    function _append(Posting memory posting, uint32 userId) private pure {
        (bytes memory list, uint256 length) = (posting.skipped, posting.skippedLength);
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(add(add(list, 32), length), shl(224, userId))
        }
        posting.skippedLength = length + 4;
    }

    /// @dev 0 when nothing was skipped, else keccak of the ids.
    function _skippedHash(Posting memory posting) private pure returns (bytes32 hash) {
        if (posting.skippedLength == 0) return bytes32(0);
        bytes memory list = posting.skipped;
        uint256 length = posting.skippedLength;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            hash := keccak256(add(list, 32), length)
        }
    }

    function _checkHeader(PostHeader calldata header) private pure {
        uint256 userRows = uint256(header.nA) + header.nB;
        uint256 depth = Depth.forLeaves(userRows);
        require(header.depth == depth, WrongDepth(header.depth, depth));
        bool hasRoot = header.receiptsRoot != bytes32(0);
        require(hasRoot == (userRows != 0), WrongReceiptsRoot(header.receiptsRoot, userRows));
    }
}
