// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {Batch} from "../../../contracts/libraries/Batches.sol";
import {Depth} from "../../../contracts/libraries/Depth.sol";
import {ReceiptsTree} from "../../../contracts/libraries/ReceiptsTree.sol";
import {Bill, Billing} from "./Billing.sol";
import {Trees} from "./Trees.sol";

/// @dev A batch of relay 1: what the relay keeps of it, and all that a proof may need.
/// @param bills In row order: metered users, then signed ones, each by ascending id.
struct Posted {
    Bill[] bills;
    Batch batch;
    bytes rows;
    bytes skipped;
}

/// @notice Whole batches through the real settlement, and openings of any row, user leaf and receipt in them.
abstract contract Batching is Billing {
    uint256 private constant _CHUNK = 64;
    uint256 private constant _A = 22;
    uint256 private constant _B = 94;
    uint256 private constant _C = 14;

    /// @dev Header and rows over the bills as they are.
    function close(Bill[] memory bills) internal view returns (Posted memory posted) {
        posted.bills = bills;
        IPosts.PostHeader memory header = posted.batch.header;
        header.batchNo = settlement.relayAccountOf(1).batchNo;
        header.depth = uint8(Depth.forLeaves(bills.length));
        for (uint256 i = 0; i < bills.length; ++i) {
            posted.rows = bytes.concat(posted.rows, rowOf(bills[i]));
            header.receiptsSum += bills[i].delta;
            if (bills[i].isSigned) ++header.nB;
            else ++header.nA;
        }
        if (bills.length != 0) header.receiptsRoot = Trees.root(userNodes(bills)).hash;
    }

    /// @dev Pays provider 1 up to `cumEnd` in the same batch.
    function credit(Posted memory posted, uint80 cumEnd) internal pure {
        posted.rows = bytes.concat(posted.rows, abi.encodePacked(uint32(1), cumEnd));
        ++posted.batch.header.nC;
    }

    function submit(Posted memory posted) internal {
        Batch memory batch = posted.batch;
        foresee(posted);
        postAs(vm.addr(relaySignerKey(1)), 1, batch.header, posted.rows);
        eq(settlement.commitOf(1, batch.header.batchNo), keccak256(abi.encode(batch)), "the builder knows the commit");
    }

    function submit(Bill[] memory bills) internal returns (Posted memory posted) {
        posted = close(bills);
        submit(posted);
    }

    // ---- Openings ----

    function rowProof(Posted memory posted, uint256 row) internal pure returns (IFraudProofs.RowProof memory proof) {
        IPosts.PostHeader memory header = posted.batch.header;
        (proof.relayId, proof.batch, proof.row) = (1, posted.batch, uint32(row));
        (proof.skipped, proof.chunkHashes) = (posted.skipped, chunkHashes(posted));
        bool isMetered = row < header.nA;
        uint256 place = isMetered ? row : row - header.nA;
        uint256 size = isMetered ? _A : _B;
        uint256 first = place - (place % _CHUNK);
        uint256 count = min(_CHUNK, (isMetered ? header.nA : header.nB) - first);
        proof.chunk = cut(posted.rows, (isMetered ? 0 : _A * header.nA) + first * size, count * size);
    }

    function userProof(Posted memory posted, uint256 row) internal pure returns (IFraudProofs.UserProof memory) {
        return IFraudProofs.UserProof(posted.bills[row].leaf, Trees.path(userNodes(posted.bills), row));
    }

    function leafProof(
        Posted memory posted,
        uint256 row,
        uint256 index
    ) internal pure returns (IFraudProofs.LeafProof memory proof) {
        Bill memory bill = posted.bills[row];
        (proof.index, proof.leaf) = (uint32(index), bill.served[index].leaf);
        proof.path = Trees.path(nodesOf(bill), index);
    }

    function chunkHashes(Posted memory posted) internal pure returns (bytes32[] memory hashes) {
        IPosts.PostHeader memory header = posted.batch.header;
        uint256[3] memory counts = [uint256(header.nA), header.nB, header.nC];
        uint256[3] memory sizes = [_A, _B, _C];
        uint256 total = 0;
        for (uint256 s = 0; s < 3; ++s) total += (counts[s] + _CHUNK - 1) / _CHUNK;
        hashes = new bytes32[](total);
        (uint256 offset, uint256 n) = (0, 0);
        for (uint256 s = 0; s < 3; ++s) {
            for (uint256 done = 0; done < counts[s]; done += _CHUNK) {
                uint256 length = min(_CHUNK, counts[s] - done) * sizes[s];
                hashes[n] = keccak256(cut(posted.rows, offset, length));
                ++n;
                offset += length;
            }
        }
    }

    function userNodes(Bill[] memory bills) internal pure returns (ReceiptsTree.Node[] memory nodes) {
        nodes = new ReceiptsTree.Node[](bills.length);
        for (uint256 i = 0; i < nodes.length; ++i) nodes[i] = ReceiptsTree.userLeaf(bills[i].leaf);
    }

    function cut(bytes memory data, uint256 from, uint256 length) internal pure returns (bytes memory part) {
        part = new bytes(length);
        assembly ("memory-safe") {
            mcopy(add(part, 32), add(add(data, 32), from), length)
        }
    }

    /// @dev What the settlement will do with the rows now: which it skips, what it debits, and when.
    function foresee(Posted memory posted) internal view {
        Batch memory batch = posted.batch;
        (batch.postedAt, batch.debitA, posted.skipped) = (clock.clock(), 0, "");
        for (uint256 i = 0; i < posted.bills.length; ++i) {
            Bill memory bill = posted.bills[i];
            if (_isSkipped(bill, batch.postedAt)) {
                posted.skipped = bytes.concat(posted.skipped, bytes4(bill.userId));
            } else if (!bill.isSigned) {
                batch.debitA += bill.delta;
            }
        }
        batch.skippedHash = posted.skipped.length == 0 ? bytes32(0) : keccak256(posted.skipped);
        batch.rowsHash = keccak256(abi.encodePacked(chunkHashes(posted)));
    }

    function _isSkipped(Bill memory bill, uint40 time) private view returns (bool) {
        IChannels.Channel memory channel = settlement.channelOf(1, bill.userId);
        bool isMismatch = channel.spent + bill.delta != bill.cumEnd;
        return time > channel.settleBy || isMismatch || bill.delta > channel.available;
    }
}
