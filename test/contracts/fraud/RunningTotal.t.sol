// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_RUNNING_TOTAL, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Stories of bills whose leaves do not add up: one path shows the sum of everything before a leaf.
contract RunningTotalTest is Story {
    /// @dev The same receipt at the same running total, twice: no second leaf is needed to see it.
    function test_leafThatRepeatsATotal_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        bill.served[FALSE].leaf.userCumulative = bill.served[0].leaf.userCumulative;
        addUp(bill);
        isRepaid(submit(alone(bill)), FALSE, CHARGE);
    }

    function test_totalOnePicoDollarHigher_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        bill.served[FALSE].leaf.userCumulative += 1;
        addUp(bill);
        isRepaid(submit(alone(bill)), FALSE, CHARGE);
    }

    function test_totalOnePicoDollarLower_isPunished() public {
        Bill memory bill = honestBill(ann, 1);
        bill.served[0].leaf.userCumulative -= 1;
        addUp(bill);
        isRepaid(submit(alone(bill)), 0, CHARGE);
    }

    /// @dev Leaves in another order than their totals.
    function test_leavesInAnotherOrder_arePunished() public {
        Bill memory bill = honestBill(ann, 3);
        (bill.served[1], bill.served[2]) = (bill.served[2], bill.served[1]);
        addUp(bill);
        isRepaid(submit(alone(bill)), 1, CHARGE);
    }

    function test_leafThatNamesAnotherUser_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        bill.served[FALSE].leaf.userId = bob;
        addUp(bill);
        isRepaid(submit(alone(bill)), FALSE, CHARGE);
    }

    /// @dev The row agrees with its user leaf; but the user leaf's sum is a dollar more than its receipts.
    function test_dollarHiddenBehindTheReceipts_isPaidBack() public {
        Bill memory bill = honestBill(ann, 3);
        hide(bill, uint64(USD));
        isRepaid(submit(alone(bill)), 0, uint64(USD));
    }

    function test_dollarHiddenBehindASingleReceipt_isPaidBack() public {
        Bill memory bill = honestBill(ann, 1);
        hide(bill, uint64(USD));
        isRepaid(submit(alone(bill)), 0, uint64(USD));
    }

    /// @dev Behind the last receipt stands padding with a sum: the root is right, the receipts are not.
    function test_dollarHiddenInThePadding_isPaidBack() public {
        Bill memory bill = honestBill(ann, 3);
        Served[] memory four = new Served[](4);
        for (uint256 i = 0; i < 3; ++i) four[i] = bill.served[i];
        four[3] = serve(ann, UNITS);
        signAlone(four[3]);
        bill = billOf(ann, four);
        bill.leaf.count = 3;
        Posted memory posted = submit(alone(bill));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.BadLeafProof.selector, 3));
        proveRunningTotal(posted, 0, 3);
        isRepaid(posted, 2, CHARGE);
    }

    /// @dev All leaves are as they should be, whichever is looked at and however many there are.
    function testFuzz_honestBill_hasNoFalseTotal(uint8 count, uint64 start) public {
        count = uint8(bound(count, 1, 9));
        if (start % 2 == 1) submit(alone(honestBill(ann, 1)));
        Posted memory posted = submit(alone(honestBill(ann, count)));
        refuses(IFraudProofs.NoFraud.selector);
        proveRunningTotal(posted, 0, start % count);
    }

    function hide(Bill memory bill, uint64 amount) private pure {
        bill.leaf.sum += amount;
        (bill.delta, bill.cumEnd) = (bill.leaf.sum, bill.leaf.cumStart + bill.leaf.sum);
    }

    function isRepaid(Posted memory posted, uint256 index, uint64 loss) private {
        Purses memory before = pursesOf(ann);
        proveRunningTotal(posted, 0, index);
        uint256 fine = loss == CHARGE ? 10.5e12 : 10e12;
        paidByRelay(before, ann, loss, fine / 5, fine - fine / 5);
        isNoted(posted, 0, index, FRAUD_RUNNING_TOTAL);
        proveRunningTotal(posted, 0, index);
    }
}
