// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_ROW_MISMATCH, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Posted} from "../support/Batching.sol";
import {Bill} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Stories of rows that say something else than the receipts under them: another user, another sum, another
/// interval, another epoch. The whole row is paid back.
contract RowMismatchTest is Story {
    /// @dev Ann used 3.15 USD. The relay debits 4.15: with receipts for the rest it would not bother.
    function test_rowAboveItsReceipts_paysTheWholeRowBack() public {
        Bill[] memory bills = honestDay();
        (bills[0].delta, bills[0].cumEnd) = (4.15e12, 4.15e12);
        Posted memory posted = submit(bills);
        Purses memory before = pursesOf(ann);
        proveRowMismatch(posted, 0);
        paidByRelay(before, ann, 4.15e12, 8.3e12, 33.2e12);
        eq(frauds.refundedOf(1, 0, 0), 4.15e12, "all of it");
        isNoted(posted, 0, 0, FRAUD_ROW_MISMATCH);
        proveRowMismatch(posted, 0);
        refuses(IFraudProofs.NoFraud.selector);
        proveRowMismatch(posted, 1);
    }

    /// @dev A row that takes less than its receipts leaves the books as false as one that takes more.
    function test_rowBelowItsReceipts_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        (bill.delta, bill.cumEnd) = (2.15e12, 2.15e12);
        isRepaid(submit(alone(bill)), ann, 2.15e12);
    }

    /// @dev On a SIGNED channel Cyd's voucher covers half a dollar more than she used, and the relay takes it.
    function test_signedRowUpToTheVoucher_isPunished() public {
        Bill memory bill = honestBill(cyd, 2);
        (bill.delta, bill.cumEnd, bill.excess) = (2.6e12, 2.6e12, 0);
        isRepaid(submit(alone(bill)), cyd, 2.6e12);
    }

    /// @dev The receipts are Bob's, and Ann pays.
    function test_rowOfAnotherUser_isPunished() public {
        Bill memory bill = honestBill(bob, 3);
        bill.userId = ann;
        isRepaid(submit(alone(bill)), ann, 3.15e12);
    }

    function test_userLeafThatStartsElsewhere_isPunished() public {
        Bill memory first = honestBill(ann, 1);
        submit(alone(first));
        Bill memory bill = honestBill(ann, 3);
        bill.leaf.cumStart -= 1;
        isRepaid(submit(alone(bill)), ann, 3.15e12);
    }

    /// @dev A sum without receipts: nobody could ever be asked for one of them.
    function test_sumOverNoReceipts_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        bill.leaf.count = 0;
        isRepaid(submit(alone(bill)), ann, 3.15e12);
    }

    function test_nothingOverNoReceipts_isGood() public {
        Bill[] memory bills = honestDay();
        bills[1] = honestBill(bob, 0);
        isHonest(submit(bills));
    }

    // ---- Epochs ----

    function test_userLeafOfAnotherEpoch_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        bill.leaf.epoch = 2;
        isRepaid(submit(alone(bill)), ann, 3.15e12);
    }

    function test_userLeafOfNoEpoch_isPunished() public {
        Bill memory bill = honestBill(ann, 3);
        bill.leaf.epoch = 0;
        isRepaid(submit(alone(bill)), ann, 3.15e12);
    }

    /// @dev Ann's channel ends and begins anew right after the post; what was billed in its first epoch stays good.
    function test_channelOpenedAgainAfterThePost_leavesTheRelayUnharmed() public {
        isHonest(reopened(1, 1));
    }

    /// @dev A leaf of an epoch that had not begun yet is false whenever it is looked at.
    function test_userLeafOfTheNextEpoch_isPunishedAfterwardsToo() public {
        isRepaid(reopened(2, 1), ann, 3.15e12);
    }

    /// @dev There is no epoch before the first, so this one was over at no time.
    function test_userLeafOfNoEpoch_isPunishedAfterTheChannelOpenedAgain() public {
        isRepaid(reopened(0, 1), ann, 3.15e12);
    }

    /// @dev In the second in which a channel opens nobody can tell what came first.
    function test_channelOpenedAgainInTheSameSecond_leavesTheRelayUnharmed() public {
        isHonest(reopened(1, 0));
    }

    /// @dev Ann has thawed all; the relay posts, with this epoch in her leaf, and she opens again `wait` later.
    function reopened(uint16 epoch, uint256 wait) private returns (Posted memory posted) {
        vm.prank(user(1));
        settlement.thawChannel(1, type(uint96).max);
        skip(70);
        Bill memory bill = honestBill(ann, 3);
        bill.leaf.epoch = epoch;
        posted = submit(alone(bill));
        skip(wait);
        vm.prank(user(1));
        settlement.withdrawChannel(1);
        open(user(1), 1, USD);
        eq(settlement.channelOf(1, ann).epoch, 2, "the second epoch");
    }

    /// @dev The loss, twice as much for Wim, eight times as much to nobody.
    function isRepaid(Posted memory posted, uint32 victim, uint64 loss) private {
        Purses memory before = pursesOf(victim);
        proveRowMismatch(posted, 0);
        paidByRelay(before, victim, loss, 2 * uint256(loss), 8 * uint256(loss));
        isNoted(posted, 0, 0, FRAUD_ROW_MISMATCH);
        proveRowMismatch(posted, 0);
    }
}
