// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Depth} from "../../../contracts/libraries/Depth.sol";
import {ReceiptsTree} from "../../../contracts/libraries/ReceiptsTree.sol";

/// @notice Builds what ReceiptsTree and Groups only check: whole trees, level by level, and the paths in them.
library Trees {
    bytes1 private constant _GROUP_NODE = 0x04;
    bytes1 private constant _PADDING = 0x03;

    /// @notice Root of a sum tree over these leaves.
    function root(ReceiptsTree.Node[] memory leaves) internal pure returns (ReceiptsTree.Node memory) {
        ReceiptsTree.Node[] memory level = _padded(leaves);
        while (level.length > 1) level = _above(level);
        return level[0];
    }

    /// @notice Siblings of the leaf at `index`, lowest first.
    function path(
        ReceiptsTree.Node[] memory leaves,
        uint256 index
    ) internal pure returns (ReceiptsTree.Node[] memory siblings) {
        siblings = new ReceiptsTree.Node[](Depth.forLeaves(leaves.length));
        ReceiptsTree.Node[] memory level = _padded(leaves);
        for (uint256 height = 0; height < siblings.length; ++height) {
            siblings[height] = level[(index >> height) ^ 1];
            level = _above(level);
        }
    }

    /// @notice Root of a group of receipts.
    function groupRoot(bytes32[] memory digests) internal pure returns (bytes32) {
        bytes32[] memory level = _padded(digests);
        while (level.length > 1) level = _above(level);
        return level[0];
    }

    /// @notice Siblings of the receipt at `index`, lowest first, one after the other.
    function groupPath(bytes32[] memory digests, uint256 index) internal pure returns (bytes memory siblings) {
        bytes32[] memory level = _padded(digests);
        for (uint256 height = 0; level.length > 1; ++height) {
            siblings = bytes.concat(siblings, level[(index >> height) ^ 1]);
            level = _above(level);
        }
    }

    function _padded(ReceiptsTree.Node[] memory leaves) private pure returns (ReceiptsTree.Node[] memory level) {
        level = new ReceiptsTree.Node[](1 << Depth.forLeaves(leaves.length));
        for (uint256 i = 0; i < level.length; ++i) level[i] = i < leaves.length ? leaves[i] : ReceiptsTree.padding();
    }

    function _above(ReceiptsTree.Node[] memory level) private pure returns (ReceiptsTree.Node[] memory above) {
        above = new ReceiptsTree.Node[](level.length / 2);
        for (uint256 i = 0; i < above.length; ++i) above[i] = ReceiptsTree.parent(level[2 * i], level[2 * i + 1]);
    }

    function _padded(bytes32[] memory digests) private pure returns (bytes32[] memory level) {
        level = new bytes32[](1 << Depth.forLeaves(digests.length));
        for (uint256 i = 0; i < level.length; ++i) {
            level[i] = i < digests.length ? digests[i] : keccak256(abi.encodePacked(_PADDING));
        }
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            above[i] = keccak256(abi.encodePacked(_GROUP_NODE, level[2 * i], level[2 * i + 1]));
        }
    }
}
