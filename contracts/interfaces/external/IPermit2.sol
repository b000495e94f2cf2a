// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice The part of Permit2 that is used here: one transfer by signature, from an owner that approved Permit2 once.
interface IPermit2 {
    /// @param token The token that may be moved.
    /// @param amount The most that may be moved, base units.
    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    /// @notice What the owner signs, together with the caller as `spender`.
    /// @param nonce Any number; each works once per owner, in any order.
    /// @param deadline The last second at which it holds, of block time.
    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    /// @param to Who gets the tokens.
    /// @param requestedAmount How many of those that were signed for, base units.
    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    /// @notice Moves tokens of `owner` as the caller says, within what `owner` signed for the caller.
    function permitTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external;
}
