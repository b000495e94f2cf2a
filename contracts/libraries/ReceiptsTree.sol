// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice The receipts tree of a batch: a Merkle-sum tree of users over Merkle-sum trees of their receipts.
/// A node commits to both child sums, so one path shows the sum of everything before the opened leaf.
library ReceiptsTree {
    /// @notice A node: its hash and the sum of the charges below it, in pUSD.
    struct Node {
        bytes32 hash;
        uint96 sum;
    }

    /// @notice One billed receipt.
    struct Leaf {
        bytes32 usageDigest;
        bytes32 evidenceHash;
        uint32 userId;
        uint64 charge;
        uint80 userCumulative;
    }

    /// @notice One user of a batch: charges (cumStart, cumStart + sum] in `count` receipts below `subRoot`.
    struct UserLeaf {
        uint32 userId;
        uint16 epoch;
        uint80 cumStart;
        uint64 sum;
        uint32 count;
        bytes32 subRoot;
    }

    bytes1 private constant _LEAF = 0x00;
    bytes1 private constant _NODE = 0x01;
    bytes1 private constant _USER = 0x02;
    bytes1 private constant _PADDING = 0x03;
    uint256 private constant _MAX_DEPTH = 32;

    /// @notice Node of a receipt.
    function leaf(Leaf memory receipt) internal pure returns (Node memory) {
        bytes32 hash = keccak256(
            abi.encodePacked(_LEAF, receipt.usageDigest, receipt.evidenceHash, receipt.userId, receipt.charge, receipt.userCumulative)
        );
        return Node(hash, receipt.charge);
    }

    /// @notice Node of a user.
    function userLeaf(UserLeaf memory user) internal pure returns (Node memory) {
        bytes32 hash = keccak256(
            abi.encodePacked(_USER, user.userId, user.epoch, user.cumStart, user.sum, user.count, user.subRoot)
        );
        return Node(hash, user.sum);
    }

    /// @notice What stands where there is no leaf.
    function padding() internal pure returns (Node memory) {
        return Node(keccak256(abi.encodePacked(_PADDING)), 0);
    }

    /// @notice Node above two. Reverts when the sums do not fit 96 bits.
    function parent(Node memory left, Node memory right) internal pure returns (Node memory) {
        return Node(keccak256(abi.encodePacked(_NODE, left.hash, left.sum, right.hash, right.sum)), left.sum + right.sum);
    }

    /// @notice Root that a node reaches over its path, and the sum of all leaves before it. `ok` is false when the
    /// path does not fit the depth, the index lies outside, or a sum does not fit 96 bits.
    function open(
        Node memory node,
        uint256 index,
        uint256 depth,
        Node[] memory path
    ) internal pure returns (bool ok, Node memory root, uint96 prefix) {
        root = node;
        if (path.length != depth || depth > _MAX_DEPTH || index >> depth != 0) return (false, root, 0);
        for (uint256 height = 0; height < depth; ++height) {
            Node memory sibling = path[height];
            if (uint256(root.sum) + sibling.sum > type(uint96).max) return (false, root, 0);
            bool isRight = (index >> height) & 1 == 1;
            // a prefix is at most the sum of the node above it, which fits
            if (isRight) prefix += sibling.sum;
            root = isRight ? parent(sibling, root) : parent(root, sibling);
        }
        ok = true;
    }
}
