// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {Depth} from "../../../contracts/libraries/Depth.sol";
import {Groups} from "../../../contracts/libraries/Groups.sol";
import {ReceiptsTree} from "../../../contracts/libraries/ReceiptsTree.sol";
import {DebitRow, Rows} from "../../../contracts/libraries/Rows.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Market} from "../support/Market.sol";

/// @notice What the stories of fraud stand on: every row, user leaf and receipt of an honest batch opens.
contract OpeningsTest is Market {
    function test_openings_reachTheRootsOfAMixedBatch() public {
        Posted memory posted = close(honestDay());
        credit(posted, 3 * COST);
        submit(posted);
        eq(posted.batch.header.nA, 2, "metered rows");
        eq(posted.batch.header.nB, 1, "signed rows");
        eq(settlement.channelOf(1, cyd).spent, 2 * CHARGE, "the voucher was taken");
        opens(posted);
    }

    function test_openings_ofOneReceiptOfOneUserNeedNoPath() public {
        Posted memory posted = submit(alone(honestBill(ann, 1)));
        eq(posted.batch.header.depth, 0, "depth");
        eq(leafProof(posted, 0, 0).path.length, 0, "path");
        opens(posted);
    }

    /// @dev Rows 63 and 64 lie on either side of a chunk's end, in both sections.
    function test_openings_reachRowsAtTheEndsOfChunks() public {
        Bill[] memory bills = new Bill[](131);
        for (uint256 n = 0; n < 66; ++n) bills[n] = honestBill(settleIn(100 + n, false), 1);
        for (uint256 n = 66; n < 131; ++n) bills[n] = honestBill(settleIn(100 + n, true), 1);
        Posted memory posted = submit(bills);
        eq(rowProof(posted, 63).chunk.length, 64 * 22, "a whole chunk");
        eq(rowProof(posted, 65).chunk.length, 2 * 22, "the rest of the section");
        eq(rowProof(posted, 130).chunk.length, 94, "one signed row");
        uint8[6] memory rows = [0, 63, 64, 66, 129, 130];
        for (uint256 i = 0; i < rows.length; ++i) rowOpens(posted, rows[i]);
    }

    function testFuzz_openings_ofAnyNumberOfReceipts(uint8 count) public {
        opens(submit(alone(honestBill(ann, bound(count, 1, 9)))));
    }

    /// @dev A tree has at most 2^32 leaves, whatever a path says.
    function test_open_refusesADepthThatNoTreeHas() public pure {
        ReceiptsTree.Node memory node = ReceiptsTree.Node(keccak256("leaf"), 1);
        (bool ok, , ) = ReceiptsTree.open(node, 0, 32, new ReceiptsTree.Node[](32));
        yes(ok, "the deepest");
        (ok, , ) = ReceiptsTree.open(node, 0, 33, new ReceiptsTree.Node[](33));
        yes(!ok, "deeper");
    }

    function opens(Posted memory posted) private view {
        for (uint256 row = 0; row < posted.bills.length; ++row) {
            rowOpens(posted, row);
            for (uint256 i = 0; i < posted.bills[row].served.length; ++i) leafOpens(posted, row, i);
        }
    }

    function rowOpens(Posted memory posted, uint256 row) private view {
        IPosts.PostHeader memory header = posted.batch.header;
        IFraudProofs.RowProof memory proof = rowProof(posted, row);
        uint256 found = this.openRow(proof);
        Bill memory bill = posted.bills[row];
        eq(found >> 80, (uint256(bill.userId) << 144) | (uint256(bill.cumEnd) << 64) | bill.delta, "row");
        IFraudProofs.UserProof memory user = userProof(posted, row);
        (bool ok, ReceiptsTree.Node memory root, ) = ReceiptsTree.open(
            ReceiptsTree.userLeaf(user.leaf),
            row,
            header.depth,
            user.path
        );
        yes(ok && root.hash == header.receiptsRoot && root.sum == header.receiptsSum, "user leaf");
    }

    function leafOpens(Posted memory posted, uint256 row, uint256 index) private view {
        Bill memory bill = posted.bills[row];
        IFraudProofs.LeafProof memory leaf = leafProof(posted, row, index);
        (bool ok, ReceiptsTree.Node memory root, uint96 prefix) = ReceiptsTree.open(
            ReceiptsTree.leaf(leaf.leaf),
            index,
            Depth.forLeaves(bill.leaf.count),
            leaf.path
        );
        yes(ok && root.hash == bill.leaf.subRoot && root.sum == bill.leaf.sum, "leaf");
        eq(uint256(bill.leaf.cumStart) + prefix + leaf.leaf.charge, leaf.leaf.userCumulative, "running total");
        signed(bill.served[index]);
    }

    function signed(Served memory served) private view {
        (bool ok, address signer) = this.readEvidence(served);
        yes(ok && signer == vm.addr(providerSignerKey(1)), "evidence");
        eq(keccak256(served.evidence), served.leaf.evidenceHash, "evidence hash");
        eq(digestOf(served.receipt), served.leaf.usageDigest, "digest");
        eq(hashOf(served.request), served.receipt.requestHash, "request");
    }

    // ---- As a contract would call them ----

    function openRow(IFraudProofs.RowProof calldata proof) external pure returns (uint256) {
        IPosts.PostHeader calldata header = proof.batch.header;
        (bool ok, DebitRow row) = Rows.openUserRow(
            proof.batch.rowsHash,
            [header.nA, header.nB, header.nC],
            proof.row,
            proof.chunk,
            proof.chunkHashes
        );
        yes(ok, "row opens");
        return DebitRow.unwrap(row) & ~uint256(type(uint80).max);
    }

    function readEvidence(Served calldata served) external view returns (bool ok, address signer) {
        Groups.Proven memory proven;
        (ok, proven) = Groups.read(settlement.domainSeparator(), served.leaf.usageDigest, served.evidence);
        return (ok, proven.signer);
    }
}
