// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {ITimed} from "./interfaces/ITimed.sol";

/// @notice Protocol time. The windows a contract needs it takes from the clock when it is deployed.
abstract contract Timed is ITimed {
    /// @inheritdoc ITimed
    IProtocolClock public immutable CLOCK;

    constructor(IProtocolClock clock_) {
        CLOCK = clock_;
    }

    function _now() internal view returns (uint40) {
        return CLOCK.clock();
    }

    /// @dev For what may not begin during a pause.
    function _nowRunning() internal view returns (uint40) {
        return CLOCK.running();
    }

    function _checkDeadline(uint40 deadline) internal view {
        uint40 time = _now();
        require(time <= deadline, DeadlinePassed(deadline, time));
    }
}
