// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPosts} from "../interfaces/IPosts.sol";
import {Earnings} from "./Earnings.sol";

/// @notice How much a relay has posted that can still be attacked, and which commits must be kept for that.
abstract contract Volumes is Earnings {
    using SafeCast for uint256;

    uint256 internal constant _RING = 1_024;
    /// @dev Volume that is not final may be 0.8 of the bond: the rest pays for penalties.
    uint256 private constant _BACKED = 8;
    uint256 private constant _BACKING = 10;

    /// @inheritdoc IPosts
    function inflightOf(uint32 relayId) external view returns (Inflight memory) {
        return _rollInflight(relayId);
    }

    /// @inheritdoc IPosts
    function commitsOf(uint32 relayId) external view returns (Commits memory) {
        return _rollCommits(relayId);
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

    /// @dev Signed debits need no bond behind them: the users' signatures are checked.
    function _countInflight(uint32 relayId, uint256 debits) internal {
        Inflight memory volume = _rollInflight(relayId);
        volume.cur = (volume.cur + debits).toUint96();
        uint256 inflight = uint256(volume.cur) + volume.prev;
        uint256 limit = (uint256(STAKE_MANAGER.backingOf(relayId)) * _BACKED) / _BACKING;
        require(inflight <= limit, InflightAboveBond(relayId, inflight, limit));
        _inflight[relayId] = volume;
    }

    function _countCommit(uint32 relayId, uint64 batchNo) internal {
        Commits memory commits = _rollCommits(relayId);
        uint256 kept = uint256(commits.cur) + commits.prev;
        require(kept < _RING, RingFull(relayId, batchNo, kept));
        ++commits.cur;
        _commits[relayId] = commits;
    }

    function _rollInflight(uint32 relayId) private view returns (Inflight memory volume) {
        volume = _inflight[relayId];
        uint32 epoch = uint32(_now() / _EPOCH);
        if (epoch == volume.epoch) return volume;
        volume.prev = epoch == volume.epoch + 1 ? volume.cur : 0;
        (volume.cur, volume.epoch) = (0, epoch);
    }

    function _rollCommits(uint32 relayId) private view returns (Commits memory commits) {
        commits = _commits[relayId];
        uint32 period = uint32(_now() / _KEEP_COMMITS);
        if (period == commits.period) return commits;
        commits.prev = period == commits.period + 1 ? commits.cur : 0;
        (commits.cur, commits.period) = (0, period);
    }
}
