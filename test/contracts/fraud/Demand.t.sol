// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {FRAUD_NO_ANSWER, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Stories of relays that show nothing. Who suspects a row puts up a bond and asks for one receipt; silence is
/// taken for fraud and costs the relay the whole row.
contract DemandTest is Story {
    /// @dev Ann sees a row of 3.15 USD and got no receipts. Wim asks for the second; the relay has none.
    function test_silence_paysTheRowBack() public {
        Posted memory posted = submit(honestDay());
        Purses memory before = pursesOf(ann);
        IFraudProofs.Demand memory made = demanded(posted, 0, 1);
        eq(made.bond, 2 * USD, "the least bond");
        eq(free(watcher()), before.challenger - 2 * USD, "is locked");
        eq(stakes.frozenOf(1), 34.65e12, "eleven times the row is frozen");
        skip(5);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.WrongTime.selector, made.deadline, made.deadline));
        frauds.resolve(made);
        skip(1);
        // anyone may close it
        frauds.resolve(made);
        paidByRelay(before, ann, 3.15e12, 6.3e12, 25.2e12);
        eq(stakes.frozenOf(1), 0, "nothing is frozen");
        eq(frauds.refundedOf(1, 0, 0), 3.15e12, "refunded");
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.UnknownDemand.selector, keccak256(abi.encode(made)))
        );
        frauds.resolve(made);
    }

    /// @dev The relay shows what Wim asked for, and has his bond for its trouble.
    function test_answer_earnsTheRelayTheBond() public {
        Posted memory posted = submit(honestDay());
        Purses memory before = pursesOf(ann);
        IFraudProofs.Demand memory made = demanded(posted, 0, 1);
        uint256 had = free(relayOwner(1));
        skip(5);
        answered(posted, [uint256(0), 1], made, "in the last second, by anyone");
        eq(free(relayOwner(1)), had + 2 * USD, "the relay's owner has the bond");
        eq(free(watcher()), before.challenger - 2 * USD, "Wim has not");
        eq(stakes.frozenOf(1), 0, "nothing is frozen");
        eq(bondOf(ROLE_RELAY, 1), before.bond, "the relay's bond is whole");
        skip(1);
        bytes32 id = keccak256(abi.encode(made));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.UnknownDemand.selector, id));
        frauds.resolve(made);
        isNoted(posted, 0, 1, FRAUD_NO_ANSWER);
        demand(posted, 0, 1);
        booksBalance();
    }

    /// @dev There is no fourth receipt, and the user leaf says so.
    function test_demandBehindTheLastReceipt_earnsTheRelayTheBond() public {
        Posted memory posted = submit(honestDay());
        uint256 had = free(relayOwner(1));
        IFraudProofs.Demand memory made = demanded(posted, 0, 3);
        answered(posted, [uint256(0), 0], made, "the user leaf is enough");
        made = demanded(posted, 2, type(uint32).max);
        answered(posted, [uint256(2), 0], made, "of a signed row too");
        eq(free(relayOwner(1)), had + 4 * USD, "two bonds");
    }

    /// @dev 5 % of a large row; and a challenger that cannot pay it cannot ask.
    function test_bondOfALargeRow_isATwentieth() public {
        Served[] memory list = new Served[](1);
        list[0] = serve(cyd, 60 * UNITS);
        signGroup(list);
        Posted memory posted = submit(alone(billOf(cyd, list)));
        IFraudProofs.Demand memory made = demanded(posted, 0, 0);
        eq(made.bond, 3.15e12, "5 % of 63 USD");
        vm.prank(watcher());
        vault.withdraw(uint96(95 * USD), watcher());
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.InsufficientCredits.selector, wim, 1.85e12, 3.15e12)
        );
        demand(posted, 0, 1);
    }

    function test_lateAnswer_isRefused() public {
        Posted memory posted = submit(honestDay());
        IFraudProofs.Demand memory made = demanded(posted, 1, 0);
        skip(6);
        refused(posted, [uint256(1), 0], made, IFraudProofs.WrongTime.selector);
        Purses memory before = pursesOf(bob);
        frauds.resolve(made);
        eq(pursesOf(bob).victim, before.victim + CHARGE, "Bob has his row back");
    }

    // ---- Answers that are none ----

    /// @dev Another receipt of the same row, or of another row, is not what was asked for.
    function test_answerWithAnotherReceipt_isRefused() public {
        Posted memory posted = submit(honestDay());
        IFraudProofs.Demand memory made = demanded(posted, 0, 1);
        refused(posted, [uint256(0), 0], made, IFraudProofs.BadLeafProof.selector);
        refused(posted, [uint256(1), 0], made, IFraudProofs.BadUserProof.selector);
        made.leafIndex = 0;
        refused(posted, [uint256(0), 0], made, IFraudProofs.UnknownDemand.selector);
    }

    /// @dev The leaf commits to a receipt and its evidence; better ones that came later answer nothing.
    function test_answerThatTheLeafDoesNotCommitTo_isRefused() public {
        Posted memory posted = submit(honestDay());
        IFraudProofs.Demand memory made = demanded(posted, 0, 1);
        Served memory served = posted.bills[0].served[1];
        bytes memory evidence = served.evidence;
        served.evidence = bytes.concat(evidence, hex"00");
        refused(posted, [uint256(0), 1], made, IFraudProofs.BadReceiptOpening.selector);
        (served.evidence, served.receipt.responseHash) = (evidence, keccak256("another answer"));
        refused(posted, [uint256(0), 1], made, IFraudProofs.BadReceiptOpening.selector);
    }

    function test_answerWithAFalseReceipt_isRefused() public {
        Served[] memory list = serveMany(ann, 3);
        list[1].receipt.cost += 1;
        signAlone(list[1]);
        list[2].evidence[60] ^= 0x01;
        Posted memory posted = postAnn(list);
        isDefaulted(posted, 1, 0, IFraudProofs.BadAnswer.selector);
        isDefaulted(posted, 2, 1, IFraudProofs.BadAnswer.selector);
    }

    function test_answerWithAForeignRequest_isRefused() public {
        Served[] memory list = serveMany(ann, 2);
        list[1] = serve(bob, UNITS);
        signAlone(list[1]);
        isDefaulted(postAnn(list), 1, 0, IFraudProofs.BadAnswer.selector);
    }

    /// @dev Ann's own request, but of a channel she had before.
    function test_answerWithARequestOfAnotherEpoch_isRefused() public {
        Served[] memory list = serveMany(ann, 2);
        ++list[1].request.channelEpoch;
        list[1].receipt.requestHash = hashOf(list[1].request);
        signAlone(list[1]);
        isDefaulted(postAnn(list), 1, 0, IFraudProofs.BadAnswer.selector);
    }

    /// @dev The relay does not know what the hash stands for: the request was never made.
    function test_answerWithoutTheRequest_isRefused() public {
        Posted memory posted = submit(honestDay());
        posted.bills[0].served[1].request.bodyHash = 0;
        isDefaulted(posted, 1, 0, IFraudProofs.BadAnswer.selector);
    }

    function test_answerWithAUserLeafThatContradictsTheRow_isRefused() public {
        Bill memory bill = honestBill(ann, 3);
        (bill.delta, bill.cumEnd) = (bill.delta + 1, bill.cumEnd + 1);
        isDefaulted(submit(alone(bill)), 3, 0, IFraudProofs.RowMismatch.selector);
        bill = honestBill(ann, 3);
        ++bill.leaf.epoch;
        isDefaulted(submit(alone(bill)), 3, 0, IFraudProofs.BadAnswer.selector);
        bill = honestBill(ann, 3);
        bill.leaf.epoch = 0;
        isDefaulted(submit(alone(bill)), 3, 0, IFraudProofs.BadAnswer.selector);
        bill = honestBill(ann, 3);
        bill.leaf.count = 0;
        isDefaulted(submit(alone(bill)), 0, 0, IFraudProofs.RowMismatch.selector);
    }

    function test_answerWithAFalseTotal_isRefused() public {
        Bill memory bill = honestBill(ann, 3);
        --bill.served[1].leaf.userCumulative;
        graft(bill);
        isDefaulted(submit(alone(bill)), 1, 0, IFraudProofs.BadAnswer.selector);
        bill = honestBill(ann, 3);
        (bill.leaf.sum, bill.delta, bill.cumEnd) = (bill.leaf.sum + 1, bill.delta + 1, bill.cumEnd + 1);
        isDefaulted(submit(alone(bill)), 0, 0, IFraudProofs.BadAnswer.selector);
    }

    /// @dev Trees that nobody can open: a root of nothing, more receipts said than there are.
    function test_treeThatDoesNotOpen_cannotBeAnswered() public {
        Bill memory bill = honestBill(ann, 3);
        bill.leaf.subRoot = keccak256("nothing");
        isDefaulted(submit(alone(bill)), 2, 0, IFraudProofs.BadLeafProof.selector);
        bill = honestBill(ann, 3);
        bill.leaf.count = 5;
        isDefaulted(submit(alone(bill)), 0, 0, IFraudProofs.BadLeafProof.selector);
        Posted memory posted = close(alone(honestBill(ann, 3)));
        posted.batch.header.receiptsRoot = keccak256("nothing");
        submit(posted);
        isDefaulted(posted, 0, 0, IFraudProofs.BadUserProof.selector);
    }

    // ---- What is frozen ----

    /// @dev While a demand is open, what a default would cost can neither leave nor back new rows.
    function test_frozenCredits_stayAndBackNothing() public {
        Bill[] memory bills = new Bill[](2);
        for (uint256 n = 0; n < 2; ++n) {
            Served[] memory list = single(serve(n == 0 ? ann : bob, 80 * UNITS));
            signGroup(list);
            bills[n] = billOf(list[0].request.userId, list);
        }
        Posted memory posted = submit(alone(bills[0]));
        demanded(posted, 0, 0);
        eq(stakes.frozenOf(1), 924e12, "eleven times 84 USD");
        eq(stakes.backingOf(1), 76e12, "what is left of 1,000");
        Posted memory next = close(alone(bills[1]));
        vm.expectRevert(abi.encodeWithSelector(IPosts.InflightAboveBond.selector, 1, 168e12, 60.8e12));
        postAs(vm.addr(relaySignerKey(1)), 1, next.batch.header, next.rows);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, BOND - 1, 105e12 + 924e12)
        );
        vm.prank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, 1);
    }

    /// @dev What was asked back before the demand is kept as well: once for a row, and for another row besides.
    function test_unbondingCredits_areFrozenToo() public {
        vm.prank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, BOND - 20e12);
        skip(96);
        Posted memory posted = submit(honestDay());
        demand(posted, 0, 0);
        demand(posted, 0, 1);
        eq(stakes.frozenOf(1), 34.65e12, "eleven times Ann's row");
        demand(posted, 1, 0);
        eq(stakes.frozenOf(1), 46.2e12, "and eleven times Bob's");
        skip(4);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, 20e12, 46.2e12 + 4.2e12));
        vm.prank(relayOwner(1));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
    }

    // ---- What the stories do ----

    /// @dev Bob sends what relay 1 has for a place, and it is taken.
    function answered(
        Posted memory posted,
        uint256[2] memory place,
        IFraudProofs.Demand memory made,
        string memory what
    ) private {
        (bool ok, ) = sent(posted, place, made);
        yes(ok, what);
    }

    /// @dev Likewise, and it is refused for this reason.
    function refused(
        Posted memory posted,
        uint256[2] memory place,
        IFraudProofs.Demand memory made,
        bytes4 reason
    ) private {
        (bool ok, bytes memory answer) = sent(posted, place, made);
        yes(!ok, "that is no answer");
        eq(bytes32(bytes4(answer)), bytes32(reason), "why it is none");
    }

    function sent(
        Posted memory posted,
        uint256[2] memory place,
        IFraudProofs.Demand memory made
    ) private returns (bool ok, bytes memory answer) {
        bytes memory data = answerCall(posted, place, made);
        vm.prank(user(2));
        return address(frauds).call(data);
    }

    /// @dev Ann's row cannot be shown at that receipt, and the relay pays what a proof would cost it at least.
    function isDefaulted(Posted memory posted, uint32 index, uint64 refundedBefore, bytes4 reason) private {
        if (refundedBefore != 0) refundedBefore = posted.bills[0].delta;
        Purses memory before = pursesOf(ann);
        IFraudProofs.Demand memory made = demanded(posted, 0, index);
        uint256 shown = min(index, posted.bills[0].served.length - 1);
        refused(posted, [uint256(0), shown], made, reason);
        skip(6);
        frauds.resolve(made);
        uint64 loss = posted.bills[0].delta - refundedBefore;
        uint256 fine = before.bond / 100 > 10 * uint256(loss) ? before.bond / 100 : 10 * uint256(loss);
        paidByRelay(before, ann, loss, fine / 5, fine - fine / 5);
    }
}
