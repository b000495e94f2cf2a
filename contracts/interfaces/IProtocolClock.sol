// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice The one source of protocol time, read by every contract and every node.
interface IProtocolClock {
    /// @notice Protocol time in seconds.
    function clock() external view returns (uint40);
}
