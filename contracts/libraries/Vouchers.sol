// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Messages} from "./Messages.sol";

/// @dev Memory in which the digests of a relay's vouchers are made; what is the same in all of them is written once.
type VoucherFrame is uint256;

using Vouchers for VoucherFrame global;

/// @notice Vouchers of signed rows, checked without taking memory for each: a batch has more than a thousand.
library Vouchers {
    uint256 private constant _S = type(uint256).max >> 1;
    uint256 private constant _HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice Whether `key` signed a SpendVoucher over these values. Raw recovery, low s; what code the key's account
    /// has is not looked at.
    /// @param cumulative Must fit 80 bits, or nobody can have signed it.
    function isBy(
        VoucherFrame frame,
        address key,
        uint32 userId,
        uint16 epoch,
        uint256 cumulative,
        bytes32 r,
        bytes32 vs
    ) internal view returns (bool) {
        uint256 s = uint256(vs) & _S;
        address signer = _recover(frame, _digest(frame, userId, epoch, cumulative), r, s, uint256(vs) >> 255);
        bool isSigner = signer == key;
        bool isSomebody = signer != address(0);
        // an s of the upper half would make a second signature of every one
        bool isLow = s <= _HALF_ORDER;
        bool fits = cumulative <= type(uint80).max;
        bool ok;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            ok := and(and(isSigner, isSomebody), and(isLow, fits))
        }
        return ok;
    }

    /// @notice Frame for vouchers to `relayId`. `separator`: of the settlement's EIP-712 domain.
    /// @dev 0x00 to 0xa0 is the message; 0xa0 to 0xe2 what is signed: 0x1901, the separator, the message's hash; 0x100 to
    /// 0x180 what the precompile is asked: digest, v, r, s.
    function frameFor(bytes32 separator, uint32 relayId) internal pure returns (VoucherFrame frame) {
        bytes32 typeHash = Messages.SPEND_VOUCHER;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            frame := mload(0x40)
            mstore(0x40, add(frame, 0x180))
            mstore(frame, typeHash)
            mstore(add(frame, 0x20), relayId)
            mstore(add(frame, 0xa0), shl(240, 0x1901))
            mstore(add(frame, 0xa2), separator)
        }
    }

    /// @dev 0 when nobody can have signed: the precompile then returns nothing.
    function _recover(
        VoucherFrame frame,
        bytes32 digest,
        bytes32 r,
        uint256 s,
        uint256 parity
    ) private view returns (address signer) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let input := add(frame, 0x100)
            mstore(input, digest)
            mstore(add(input, 0x20), add(parity, 27))
            mstore(add(input, 0x40), r)
            mstore(add(input, 0x60), s)
            mstore(0, 0)
            pop(staticcall(gas(), 1, input, 0x80, 0, 0x20))
            signer := mload(0)
        }
    }

    function _digest(
        VoucherFrame frame,
        uint32 userId,
        uint16 epoch,
        uint256 cumulative
    ) private pure returns (bytes32 digest) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(add(frame, 0x40), userId)
            mstore(add(frame, 0x60), epoch)
            mstore(add(frame, 0x80), cumulative)
            mstore(add(frame, 0xc2), keccak256(frame, 0xa0))
            digest := keccak256(add(frame, 0xa0), 0x42)
        }
    }
}
