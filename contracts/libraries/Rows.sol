// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A metered row in the highest 22 bytes: userId u32 | cumEnd u80 | delta u64.
type MeteredRow is uint256;
/// @notice A provider row in the highest 14 bytes: providerId u32 | cumEnd u80.
type ProviderRow is uint256;

using Rows for MeteredRow global;
using Rows for ProviderRow global;

/// @notice The packed rows of a post, big-endian, sections one after the other:
///   A metered debit    22 B  userId u32 | cumEnd u80 | delta u64
///   C provider credit  14 B  providerId u32 | cumEnd u80
library Rows {
    uint256 internal constant METERED_BYTES = 22;
    uint256 internal constant PROVIDER_BYTES = 14;
    uint256 private constant _CHUNK_ROWS = 64;

    /// @notice Thrown when the rows are not as long as the header's counts say.
    error WrongRowsLength(uint256 given, uint256 expected);
    /// @notice Thrown when ids do not strictly ascend from 1 within a section.
    error RowsNotAscending(uint256 row, uint32 id);

    /// @notice Requires that the rows are as long as the counts say. Everything below relies on it.
    function checkLength(bytes calldata rows, uint32 nA, uint32 nC) internal pure {
        uint256 expected = METERED_BYTES * uint256(nA) + PROVIDER_BYTES * uint256(nC);
        require(rows.length == expected, WrongRowsLength(rows.length, expected));
    }

    /// @notice Requires that `id` comes after `last`; 0 never does.
    function checkOrder(uint256 row, uint32 id, uint32 last) internal pure {
        require(id > last, RowsNotAscending(row, id));
    }

    /// @notice Metered row at `index`, which is below the count that `checkLength` was given.
    function metered(bytes calldata rows, uint256 index) internal pure returns (MeteredRow) {
        unchecked {
            return MeteredRow.wrap(_word(rows, METERED_BYTES * index));
        }
    }

    /// @notice Provider row at `index`, behind `nA` metered rows; likewise.
    function provider(bytes calldata rows, uint256 nA, uint256 index) internal pure returns (ProviderRow) {
        unchecked {
            return ProviderRow.wrap(_word(rows, METERED_BYTES * nA + PROVIDER_BYTES * index));
        }
    }

    function userId(MeteredRow row) internal pure returns (uint32) {
        return uint32(MeteredRow.unwrap(row) >> 224);
    }

    function cumEnd(MeteredRow row) internal pure returns (uint80) {
        return uint80(MeteredRow.unwrap(row) >> 144);
    }

    function delta(MeteredRow row) internal pure returns (uint64) {
        return uint64(MeteredRow.unwrap(row) >> 80);
    }

    function providerId(ProviderRow row) internal pure returns (uint32) {
        return uint32(ProviderRow.unwrap(row) >> 224);
    }

    function cumEnd(ProviderRow row) internal pure returns (uint80) {
        return uint80(ProviderRow.unwrap(row) >> 144);
    }

    /// @notice keccak of the hashes of the chunks; a chunk is at most 64 rows of one section. So one row can be shown
    /// later without all the others.
    function hash(bytes calldata rows, uint256 nA, uint256 nC) internal pure returns (bytes32) {
        uint256 chunksA = (nA + _CHUNK_ROWS - 1) / _CHUNK_ROWS;
        bytes32[] memory chunks = new bytes32[](chunksA + (nC + _CHUNK_ROWS - 1) / _CHUNK_ROWS);
        uint256 middle = METERED_BYTES * nA;
        _hashChunks(rows[:middle], METERED_BYTES * _CHUNK_ROWS, chunks, 0);
        _hashChunks(rows[middle:], PROVIDER_BYTES * _CHUNK_ROWS, chunks, chunksA);
        return keccak256(abi.encodePacked(chunks));
    }

    function _hashChunks(bytes calldata section, uint256 size, bytes32[] memory chunks, uint256 first) private pure {
        for (uint256 offset = 0; offset < section.length; offset += size) {
            uint256 end = offset + size < section.length ? offset + size : section.length;
            chunks[first] = keccak256(section[offset:end]);
            ++first;
        }
    }

    /// @dev The 32 bytes from `offset`; what follows the row is not looked at.
    function _word(bytes calldata rows, uint256 offset) private pure returns (uint256 word) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            word := calldataload(add(rows.offset, offset))
        }
    }
}
