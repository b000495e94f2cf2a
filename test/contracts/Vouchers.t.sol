// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Messages} from "../../contracts/libraries/Messages.sol";
import {Vouchers} from "../../contracts/libraries/Vouchers.sol";
import {Network} from "./support/Network.sol";

/// @notice The digest that is made in a frame against the plain one.
contract VouchersTest is Network {
    function testFuzz_isBy_knowsWhatWasSigned(uint32 relayId, uint32 userId, uint16 epoch, uint80 cumulative) public view {
        (bytes32 r, bytes32 vs) = voucherBy(7, relayId, userId, epoch, cumulative);
        yes(isBy(vm.addr(7), relayId, userId, epoch, cumulative, r, vs), "signed");
        yes(!isBy(vm.addr(8), relayId, userId, epoch, cumulative, r, vs), "another key");
        yes(!isBy(vm.addr(7), relayId, userId, epoch, uint256(cumulative) + 1, r, vs), "another amount");
        yes(!isBy(vm.addr(7), relayId, userId, epoch, uint256(cumulative) + (1 << 80), r, vs), "beyond the width");
        yes(!isBy(address(0), relayId, userId, epoch, cumulative, 0, 0), "nobody");
    }

    /// @dev Signed all the same, as a key can sign anything: a number of more bits is no voucher.
    function test_isBy_refusesWhatIsWiderThanAVoucher() public view {
        uint256 most = type(uint80).max;
        yes(isSigned(most), "the widest");
        yes(!isSigned(most + 1), "too wide");
    }

    /// @dev Every pair of numbers is a signature by somebody: the same key signs in the lower half of the order alone.
    function test_isBy_refusesAnSOfTheUpperHalf() public view {
        (bytes32 r, ) = voucherBy(7, 1, 2, 3, 4);
        uint256 half = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
        bytes32 digest = digestOf(4);
        address low = ecrecover(digest, 27, r, bytes32(half));
        address high = ecrecover(digest, 27, r, bytes32(half + 1));
        yes(low != address(0) && high != address(0), "both are somebody's");
        yes(isBy(low, 1, 2, 3, 4, r, bytes32(half)), "half of the order");
        yes(!isBy(high, 1, 2, 3, 4, r, bytes32(half + 1)), "more than half");
    }

    /// @dev What tests of second forms rest on: for recovery, the mirrored signature is the same key's.
    function testFuzz_mirror_isASecondFormOfASignature(bytes32 structHash) public view {
        bytes memory signature = sign(7, address(settlement), structHash);
        bytes memory mirrored = mirror(signature);
        yes(keccak256(mirrored) != keccak256(signature), "another form");
        eq(signerOf(mirrored, address(settlement), structHash), vm.addr(7), "of the same key's");
        eq(keccak256(mirror(mirrored)), keccak256(signature), "and back");
    }

    function isSigned(uint256 cumulative) private view returns (bool) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(7, digestOf(cumulative));
        return isBy(vm.addr(7), 1, 2, 3, cumulative, r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
    }

    function digestOf(uint256 cumulative) private view returns (bytes32) {
        bytes32 hash = keccak256(abi.encode(Messages.SPEND_VOUCHER, 1, 2, 3, cumulative));
        return keccak256(abi.encodePacked(hex"1901", settlement.domainSeparator(), hash));
    }

    function isBy(
        address key,
        uint32 relayId,
        uint32 userId,
        uint16 epoch,
        uint256 cumulative,
        bytes32 r,
        bytes32 vs
    ) private view returns (bool) {
        return
            Vouchers.frameFor(settlement.domainSeparator(), relayId).isBy(key, userId, epoch, cumulative, r, vs);
    }
}
