// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPosts} from "../interfaces/IPosts.sol";

/// @notice A posted batch as its commit knows it.
/// @param rowsHash See Rows.
/// @param skippedHash 0, or keccak of the ids (u32) of the skipped rows in row order. A user's mode puts it into one
/// section, so an id names one row.
/// @param postedAt Protocol time of the block.
/// @param debitA Sum of the applied metered rows, pUSD.
struct Batch {
    IPosts.PostHeader header;
    bytes32 rowsHash;
    bytes32 skippedHash;
    uint40 postedAt;
    uint96 debitA;
}

/// @notice Commits of batches, and when a batch is final.
library Batches {
    /// @notice keccak(abi.encode(header, rowsHash, skippedHash, postedAt, debitA)).
    function commit(Batch memory batch) internal pure returns (bytes32) {
        return keccak256(abi.encode(batch));
    }

    /// @notice Protocol time from which a batch can no longer be attacked: the end of the epoch after its own.
    function finalAt(uint40 postedAt, uint32 epoch) internal pure returns (uint256) {
        return (uint256(postedAt) / epoch + 2) * epoch;
    }
}
