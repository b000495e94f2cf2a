// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IPermit2} from "../../../contracts/interfaces/external/IPermit2.sol";

/// @notice Stands for the real Permit2, which is not available here. It keeps what callers depend on: the domain (no
/// version), the typed data with the caller as spender, signatures of 65 and of 64 bytes, wallets asked by ERC-1271
/// whenever the owner has code, the order of the checks and their errors, and nonces of which each is one bit of a map
/// (the highest 248 bits name the word, the lowest 8 the bit). It has only the single transfer without a witness.
contract Permit2Double is IPermit2 {
    using SafeERC20 for IERC20;

    bytes32 private constant _PERMISSIONS = keccak256("TokenPermissions(address token,uint256 amount)");
    bytes32 private constant _TRANSFER =
        keccak256(
            "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)"
        );

    mapping(address owner => mapping(uint256 word => uint256 bits)) public nonceBitmap;

    error SignatureExpired(uint256 signatureDeadline);
    error InvalidAmount(uint256 maxAmount);
    error InvalidNonce();
    error InvalidSignatureLength();
    error InvalidSignature();
    error InvalidSigner();
    error InvalidContractSignature();

    function permitTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata details,
        address owner,
        bytes calldata signature
    ) external {
        require(block.timestamp <= permit.deadline, SignatureExpired(permit.deadline));
        uint256 amount = permit.permitted.amount;
        require(details.requestedAmount <= amount, InvalidAmount(amount));
        _useNonce(owner, permit.nonce);
        _checkSignature(owner, hashOf(permit, msg.sender), signature);
        IERC20(permit.permitted.token).safeTransferFrom(owner, details.to, details.requestedAmount);
    }

    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        bytes32 domain = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
        return keccak256(abi.encode(domain, keccak256("Permit2"), block.chainid, address(this)));
    }

    function hashOf(PermitTransferFrom memory permit, address spender) public view returns (bytes32) {
        bytes32 permitted = keccak256(abi.encode(_PERMISSIONS, permit.permitted.token, permit.permitted.amount));
        bytes32 structHash = keccak256(abi.encode(_TRANSFER, permitted, spender, permit.nonce, permit.deadline));
        return keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR(), structHash));
    }

    function _useNonce(address owner, uint256 nonce) private {
        uint256 bit = 1 << uint8(nonce);
        uint256 bits = nonceBitmap[owner][nonce >> 8];
        require(bits & bit == 0, InvalidNonce());
        nonceBitmap[owner][nonce >> 8] = bits | bit;
    }

    function _checkSignature(address owner, bytes32 hash, bytes calldata signature) private view {
        if (owner.code.length != 0) {
            bytes4 answer = IERC1271(owner).isValidSignature(hash, signature);
            require(answer == IERC1271.isValidSignature.selector, InvalidContractSignature());
            return;
        }
        require(signature.length == 65 || signature.length == 64, InvalidSignatureLength());
        bytes32 s = bytes32(signature[32:64]);
        uint8 v;
        if (signature.length == 65) {
            v = uint8(signature[64]);
        } else {
            v = 27 + uint8(uint256(s) >> 255);
            s = bytes32((uint256(s) << 1) >> 1);
        }
        address signer = ecrecover(hash, v, bytes32(signature[0:32]), s);
        require(signer != address(0), InvalidSignature());
        require(signer == owner, InvalidSigner());
    }
}
