// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Groups} from "../../contracts/libraries/Groups.sol";
import {Check} from "./support/Check.sol";

/// @notice Places in a group that no receipt has.
contract GroupsTest is Check {
    bytes32 private constant DIGEST = keccak256("receipt");

    function test_contains_refusesAnIndexThatThePathDoesNotUseUp() public pure {
        bytes32[] memory path = new bytes32[](0);
        yes(Groups.contains(DIGEST, 1, DIGEST, 0, path), "a group of one is its receipt");
        yes(!Groups.contains(DIGEST, 1, DIGEST, 1, path), "it has no second");
        yes(!Groups.contains(DIGEST, 0, DIGEST, 0, path), "an empty group has none");
    }

    function test_contains_refusesAPathOfAnotherLength() public pure {
        yes(!Groups.contains(DIGEST, 1, DIGEST, 0, new bytes32[](1)), "longer");
        yes(!Groups.contains(DIGEST, 2, DIGEST, 0, new bytes32[](0)), "shorter");
    }

    function test_contains_refusesPaddingAsAReceipt() public pure {
        bytes32 padding = keccak256(hex"03");
        bytes32 left = keccak256(abi.encodePacked(bytes1(0x04), DIGEST, DIGEST));
        bytes32 root = keccak256(abi.encodePacked(bytes1(0x04), left, keccak256(abi.encodePacked(bytes1(0x04), DIGEST, padding))));
        bytes32[] memory path = new bytes32[](2);
        (path[0], path[1]) = (padding, left);
        yes(Groups.contains(root, 3, DIGEST, 2, path), "the third of three");
        path[0] = DIGEST;
        yes(!Groups.contains(root, 3, padding, 3, path), "there is no fourth");
        yes(Groups.contains(root, 4, padding, 3, path), "as it would be in a group of four");
    }

    function testFuzz_contains_refusesSizesAboveTheLimit(uint32 count, uint256 index) public pure {
        count = uint32(bound(count, 257, type(uint32).max));
        bytes32[] memory path = new bytes32[](9);
        yes(!Groups.contains(DIGEST, count, DIGEST, index % count, path), "too large");
    }
}
