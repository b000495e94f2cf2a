// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What ties a receipt to a user's request without telling the provider who the user is.
library Requests {
    /// @notice requestHash of a receipt: the relay draws `nonce` afresh for every attempt.
    function hash(
        uint32 userId,
        uint16 channelEpoch,
        bytes16 nonce,
        bytes32 bodyHash
    ) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(userId, channelEpoch, nonce, bodyHash));
    }
}
