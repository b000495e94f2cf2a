// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Depth} from "../../contracts/libraries/Depth.sol";
import {Groups} from "../../contracts/libraries/Groups.sol";
import {Pricing} from "../../contracts/libraries/Pricing.sol";
import {ReceiptsTree} from "../../contracts/libraries/ReceiptsTree.sol";
import {Cases} from "./support/Cases.sol";

/// @notice The golden vectors that TypeScript runs too: costs, groups and trees.
contract VectorsTest is Cases {
    function test_units_vectors() public {
        load("units");
        while (next()) {
            uint32[3] memory units = [uint32(number("units0")), uint32(number("units1")), uint32(number("units2"))];
            uint64[3] memory prices = [uint64(number("price0")), uint64(number("price1")), uint64(number("price2"))];
            uint256 cost = Pricing.cost(units, prices);
            yes((cost <= type(uint64).max) == flag("fits"), name());
            if (!flag("fits")) continue;
            eq(cost, number("cost"), name());
            uint256 most = Pricing.chargeBound(uint64(cost), number("relayFeeBps"));
            eq(most, number("chargeBound"), name());
            eq(Pricing.protocolFee(most, number("protocolFeeBps")), number("protocolFee"), name());
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

    function readEvidence(
        bytes32 separator,
        bytes32 digest,
        bytes calldata evidence
    ) external pure returns (bool, Groups.Proven memory) {
        return Groups.read(separator, digest, evidence);
    }

    // ---- Parts ----

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
