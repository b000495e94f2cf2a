// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A user's row in the highest bytes: userId u32 | cumEnd u80 | delta u64, and on a signed row excess u64.
type DebitRow is uint256;
/// @notice A provider row in the highest 14 bytes: providerId u32 | cumEnd u80.
type ProviderRow is uint256;

using Rows for DebitRow global;
using Rows for ProviderRow global;

/// @notice The packed rows of a post, big-endian, sections one after the other:
///   A metered debit    22 B  userId u32 | cumEnd u80 | delta u64
///   B signed debit     94 B  userId u32 | cumEnd u80 | delta u64 | excess u64 | r 32 | vs 32
///   C provider credit  14 B  providerId u32 | cumEnd u80
/// A signed row begins like a metered one. Its voucher is for cumEnd + excess; (r, vs) is its ERC-2098 signature.
library Rows {
    uint256 internal constant METERED_BYTES = 22;
    uint256 internal constant SIGNED_BYTES = 94;
    uint256 internal constant PROVIDER_BYTES = 14;
    uint256 private constant _CHUNK_ROWS = 64;
    uint256 private constant _SIGNATURE_AT = 30;

    /// @notice Thrown when the rows are not as long as the header's counts say.
    error WrongRowsLength(uint256 given, uint256 expected);
    /// @notice Thrown when ids do not strictly ascend from 1 within a section.
    error RowsNotAscending(uint256 row, uint32 id);

    /// @notice Requires that the rows are as long as the counts say. Everything below relies on it.
    function checkLength(bytes calldata rows, uint32 nA, uint32 nB, uint32 nC) internal pure {
        uint256 expected = METERED_BYTES * uint256(nA) + SIGNED_BYTES * uint256(nB) + PROVIDER_BYTES * uint256(nC);
        require(rows.length == expected, WrongRowsLength(rows.length, expected));
    }

    /// @notice Requires that `id` comes after `last`; 0 never does.
    function checkOrder(uint256 row, uint32 id, uint32 last) internal pure {
        require(id > last, RowsNotAscending(row, id));
    }

    /// @notice Where byte `offset` of the rows is in the calldata: for loops over many rows.
    function placeOf(bytes calldata rows, uint256 offset) internal pure returns (uint256 place) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            place := add(rows.offset, offset)
        }
    }

    /// @notice User row that begins at `place`, which lies within what `checkLength` checked.
    function debitFrom(uint256 place) internal pure returns (DebitRow) {
        return DebitRow.wrap(_word(place));
    }

    /// @notice Provider row that begins at `place`; likewise.
    function providerFrom(uint256 place) internal pure returns (ProviderRow) {
        return ProviderRow.wrap(_word(place));
    }

    /// @notice Voucher signature of the signed row that begins at `place`; likewise.
    function signatureFrom(uint256 place) internal pure returns (bytes32 r, bytes32 vs) {
        unchecked {
            r = bytes32(_word(place + _SIGNATURE_AT));
            vs = bytes32(_word(place + _SIGNATURE_AT + 32));
        }
    }

    /// @notice User row that begins at byte `offset` of the rows; likewise.
    function debitAt(bytes calldata rows, uint256 offset) internal pure returns (DebitRow) {
        return debitFrom(placeOf(rows, offset));
    }

    /// @notice Provider row that begins at byte `offset` of the rows; likewise.
    function providerAt(bytes calldata rows, uint256 offset) internal pure returns (ProviderRow) {
        return providerFrom(placeOf(rows, offset));
    }

    /// @notice Voucher signature of the signed row that begins at byte `offset` of the rows; likewise.
    function signatureAt(bytes calldata rows, uint256 offset) internal pure returns (bytes32 r, bytes32 vs) {
        return signatureFrom(placeOf(rows, offset));
    }

    function userId(DebitRow row) internal pure returns (uint32) {
        return uint32(DebitRow.unwrap(row) >> 224);
    }

    function cumEnd(DebitRow row) internal pure returns (uint80) {
        return uint80(DebitRow.unwrap(row) >> 144);
    }

    function delta(DebitRow row) internal pure returns (uint64) {
        return uint64(DebitRow.unwrap(row) >> 80);
    }

    /// @notice By how much the voucher of a signed row exceeds what the row collects.
    function excess(DebitRow row) internal pure returns (uint64) {
        return uint64(DebitRow.unwrap(row) >> 16);
    }

    function providerId(ProviderRow row) internal pure returns (uint32) {
        return uint32(ProviderRow.unwrap(row) >> 224);
    }

    function cumEnd(ProviderRow row) internal pure returns (uint80) {
        return uint80(ProviderRow.unwrap(row) >> 144);
    }

    /// @notice keccak of the hashes of the chunks; a chunk is at most 64 rows of one section. So one row can be shown
    /// later without all the others.
    function hash(bytes calldata rows, uint256 nA, uint256 nB, uint256 nC) internal pure returns (bytes32) {
        bytes32[] memory chunks = new bytes32[](_chunks(nA) + _chunks(nB) + _chunks(nC));
        uint256 middle = METERED_BYTES * nA;
        uint256 end = middle + SIGNED_BYTES * nB;
        _hashChunks(rows[:middle], METERED_BYTES * _CHUNK_ROWS, chunks, 0);
        _hashChunks(rows[middle:end], SIGNED_BYTES * _CHUNK_ROWS, chunks, _chunks(nA));
        _hashChunks(rows[end:], PROVIDER_BYTES * _CHUNK_ROWS, chunks, _chunks(nA) + _chunks(nB));
        return keccak256(abi.encodePacked(chunks));
    }

    /// @notice User row at `index` (metered rows first) of the rows with that hash, shown by its chunk. `ok` is false
    /// when there is no such row, or the chunks are not those of the rows.
    function openUserRow(
        bytes32 rowsHash,
        uint32[3] memory counts,
        uint256 index,
        bytes calldata chunk,
        bytes32[] calldata chunkHashes
    ) internal pure returns (bool ok, DebitRow row) {
        (uint256 nA, uint256 nB) = (counts[0], counts[1]);
        if (index >= nA + nB || chunkHashes.length != _chunks(nA) + _chunks(nB) + _chunks(counts[2])) return (false, row);
        bool isMetered = index < nA;
        uint256 place = isMetered ? index : index - nA;
        uint256 number = place / _CHUNK_ROWS + (isMetered ? 0 : _chunks(nA));
        uint256 offset = (place % _CHUNK_ROWS) * (isMetered ? METERED_BYTES : SIGNED_BYTES);
        if (_hash(chunk) != chunkHashes[number]) return (false, row);
        if (keccak256(abi.encodePacked(chunkHashes)) != rowsHash) return (false, row);
        // the hash fixes the chunk's length, and a chunk that was posted has its row
        return (true, debitAt(chunk, offset));
    }

    function _chunks(uint256 rows) private pure returns (uint256) {
        return (rows + _CHUNK_ROWS - 1) / _CHUNK_ROWS;
    }

    function _hashChunks(bytes calldata section, uint256 size, bytes32[] memory chunks, uint256 first) private pure {
        for (uint256 offset = 0; offset < section.length; offset += size) {
            uint256 end = offset + size < section.length ? offset + size : section.length;
            chunks[first] = _hash(section[offset:end]);
            ++first;
        }
    }

    /// @dev keccak over calldata without keeping the copy: memory would grow with every chunk.
    function _hash(bytes calldata data) private pure returns (bytes32 result) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, data.offset, data.length)
            result := keccak256(free, data.length)
        }
    }

    /// @dev The 32 bytes from `place`; what follows the row is not looked at.
    function _word(uint256 place) private pure returns (uint256 word) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            word := calldataload(place)
        }
    }
}
