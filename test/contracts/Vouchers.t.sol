// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

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
