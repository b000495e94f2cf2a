// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice The part of ERC-3009 (transfers by signature) that is used here. Times are those of blocks, in seconds.
interface IERC3009 {
    /// @notice Moves tokens of `from` to the caller, who must be `to`, by the signature of `from` over
    /// `ReceiveWithAuthorization(from,to,value,validAfter,validBefore,nonce)`.
    /// @param validAfter The last second at which it does not hold yet.
    /// @param validBefore The first second at which it holds no longer.
    /// @param nonce Any word; each works once per `from`.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Whether a nonce was used.
    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
}
