// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Relays that try to have their bond elsewhere when a METERED victim proves its loss: kept for demands of
/// their own friends, or withdrawn after a slash of their own. Bob and Cyd are the relay's friends here.
contract CoverTest is Story {
    uint64 private constant ROW = 63e12;

    /// @dev Bob's row is honest. A friend demands one receipt after the other of it: what is kept for the row is kept
    /// once, and Ann's false receipt of 63 USD is paid back all the same.
    function test_demandsOfOneRow_keepItsCreditsOnce() public {
        Posted memory posted = annAndBob(false);
        for (uint32 index = 0; index < 5; ++index) demand(posted, 1, index);
        eq(stakes.frozenOf(1), 11 * uint256(ROW), "eleven times the row, not fifty-five times");
        isPaidBack(posted);
    }

    /// @dev Bob's own row is false. It is demanded and proven, and demanded again: it is paid out of what is kept for it.
    function test_proofOfADemandedRow_takesWhatIsKeptForIt() public {
        Posted memory posted = annAndBob(true);
        demand(posted, 1, 0);
        proveBadReceipt(posted, 1, 0);
        eq(frauds.refundedOf(1, 0, 1), ROW, "Bob has his row back");
        demand(posted, 1, 1);
        demand(posted, 1, 2);
        isPaidBack(posted);
    }

    /// @dev A bond that is just what the two rows need: a demand and a proof of the one leave the other's share.
    function test_demandAndProofOfOneRow_leaveTheShareOfAnother() public {
        unbondTo(2 * uint96(ROW) * 5 / 4);
        Posted memory posted = annAndBob(true);
        demand(posted, 1, 0);
        proveBadReceipt(posted, 1, 0);
        isPaidBack(posted);
    }

    /// @dev The friend asks first, so that what Ann's row needs is kept for the friend's demand. The friend is answered,
    /// Wim is not: he has asked for another receipt, and what is kept stays for him.
    function test_answerToAFriend_leavesWhatTheNextDemandNeeds() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence[70] ^= 0x01;
        Posted memory posted = postAnn(list);
        IFraudProofs.Demand memory first = demanded(posted, 0, 0);
        skip(1);
        IFraudProofs.Demand memory second = demanded(posted, 0, uint32(FALSE));
        Purses memory before = pursesOf(ann);
        (bool ok, ) = address(frauds).call(answerCall(posted, [uint256(0), 0], first));
        yes(ok, "the friend is answered");
        eq(stakes.frozenOf(1), 34.65e12, "what is kept for the row stays");
        skip(6);
        frauds.resolve(second);
        before.challenger += 2 * USD;
        paidByRelay(before, ann, 3.15e12, 6.3e12, 25.2e12);
        eq(stakes.frozenOf(1), 0, "nothing is kept any more");
    }

    /// @dev A small proof of a demanded row: what the rest of the row would cost stays kept for the demand.
    function test_smallProof_keepsWhatTheOpenDemandNeeds() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence[70] ^= 0x01;
        Posted memory posted = postAnn(list);
        IFraudProofs.Demand memory made = demanded(posted, 0, 0);
        proveBadReceipt(posted, 0, FALSE);
        eq(stakes.frozenOf(1), 23.1e12, "eleven times the 2.10 USD that are left");
        Purses memory before = pursesOf(ann);
        skip(6);
        frauds.resolve(made);
        before.challenger += 2 * USD;
        paidByRelay(before, ann, 2.1e12, 4.2e12, 16.8e12);
    }

    /// @dev 900 of 1,000 USD wait to be withdrawn. Cyd's false row, proven by a friend, takes what is active; what is
    /// left covers Ann's row and cannot go before it is final.
    function test_withdrawal_leavesWhatCoversVolumeAfterASlash() public {
        vm.prank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(900 * USD));
        skip(100);
        Bill[] memory bills = new Bill[](2);
        (bills[0], bills[1]) = (falseBill(ann, 60), falseBill(cyd, 95));
        Posted memory posted = submit(bills);
        proveBadReceipt(posted, 1, 0);
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 0, "nothing is active");
        eq(stakes.bondOf(ROLE_RELAY, 1).unbonding, ROW, "what covers Ann is on its way out");
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, 0, 2 * ROW));
        vm.prank(relayOwner(1));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        isPaidBack(posted);
        eq(stakes.finesOf(1), 0, "a bond that is gone owes no fines");
    }

    /// @dev The relay has friends demand honest rows of Bob and Cyd, so that all but Ann's loss is frozen when her false
    /// receipt is proven; then it answers. The fine that could not be taken stays in the bond for good.
    function test_demandsOfHonestRows_saveTheRelayNoFine() public {
        Posted memory posted = annBobAndCyd();
        IFraudProofs.Demand memory first = demanded(posted, 1, 0);
        IFraudProofs.Demand memory second = demanded(posted, 2, 0);
        isPaidBack(posted);
        eq(bondOf(ROLE_RELAY, 1), BOND - ROW, "nothing but the loss can be taken");
        eq(stakes.finesOf(1), 10 * uint256(ROW), "ten times the loss is held back");
        (bool isAnswered, ) = address(frauds).call(answerCall(posted, [uint256(1), 0], first));
        yes(isAnswered, "Bob's is answered");
        (isAnswered, ) = address(frauds).call(answerCall(posted, [uint256(2), 0], second));
        yes(isAnswered, "Cyd's is answered");
        eq(stakes.frozenOf(1), 0, "nothing is frozen");
        skip(11);
        vm.startPrank(relayOwner(1));
        uint256 left = BOND - ROW - 700 * USD;
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, left, 10 * uint256(ROW)));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(700 * USD));
        stakes.requestUnbond(ROLE_RELAY, 1, BOND - 11 * uint96(ROW));
        skip(100);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.stopPrank();
        eq(bondOf(ROLE_RELAY, 1), 10 * uint256(ROW), "the fine is all that stays");
    }

    // ---- What the stories do ----

    /// @dev Ann's false receipt and Bob's row of the same size.
    function annAndBob(bool isBobFalse) private returns (Posted memory) {
        Bill[] memory bills = new Bill[](2);
        bills[0] = falseBill(ann, 60);
        if (isBobFalse) {
            bills[1] = falseBill(bob, 60);
        } else {
            Served[] memory list = single(serve(bob, 60 * UNITS));
            signAlone(list[0]);
            bills[1] = billOf(bob, list);
        }
        return submit(bills);
    }

    /// @dev Ann's false receipt; honest rows of Bob and, signed, of Cyd.
    function annBobAndCyd() private returns (Posted memory) {
        Bill[] memory bills = new Bill[](3);
        Served[] memory bobs = single(serve(bob, 60 * UNITS));
        signAlone(bobs[0]);
        Served[] memory cyds = single(serve(cyd, 90 * UNITS));
        signAlone(cyds[0]);
        (bills[0], bills[1], bills[2]) = (falseBill(ann, 60), billOf(bob, bobs), billOf(cyd, cyds));
        return submit(bills);
    }

    function falseBill(uint32 userId, uint32 dollars) private returns (Bill memory) {
        Served[] memory list = single(serve(userId, dollars * UNITS));
        signAlone(list[0]);
        list[0].evidence[70] ^= 0x01;
        return billOf(userId, list);
    }

    function isPaidBack(Posted memory posted) private {
        uint256 had = vault.accountOf(ann).free;
        proveBadReceipt(posted, 0, 0);
        eq(vault.accountOf(ann).free, had + ROW, "Ann has her 63 USD back");
        booksBalance();
    }

    function unbondTo(uint96 left) private {
        vm.startPrank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, BOND - left);
        skip(100);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.stopPrank();
    }
}
