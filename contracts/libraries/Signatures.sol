// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice Who signed: hot keys by raw recovery, owners also through their wallet contract.
/// Nothing here looks at `code.length`: a delegated account must not lose the use of its own key.
library Signatures {
    /// @notice Thrown when a signature is not by who it should be by.
    error InvalidSignature(address expected);

    /// @notice Requires a signature by `owner`: ECDSA first, then ERC-1271.
    function checkOwner(address owner, bytes32 digest, bytes calldata signature) internal view {
        if (isByKey(owner, digest, signature)) return;
        require(
            SignatureChecker.isValidERC1271SignatureNowCalldata(owner, digest, signature),
            InvalidSignature(owner)
        );
    }

    /// @notice Requires an ECDSA signature (65 bytes, low s) by `key`.
    function checkKey(address key, bytes32 digest, bytes calldata signature) internal pure {
        require(isByKey(key, digest, signature), InvalidSignature(key));
    }

    /// @notice Whether `key` signed `digest`.
    function isByKey(address key, bytes32 digest, bytes calldata signature) internal pure returns (bool) {
        (address recovered, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signature);
        // without an error it is somebody's, so it never equals the address 0
        return problem == ECDSA.RecoverError.NoError && recovered == key;
    }
}
