// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProtocolClock} from "./IProtocolClock.sol";

/// @notice A contract that lives by the protocol's clock and windows. Both are fixed when it is deployed.
interface ITimed {
    /// @notice Thrown when a signed deadline has passed.
    error DeadlinePassed(uint40 deadline, uint40 clock);

    /// @notice The clock this contract reads.
    function CLOCK() external view returns (IProtocolClock);
}
