// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {
    Messages,
    ProviderVoucher,
    SignerProof,
    SpendAuthorization,
    SpendVoucher,
    Withdraw
} from "../../../contracts/libraries/Messages.sol";
import {Deployed} from "./Deployed.sol";

/// @notice What users, relays and providers sign.
abstract contract Signing is Deployed {
    function proofBy(uint256 key, address owner, uint8 role, uint40 deadline) internal view returns (bytes memory) {
        return sign(key, address(registry), Messages.hash(SignerProof(owner, role, deadline)));
    }

    function authorizationBy(uint256 key, SpendAuthorization memory message) internal view returns (bytes memory) {
        return sign(key, address(settlement), Messages.hash(message));
    }

    function withdrawalBy(uint256 key, Withdraw memory message) internal view returns (bytes memory) {
        return sign(key, address(vault), Messages.hash(message));
    }

    function voucherBy(
        uint256 key,
        uint32 relayId,
        uint32 userId,
        uint16 epoch,
        uint256 cumulative
    ) internal view returns (bytes32 r, bytes32 vs) {
        return compact(sign(key, address(settlement), voucherHash(relayId, userId, epoch, cumulative)));
    }

    function voucherHash(
        uint32 relayId,
        uint32 userId,
        uint16 epoch,
        uint256 cumulative
    ) internal pure returns (bytes32) {
        return Messages.hash(SpendVoucher(relayId, userId, epoch, uint80(cumulative)));
    }

    function providerVoucherBy(uint256 key, ProviderVoucher memory message) internal view returns (bytes memory) {
        return sign(key, address(settlement), Messages.hash(message));
    }

    /// @dev ERC-2098: the parity in the highest bit of s.
    function compact(bytes memory signature) internal pure returns (bytes32 r, bytes32 vs) {
        uint256 s;
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        vs = bytes32(s | ((uint256(uint8(signature[64])) - 27) << 255));
    }

    /// @dev The other form of the signature that something ends with: s from the other half of the order, and the
    /// parity that goes with it. Recovery knows no difference.
    function mirror(bytes memory signed) internal pure returns (bytes memory mirrored) {
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        mirrored = bytes.concat(signed);
        assembly ("memory-safe") {
            let s := add(mirrored, sub(mload(mirrored), 1))
            mstore(s, sub(order, mload(s)))
        }
        uint256 last = mirrored.length - 1;
        mirrored[last] = mirrored[last] == bytes1(uint8(27)) ? bytes1(uint8(28)) : bytes1(uint8(27));
    }

    /// @dev Who a contract takes for the signer of a message, whatever was signed.
    function signerOf(
        bytes memory signature,
        address verifier,
        bytes32 structHash
    ) internal view returns (address) {
        (bytes32 r, bytes32 s) = (0, 0);
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        return ecrecover(typedDigest(verifier, structHash), uint8(signature[64]), r, s);
    }

    function sign(uint256 key, address verifier, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, typedDigest(verifier, structHash));
        return abi.encodePacked(r, s, v);
    }

    function typedDigest(address verifier, bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("AiMo"),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }
}
