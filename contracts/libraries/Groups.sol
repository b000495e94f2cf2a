// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Depth} from "./Depth.sol";
import {Messages, ReceiptGroup} from "./Messages.sol";

/// @notice Groups of receipts that a provider signs at once, and the evidence that a receipt is in one:
/// relayId u32 | providerId u32 | count u32 | closedAt u40 | root b32 | index u8 | path (32 B each) | signature 65
library Groups {
    using Messages for ReceiptGroup;

    /// @notice What evidence says, and who signed it.
    struct Proven {
        ReceiptGroup group;
        address signer;
    }

    uint256 internal constant MAX_SIZE = 256;
    uint256 private constant _HEAD = 50;
    uint256 private constant _SIGNATURE = 65;
    bytes1 private constant _NODE = 0x04;

    /// @notice Whether `digest` stands at `index` of `count` below `root`. The index is used up by the path.
    function contains(
        bytes32 root,
        uint256 count,
        bytes32 digest,
        uint256 index,
        bytes32[] memory path
    ) internal pure returns (bool) {
        if (count > MAX_SIZE || index >= count || path.length != Depth.forLeaves(count)) return false;
        bytes32 node = digest;
        for (uint256 height = 0; height < path.length; ++height) {
            node = (index >> height) & 1 == 1
                ? keccak256(abi.encodePacked(_NODE, path[height], node))
                : keccak256(abi.encodePacked(_NODE, node, path[height]));
        }
        return node == root;
    }

    /// @notice Takes evidence apart and checks it against a receipt. False when it does not parse, does not reach the
    /// root, or carries no signature; whether the signer is the provider's is for the caller to say.
    function read(
        bytes32 separator,
        bytes32 digest,
        bytes calldata evidence
    ) internal pure returns (bool ok, Proven memory proven) {
        if (evidence.length < _HEAD + _SIGNATURE) return (false, proven);
        uint256 count = uint32(bytes4(evidence[8:12]));
        if (count > MAX_SIZE) return (false, proven);
        uint256 depth = Depth.forLeaves(count);
        if (evidence.length != _HEAD + 32 * depth + _SIGNATURE) return (false, proven);
        proven.group = ReceiptGroup({
            relayId: uint32(bytes4(evidence[0:4])),
            providerId: uint32(bytes4(evidence[4:8])),
            count: uint32(count),
            closedAt: uint40(bytes5(evidence[12:17])),
            root: bytes32(evidence[17:49])
        });
        bytes32[] memory path = new bytes32[](depth);
        for (uint256 height = 0; height < depth; ++height) path[height] = bytes32(evidence[_HEAD + 32 * height:]);
        if (!contains(proven.group.root, count, digest, uint8(evidence[49]), path)) return (false, proven);
        ECDSA.RecoverError problem;
        (proven.signer, problem, ) = ECDSA.tryRecoverCalldata(
            MessageHashUtils.toTypedDataHash(separator, proven.group.hash()),
            evidence[_HEAD + 32 * depth:]
        );
        ok = problem == ECDSA.RecoverError.NoError;
    }
}
