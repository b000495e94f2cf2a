// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPosts} from "../../contracts/interfaces/IPosts.sol";
import {Depth} from "../../contracts/libraries/Depth.sol";
import {Groups} from "../../contracts/libraries/Groups.sol";
import {Pricing} from "../../contracts/libraries/Pricing.sol";
import {ReceiptsTree} from "../../contracts/libraries/ReceiptsTree.sol";
import {MeteredRow, ProviderRow, Rows} from "../../contracts/libraries/Rows.sol";
import {Cases} from "./support/Cases.sol";

/// @notice The golden vectors that TypeScript runs too: costs, rows, groups and trees.
contract VectorsTest is Cases {
    function test_units_vectors() public {
        load("units");
        while (next()) {
            uint32[3] memory units = [uint32(number("units0")), uint32(number("units1")), uint32(number("units2"))];
            uint64[3] memory prices = [uint64(number("price0")), uint64(number("price1")), uint64(number("price2"))];
            if (!flag("fits")) {
                refused(abi.encodeCall(this.cost, (units, prices)));
                continue;
            }
            uint64 cost_ = Pricing.cost(units, prices);
            eq(cost_, number("cost"), name());
            uint256 most = Pricing.chargeBound(cost_, number("relayFeeBps"));
            eq(most, number("chargeBound"), name());
            eq(Pricing.protocolFee(most, number("protocolFeeBps")), number("protocolFee"), name());
        }
    }

    function test_rows_vectors() public {
        load("rows");
        while (next()) {
            bytes memory rows = raw("rows");
            (uint32 nA, uint32 nC) = (uint32(number("nA")), uint32(number("nC")));
            eq(number("nB"), 0, name());
            if (!flag("valid")) {
                refused(abi.encodeCall(this.readRows, (rows, nA, nC)));
                continue;
            }
            (uint256[] memory a, uint256[] memory c) = this.readRows(rows, nA, nC);
            (uint256[] memory ids, uint256[] memory ends) = (numbers("userIds"), numbers("userCumEnds"));
            uint256[] memory deltas = numbers("deltas");
            eq(ids.length, nA, name());
            for (uint256 i = 0; i < nA; ++i) {
                eq(a[3 * i], ids[i], name());
                eq(a[3 * i + 1], ends[i], name());
                eq(a[3 * i + 2], deltas[i], name());
            }
            (ids, ends) = (numbers("providerIds"), numbers("providerCumEnds"));
            eq(ids.length, nC, name());
            for (uint256 i = 0; i < nC; ++i) {
                eq(c[2 * i], ids[i], name());
                eq(c[2 * i + 1], ends[i], name());
            }
            commits(rows, nA, nC);
        }
    }

    function test_groups_vectors() public {
        load("groups");
        while (next()) {
            bytes32 separator = word("separator");
            (bool ok, Groups.Proven memory proven) = this.readEvidence(separator, word("digest"), raw("evidence"));
            bool isGood = ok && proven.signer == account("signer");
            yes(isGood == flag("valid"), name());
            if (!isGood) continue;
            eq(keccak256(raw("evidence")), word("evidenceHash"), name());
            eq(proven.group.relayId, number("relayId"), name());
            eq(proven.group.providerId, number("providerId"), name());
            eq(proven.group.count, number("count"), name());
            eq(proven.group.closedAt, number("closedAt"), name());
            eq(proven.group.root, word("root"), name());
            yes(
                Groups.contains(word("root"), number("count"), word("digest"), number("index"), words("path")),
                name()
            );
        }
    }

    function test_trees_vectors() public {
        load("trees");
        while (next()) {
            if (keccak256(bytes(text("kind"))) == keccak256("batch")) batch();
            else if (flag("valid")) yes(opens(), name());
            else yes(!opens(), name());
        }
    }

    // ---- As a contract would call them ----

    function cost(uint32[3] calldata units, uint64[3] calldata prices) external pure returns (uint64) {
        return Pricing.cost(units, prices);
    }

    function readRows(
        bytes calldata rows,
        uint32 nA,
        uint32 nC
    ) external pure returns (uint256[] memory a, uint256[] memory c) {
        Rows.checkLength(rows, nA, nC);
        (a, c) = (new uint256[](3 * uint256(nA)), new uint256[](2 * uint256(nC)));
        uint32 last = 0;
        for (uint256 i = 0; i < nA; ++i) {
            MeteredRow row = Rows.metered(rows, i);
            (uint32 id, uint80 cumEnd, uint64 delta) = (row.userId(), row.cumEnd(), row.delta());
            Rows.checkOrder(i, id, last);
            last = id;
            (a[3 * i], a[3 * i + 1], a[3 * i + 2]) = (id, cumEnd, delta);
        }
        last = 0;
        for (uint256 i = 0; i < nC; ++i) {
            ProviderRow row = Rows.provider(rows, nA, i);
            (uint32 id, uint80 cumEnd) = (row.providerId(), row.cumEnd());
            Rows.checkOrder(i, id, last);
            last = id;
            (c[2 * i], c[2 * i + 1]) = (id, cumEnd);
        }
    }

    function hashRows(bytes calldata rows, uint256 nA, uint256 nC) external pure returns (bytes32) {
        return Rows.hash(rows, nA, nC);
    }

    function readEvidence(
        bytes32 separator,
        bytes32 digest,
        bytes calldata evidence
    ) external pure returns (bool, Groups.Proven memory) {
        return Groups.read(separator, digest, evidence);
    }

    // ---- Parts ----

    function commits(bytes memory rows, uint32 nA, uint32 nC) private view {
        bytes32 rowsHash = this.hashRows(rows, nA, nC);
        eq(rowsHash, word("rowsHash"), name());
        uint256[] memory skipped = numbers("skippedUserIds");
        bytes memory ids;
        for (uint256 i = 0; i < skipped.length; ++i) ids = abi.encodePacked(ids, uint32(skipped[i]));
        bytes32 skippedHash = skipped.length == 0 ? bytes32(0) : keccak256(ids);
        eq(skippedHash, word("skippedHash"), name());
        eq(Depth.forLeaves(nA), number("depth"), name());
        IPosts.PostHeader memory header = IPosts.PostHeader({
            batchNo: uint64(number("batchNo")),
            nA: nA,
            nB: 0,
            nC: nC,
            depth: uint8(number("depth")),
            receiptsSum: uint96(number("receiptsSum")),
            receiptsRoot: word("receiptsRoot")
        });
        bytes32 commit = keccak256(
            abi.encode(header, rowsHash, skippedHash, uint40(number("postedAt")), uint96(number("debitA")))
        );
        eq(commit, word("commit"), name());
    }

    /// @dev Builds the tree of users from its leaves.
    function batch() private view {
        uint256[] memory ids = numbers("userIds");
        (uint256[] memory epochs, uint256[] memory starts) = (numbers("epochs"), numbers("cumStarts"));
        (uint256[] memory sums, uint256[] memory counts) = (numbers("sums"), numbers("counts"));
        (bytes32[] memory roots, bytes32[] memory leaves) = (words("subRoots"), words("userLeaves"));
        uint256 depth = Depth.forLeaves(ids.length);
        eq(depth, number("depth"), name());
        if (ids.length == 0) return;
        ReceiptsTree.Node[] memory level = new ReceiptsTree.Node[](1 << depth);
        for (uint256 i = 0; i < level.length; ++i) {
            level[i] = ReceiptsTree.padding();
            if (i >= ids.length) continue;
            level[i] = ReceiptsTree.userLeaf(
                ReceiptsTree.UserLeaf({
                    userId: uint32(ids[i]),
                    epoch: uint16(epochs[i]),
                    cumStart: uint80(starts[i]),
                    sum: uint64(sums[i]),
                    count: uint32(counts[i]),
                    subRoot: roots[i]
                })
            );
            eq(level[i].hash, leaves[i], name());
        }
        for (uint256 width = level.length; width > 1; width /= 2) {
            for (uint256 i = 0; i < width / 2; ++i) level[i] = ReceiptsTree.parent(level[2 * i], level[2 * i + 1]);
        }
        eq(level[0].hash, word("root"), name());
        eq(level[0].sum, number("sum"), name());
    }

    /// @dev Whether the leaf, the user and the root of a case belong together.
    function opens() private view returns (bool) {
        uint256[] memory sums = numbers("subPathSums");
        for (uint256 i = 0; i < sums.length; ++i) if (sums[i] > type(uint96).max) return false;
        ReceiptsTree.Node memory node = ReceiptsTree.leaf(
            ReceiptsTree.Leaf({
                usageDigest: word("usageDigest"),
                evidenceHash: keccak256(raw("evidence")),
                userId: uint32(number("userId")),
                charge: uint64(number("charge")),
                userCumulative: uint80(number("userCumulative"))
            })
        );
        if (node.hash != word("leaf")) return false;
        (bool ok, ReceiptsTree.Node memory root, uint96 prefix) = ReceiptsTree.open(
            node,
            number("index"),
            number("subDepth"),
            pathOf(words("subPathHashes"), sums)
        );
        if (!ok || root.hash != word("subRoot") || root.sum != number("userSum") || prefix != number("subPrefix"))
            return false;
        if (Depth.forLeaves(number("count")) != number("subDepth")) return false;
        return opensUser();
    }

    function opensUser() private view returns (bool) {
        ReceiptsTree.Node memory node = ReceiptsTree.userLeaf(
            ReceiptsTree.UserLeaf({
                userId: uint32(number("userId")),
                epoch: uint16(number("epoch")),
                cumStart: uint80(number("cumStart")),
                sum: uint64(number("userSum")),
                count: uint32(number("count")),
                subRoot: word("subRoot")
            })
        );
        if (node.hash != word("userLeaf")) return false;
        (bool ok, ReceiptsTree.Node memory root, uint96 prefix) = ReceiptsTree.open(
            node,
            number("row"),
            number("depth"),
            pathOf(words("pathHashes"), numbers("pathSums"))
        );
        return ok && root.hash == word("root") && root.sum == number("sum") && prefix == number("prefix");
    }

    function pathOf(
        bytes32[] memory hashes,
        uint256[] memory sums
    ) private pure returns (ReceiptsTree.Node[] memory path) {
        path = new ReceiptsTree.Node[](hashes.length);
        for (uint256 i = 0; i < hashes.length; ++i) path[i] = ReceiptsTree.Node(hashes[i], uint96(sums[i]));
    }
}
