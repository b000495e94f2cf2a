// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_BAD_RECEIPT, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {ReceiptGroup} from "../../../contracts/libraries/Messages.sol";
import {Posted} from "./Batching.sol";
import {Served} from "./Billing.sol";
import {Market} from "./Market.sol";

/// @notice What most stories share: one false receipt of 1.05 USD among Ann's three, and how it ends.
abstract contract Story is Market {
    uint256 internal constant FALSE = 1;

    function refuses(bytes4 selector) internal {
        vm.expectRevert(abi.encodeWithSelector(selector));
    }

    /// @dev Provider 1 signs one receipt as a group of its own.
    function signAlone(Served memory served) internal view {
        signGroup(single(served));
    }

    /// @dev Provider 1 signs one receipt as a group of its own, said to be closed at a given time.
    function signAt(Served memory served, uint256 closedAt) internal view {
        Served[] memory list = single(served);
        ReceiptGroup memory group = groupFor(list);
        group.closedAt = uint40(closedAt);
        signGroupAs(providerSignerKey(1), group, list);
    }

    function postAnn(Served[] memory list) internal returns (Posted memory) {
        return submit(alone(billOf(ann, list)));
    }

    /// @dev Ann's second receipt costs the relay 11.55 USD: Ann's 1.05 and ten times as much, a fifth of it for Wim.
    /// The receipt before it is good, and nothing is paid twice.
    function isPunished(Posted memory posted) internal {
        isPunishedFor(posted, CHARGE, 2.1e12, 8.4e12);
    }

    /// @dev Likewise, with these amounts.
    function isPunishedFor(Posted memory posted, uint64 loss, uint256 toChallenger, uint256 burned) internal {
        refuses(IFraudProofs.NoFraud.selector);
        proveBadReceipt(posted, 0, 0);
        Purses memory before = pursesOf(ann);
        proveBadReceipt(posted, 0, FALSE);
        paidByRelay(before, ann, loss, toChallenger, burned);
        eq(frauds.refundedOf(1, posted.batch.header.batchNo, 0), loss, "refunded");
        onceOnly(posted);
    }

    function onceOnly(Posted memory posted) private {
        isNoted(posted, 0, FALSE, FRAUD_BAD_RECEIPT);
        proveBadReceipt(posted, 0, FALSE);
    }

    /// @dev The next call is refused: this was proven there before.
    function isNoted(Posted memory posted, uint256 row, uint256 index, uint8 kind) internal {
        bytes32 key = placeOf(posted, row, index, kind);
        yes(frauds.isProven(key), "noted");
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.AlreadyProven.selector, key));
    }

    /// @dev Where and what was proven, as the contract notes it.
    function placeOf(Posted memory posted, uint256 row, uint256 index, uint8 kind) internal pure returns (bytes32) {
        return keccak256(abi.encode(uint32(1), posted.batch.header.batchNo, uint32(row), uint32(index), kind));
    }

    function isHonest(Posted memory posted) internal {
        for (uint256 row = 0; row < posted.bills.length; ++row) {
            refuses(IFraudProofs.NoFraud.selector);
            proveRowMismatch(posted, row);
            for (uint256 i = 0; i < posted.bills[row].served.length; ++i) isHonestAt(posted, row, i);
        }
    }

    /// @dev Everything that can be said of one receipt without lying: none of it is fraud.
    function isHonestAt(Posted memory posted, uint256 row, uint256 index) internal {
        refuses(IFraudProofs.NoFraud.selector);
        proveBadReceipt(posted, row, index);
        refuses(IFraudProofs.NoFraud.selector);
        proveForeignRequest(posted, row, index);
        refuses(IFraudProofs.NoFraud.selector);
        proveRunningTotal(posted, row, index);
        refuses(IFraudProofs.NoFraud.selector);
        proveEquivocation(posted, row, index, billedOf(posted, row, index));
        refuses(IFraudProofs.NoFraud.selector);
        frauds.proveProviderFraud(
            posted.bills[row].served[index].receipt,
            posted.bills[row].served[index].evidence
        );
    }
}
