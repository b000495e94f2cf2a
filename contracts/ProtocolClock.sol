// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProtocolClock} from "./interfaces/IProtocolClock.sol";

/// @notice Protocol time; today that is the time of the block.
contract ProtocolClock is IProtocolClock {
    /// @inheritdoc IProtocolClock
    function clock() external view returns (uint40) {
        return uint40(block.timestamp);
    }
}
