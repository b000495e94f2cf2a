// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {BilledReceipt} from "../../../contracts/libraries/Messages.sol";
import {ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice What a user can get back: all that its row took and no more, from what the bond has, whatever is proven.
contract RefundsTest is Story {
    /// @dev One receipt, wrong in every way there is. Ann gets it back once; every further proof is a fine of 1 %.
    function test_severalFraudsInOnePlace_payTheLossOnce() public {
        Posted memory posted = wrongInEveryWay();
        Purses memory before = pursesOf(ann);
        proveBadReceipt(posted, 0, 0);
        paidByRelay(before, ann, CHARGE, 2.1e12, 8.4e12);
        finedOnly(posted, 0);
        finedOnly(posted, 1);
        finedOnly(posted, 2);
        finedOnly(posted, 3);
        eq(frauds.refundedOf(1, posted.batch.header.batchNo, 0), CHARGE, "the row, once");
    }

    /// @dev First one receipt, then the row: what is left of the row comes back.
    function test_rowAfterAReceipt_paysTheRestBack() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence[70] ^= 0x01;
        Posted memory posted = postAnn(list);
        proveBadReceipt(posted, 0, FALSE);
        IFraudProofs.Demand memory made = demanded(posted, 0, uint32(FALSE));
        Purses memory before = pursesOf(ann);
        skip(6);
        frauds.resolve(made);
        paidByRelay(withBond(before), ann, 2.1e12, 4.2e12, 16.8e12);
        eq(frauds.refundedOf(1, 0, 0), 3.15e12, "the whole row");
    }

    /// @dev Cyd's receipt of 52.50 USD is false and the relay has 10 USD left: she gets all of them, Wim and the fire
    /// nothing. What the relay bonds later pays the rest, if more is proven.
    function test_bondBelowTheLoss_goesToTheVictimFirst() public {
        shrinkBond(10e12);
        Served[] memory list = single(serve(cyd, 50 * UNITS));
        signAlone(list[0]);
        list[0].evidence[70] ^= 0x01;
        Bill memory bill = billOf(cyd, list);
        ++list[0].leaf.userCumulative;
        graft(bill);
        Posted memory posted = submit(alone(bill));
        Purses memory before = pursesOf(cyd);
        proveBadReceipt(posted, 0, 0);
        paidByRelay(before, cyd, 10e12, 0, 0);
        eq(frauds.refundedOf(1, 0, 0), 10e12, "what was really paid");
        addBond(relayOwner(1), ROLE_RELAY, 1, 2_000 * USD);
        before = pursesOf(cyd);
        proveRunningTotal(posted, 0, 0);
        paidByRelay(before, cyd, 42.5e12, 85e12, 340e12);
        eq(frauds.refundedOf(1, 0, 0), 52.5e12, "all of it");
    }

    function test_emptyBond_stillCountsAsProven() public {
        shrinkBond(0);
        Served[] memory list = serveMany(cyd, 2);
        list[FALSE].evidence[70] ^= 0x01;
        Posted memory posted = submit(alone(billOf(cyd, list)));
        Purses memory before = pursesOf(cyd);
        proveBadReceipt(posted, 0, FALSE);
        paidByRelay(before, cyd, 0, 0, 0);
        isNoted(posted, 0, FALSE, 1);
        proveBadReceipt(posted, 0, FALSE);
    }

    /// @dev A relay that asked for its whole bond back right after the post pays all the same.
    function test_unbondingCredits_payToo() public {
        Served[] memory list = serveMany(cyd, 3);
        list[FALSE].evidence[70] ^= 0x01;
        Posted memory posted = submit(alone(billOf(cyd, list)));
        vm.prank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, BOND);
        Purses memory before = pursesOf(cyd);
        proveBadReceipt(posted, 0, FALSE);
        paidByRelay(before, cyd, CHARGE, 2.1e12, 8.4e12);
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 0, "nothing was active");
        eq(stakes.unbondOf(ROLE_RELAY, 1, 0).amount, 988.45e12, "the request is smaller by what was taken");
        skip(100);
        vm.prank(relayOwner(1));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        booksBalance();
    }

    /// @dev Whatever is proven of a bill in which everything is false, in any order: never more than the row.
    function testFuzz_refunds_neverExceedTheRow(uint256 order, uint8 count) public {
        Served[] memory list = serveMany(ann, 1 + (count % 5));
        for (uint256 i = 0; i < list.length; ++i) list[i].evidence[70] ^= 0x01;
        Bill memory bill = billOf(ann, list);
        for (uint256 i = 0; i < list.length; ++i) ++list[i].leaf.userCumulative;
        graft(bill);
        Posted memory posted = submit(alone(bill));
        uint256 had = vault.accountOf(ann).free;
        for (uint256 n = 0; n < 12; ++n) {
            uint256 index = (order >> (8 * n)) % list.length;
            bool isTotal = (order >> (8 * n + 7)) & 1 == 1;
            bytes32 key = placeOf(posted, 0, index, isTotal ? 4 : 1);
            if (frauds.isProven(key)) continue;
            if (isTotal) proveRunningTotal(posted, 0, index);
            else proveBadReceipt(posted, 0, index);
            uint256 refunded = frauds.refundedOf(1, posted.batch.header.batchNo, 0);
            eq(vault.accountOf(ann).free - had, refunded, "what Ann has is what is noted");
            yes(refunded <= bill.delta, "never more than the row");
        }
        booksBalance();
    }

    // ---- What the stories do ----

    /// @dev Signed by nobody, for Bob's request, with a false total, told otherwise, billed before.
    function wrongInEveryWay() private returns (Posted memory posted) {
        Served[] memory list = single(serve(bob, UNITS));
        signAlone(list[0]);
        submit(alone(billOf(ann, list)));
        list = single(Served(list[0].request, list[0].receipt, hex"00", list[0].leaf));
        Bill memory bill = billOf(ann, list);
        list[0].leaf.userCumulative += 1;
        graft(bill);
        return submit(alone(bill));
    }

    function finedOnly(Posted memory posted, uint256 which) private {
        Purses memory before = pursesOf(ann);
        if (which == 0) proveForeignRequest(posted, 0, 0);
        if (which == 1) proveRunningTotal(posted, 0, 0);
        if (which == 2) {
            BilledReceipt memory told = billedOf(posted, 0, 0);
            told.charge = 1;
            proveEquivocation(posted, 0, 0, told);
        }
        if (which == 3) {
            IFraudProofs.Demand memory made = demanded(posted, 0, 0);
            skip(6);
            frauds.resolve(made);
        }
        uint256 fine = before.bond / 100;
        paidByRelay(before, ann, 0, fine / 5, fine - fine / 5);
    }

    /// @dev Purses as they were, but that the bond of the open demand is back.
    function withBond(Purses memory purses) private pure returns (Purses memory) {
        purses.challenger += 2 * USD;
        return purses;
    }

    function shrinkBond(uint96 left) private {
        vm.prank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, BOND - left);
        skip(100);
        vm.prank(relayOwner(1));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
    }
}
