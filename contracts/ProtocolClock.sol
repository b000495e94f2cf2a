// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {WindowRules, Windows} from "./types/Windows.sol";

/// @notice Protocol time, pauses and windows; see the interface.
contract ProtocolClock is IProtocolClock, AccessManaged {
    /// @dev One word: everything that a reader of the time needs.
    /// @param pausedAt Block time at which the last pause began; 0 before the first.
    /// @param until Block time at which the last pause ends or ended.
    /// @param before All pauses before the last one, seconds.
    struct Pauses {
        uint40 pausedAt;
        uint40 until;
        uint40 before;
    }

    Pauses private _pauses;
    Windows private _windows;

    /// @param authority_ The access manager: who may pause.
    constructor(address authority_, Windows memory windows_) AccessManaged(authority_) {
        WindowRules.check(windows_);
        _windows = windows_;
    }

    /// @inheritdoc IProtocolClock
    function pause() external restricted {
        Pauses memory last = _pauses;
        uint40 time = uint40(block.timestamp);
        uint40 allowedFrom = last.pausedAt == 0 ? 0 : last.until + _windows.pauseCooldown;
        require(time >= allowedFrom, PauseTooSoon(allowedFrom));
        uint40 until = time + _windows.pauseMax;
        _pauses = Pauses({pausedAt: time, until: until, before: last.before + (last.until - last.pausedAt)});
        emit Paused(time, until);
    }

    /// @inheritdoc IProtocolClock
    function unpause() external restricted {
        Pauses storage last = _pauses;
        uint40 time = uint40(block.timestamp);
        require(time < last.until, NotPaused());
        last.until = time;
        emit Unpaused(time - last.pausedAt);
    }

    /// @inheritdoc IProtocolClock
    function clock() external view returns (uint40) {
        return uint40(block.timestamp) - _paused(_pauses);
    }

    /// @inheritdoc IProtocolClock
    function running() external view returns (uint40) {
        Pauses memory last = _pauses;
        require(block.timestamp >= last.until, ProtocolPaused(last.until));
        return uint40(block.timestamp) - _paused(last);
    }

    /// @inheritdoc IProtocolClock
    function totalPaused() external view returns (uint40) {
        return _paused(_pauses);
    }

    /// @inheritdoc IProtocolClock
    function pausedUntil() external view returns (uint40) {
        uint40 until = _pauses.until;
        return block.timestamp < until ? until : 0;
    }

    /// @inheritdoc IProtocolClock
    function windows() external view returns (Windows memory) {
        return _windows;
    }

    /// @dev A pause ends by itself: nobody has to send anything.
    function _paused(Pauses memory last) private view returns (uint40) {
        uint40 time = uint40(block.timestamp);
        uint40 end = time < last.until ? time : last.until;
        return last.before + (end - last.pausedAt);
    }
}
