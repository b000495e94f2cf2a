// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_DUPLICATE, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Stories of one receipt that is billed twice: in one bill, to two users, in two batches. Each place may look
/// perfect; only the two together show the fraud.
contract DuplicateTest is Story {
    function test_receiptTwiceInOneBill_isPaidBackOnce() public {
        Served[] memory list = serveMany(ann, 3);
        list[2] = copyOf(list[0]);
        Posted memory posted = postAnn(list);
        refuses(IFraudProofs.NoFraud.selector);
        proveRunningTotal(posted, 0, 2);
        refuses(IFraudProofs.NoFraud.selector);
        proveBadReceipt(posted, 0, 2);
        isRepaid(posted, [uint256(0), 0], posted, [uint256(0), 2], ann);
    }

    /// @dev Ann's request, billed to Bob as well: that is a foreign request too, for those who know the request.
    function test_receiptBilledToTwoUsers_paysTheSecondBack() public {
        Bill[] memory bills = honestDay();
        Served[] memory list = new Served[](2);
        (list[0], list[1]) = (bills[1].served[0], copyOf(bills[0].served[1]));
        bills[1] = billOf(bob, list);
        Posted memory posted = submit(bills);
        isRepaid(posted, [uint256(0), 1], posted, [uint256(1), 1], bob);
    }

    function test_receiptBilledAgainInTheNextBatch_isPaidBack() public {
        Served[] memory list = serveMany(ann, 2);
        Posted memory first = postAnn(list);
        Posted memory posted = postAnn(copies(list));
        isRepaid(first, [uint256(0), 1], posted, [uint256(0), 1], ann);
        isRepaidLess(first, posted);
    }

    /// @dev The first time was long ago: that it is final does not make the second time good.
    function test_receiptBilledAgainAfterTheFirstIsFinal_isPaidBack() public {
        Served[] memory list = serveMany(ann, 2);
        Posted memory first = postAnn(list);
        skip(20);
        Posted memory posted = postAnn(copies(list));
        isRepaid(first, [uint256(0), 0], posted, [uint256(0), 0], ann);
    }

    /// @dev As long as a receipt can be billed, the commit of its first time must not be written over: the relay posts
    /// empty batches until its ring is full, and cannot post the receipt again. When it can, the receipt is too old.
    function test_receiptBilledAgainBehindARingOfEmptyBatches_cannotPay() public {
        Served[] memory list = serveMany(ann, 1);
        postAnn(list);
        for (uint256 n = 1; n < 1_024; ++n) submit(new Bill[](0));
        Posted memory posted = close(alone(billOf(ann, copies(list))));
        vm.expectRevert(abi.encodeWithSelector(IPosts.RingFull.selector, 1, 1_024, 1_024));
        vm.prank(vm.addr(relaySignerKey(1)));
        settlement.post(1, posted.batch.header, posted.rows);
        skip(2 * 130);
        posted = postAnn(copies(list));
        Purses memory before = pursesOf(ann);
        proveBadReceipt(posted, 0, 0);
        paidByRelay(before, ann, CHARGE, 2.1e12, 8.4e12);
    }

    /// @dev Nobody is paid for the first as a copy of the second: one duplicate is one fraud.
    function test_duplicate_countsForTheLaterLeafOnly() public {
        Served[] memory list = serveMany(ann, 2);
        Posted memory first = postAnn(list);
        Posted memory posted = postAnn(copies(list));
        refuses(IFraudProofs.NotLater.selector);
        proveDuplicate(posted, [uint256(0), 1], first, [uint256(0), 1]);
        refuses(IFraudProofs.NotLater.selector);
        proveDuplicate(posted, [uint256(0), 1], posted, [uint256(0), 1]);
        refuses(IFraudProofs.NoFraud.selector);
        proveDuplicate(first, [uint256(0), 0], posted, [uint256(0), 1]);
    }

    /// @dev The first row took nothing from Ann, so billing its receipts later is the only time.
    function test_receiptsOfASkippedRow_mayBeBilledOnceLater() public {
        Bill[] memory bills = honestDay();
        bills[0].cumEnd += 1;
        bills[0].leaf.cumStart += 1;
        Posted memory first = submit(bills);
        eq(first.skipped.length, 4, "Ann's row was skipped");
        Posted memory posted = submit(alone(billOf(ann, copies(bills[0].served))));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.RowWasSkipped.selector, ann));
        proveDuplicate(first, [uint256(0), 0], posted, [uint256(0), 0]);
        isHonest(posted);
    }

    /// @dev A relay that copies another's leaves into its own batch harms itself alone.
    function test_receiptThatAnotherRelayCopied_leavesTheRelayUnharmed() public {
        addRelay(2, BOND);
        fund(user(1), 100 * TOKEN_USD);
        open(user(1), 2, 100 * USD);
        // so that its batch comes later by number, too
        submit(alone(honestBill(bob, 1)));
        Bill[] memory bills = alone(honestBill(ann, 2));
        Posted memory copied = close(bills);
        copied.batch.header.batchNo = 0;
        foresee(copied);
        postAs(vm.addr(relaySignerKey(2)), 2, copied.batch.header, copied.rows);
        skip(1);
        Posted memory posted = submit(bills);
        IFraudProofs.RowProof memory firstRow = rowProof(copied, 0);
        firstRow.relayId = 2;
        IFraudProofs.UserProof memory user_ = userProof(posted, 0);
        IFraudProofs.LeafProof memory leaf = leafProof(posted, 0, 0);
        refuses(IFraudProofs.NotLater.selector);
        vm.prank(watcher());
        frauds.proveDuplicate(firstRow, user_, leaf, rowProof(posted, 0), user_, leaf);
    }

    function isRepaid(
        Posted memory first,
        uint256[2] memory firstPlace,
        Posted memory posted,
        uint256[2] memory place,
        uint32 victim
    ) private {
        Purses memory before = pursesOf(victim);
        proveDuplicate(first, firstPlace, posted, place);
        paidByRelay(before, victim, CHARGE, 2.1e12, 8.4e12);
        isNoted(posted, place[0], place[1], FRAUD_DUPLICATE);
        proveDuplicate(first, firstPlace, posted, place);
    }

    /// @dev The other receipt of the same row is a second place, and a second fraud.
    function isRepaidLess(Posted memory first, Posted memory posted) private {
        Purses memory before = pursesOf(ann);
        proveDuplicate(first, [uint256(0), 0], posted, [uint256(0), 0]);
        paidByRelay(before, ann, CHARGE, 2.1e12, 8.4e12);
        eq(frauds.refundedOf(1, posted.batch.header.batchNo, 0), posted.bills[0].delta, "the whole row by now");
    }

    /// @dev The same receipt with a leaf of its own.
    function copyOf(Served memory served) private pure returns (Served memory copy) {
        (copy.request, copy.receipt, copy.evidence) = (served.request, served.receipt, served.evidence);
    }

    function copies(Served[] memory list) private pure returns (Served[] memory copy) {
        copy = new Served[](list.length);
        for (uint256 i = 0; i < list.length; ++i) copy[i] = copyOf(list[i]);
    }
}
