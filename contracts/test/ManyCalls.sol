// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Makes many calls in one transaction, for networks without value: a bench brings thousands of users with it.
contract ManyCalls {
    /// @notice Thrown when a call reverts; with what it reverted with.
    error CallFailed(uint256 index, bytes reason);

    /// @notice Calls `targets` one after the other, each with its data. All or nothing.
    function callAll(address[] calldata targets, bytes[] calldata data) external {
        for (uint256 i = 0; i < targets.length; ++i) {
            // solhint-disable-next-line avoid-low-level-calls
            (bool ok, bytes memory result) = targets[i].call(data[i]);
            require(ok, CallFailed(i, result));
        }
    }
}
