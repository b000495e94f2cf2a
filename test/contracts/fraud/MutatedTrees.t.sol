// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BilledReceipt, ReceiptGroup} from "../../../contracts/libraries/Messages.sol";
import {ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Crowd} from "../support/Crowd.sol";

/// @notice Whatever a relay makes false before it posts, wherever in the batch: one proof shows it, and the user of
/// that row gets back what it lost.
contract MutatedTreesTest is Crowd {
    /// @dev What a fraud comes to: which proof (see `callOf`) and the loss, pUSD.
    struct Verdict {
        uint256 which;
        uint256 loss;
    }

    uint256 private constant KINDS = 16;

    function setUp() public override {
        super.setUp();
        // as good as the first, but without a stake
        addProvider(2);
        vm.prank(providerOwner(2));
        registry.setPrice(2, MODEL, P0, P1, P2, TEXT);
    }

    function testFuzz_everyFalseTree_isProvenByOneProof(uint256 value, uint8 kind) public {
        seed(value);
        isProvable(kind % KINDS);
    }

    /// @dev All kinds, whatever the fuzzer draws.
    function test_everyKindOfFalseTree_isProvenByOneProof() public {
        for (uint256 kind = 0; kind < KINDS; ++kind) {
            seed(kind + 1);
            isProvable(kind);
            skip(10);
        }
    }

    function isProvable(uint256 kind) private {
        Bill[] memory bills = drawBills();
        uint256 row = draw(bills.length);
        Bill memory bill = bills[row];
        uint256 index = draw(bill.served.length);
        Verdict memory verdict;
        if (kind < 5) verdict = falseReceipt(kind, bill, index);
        else if (kind < 12) verdict = falseSums(kind, bill, index);
        else verdict = falseStory(kind, bill, index);
        isRepaid(submit(bills), [row, index], verdict);
    }

    /// @dev Price + 1, a flipped signature, a provider without stake, a receipt from the future, a charge + 1.
    function falseReceipt(uint256 kind, Bill memory bill, uint256 index) private view returns (Verdict memory) {
        Served memory served = bill.served[index];
        uint64 charge = served.leaf.charge;
        if (kind == 0) {
            ++served.receipt.cost;
            ++served.leaf.charge;
            signGroup(single(served));
        }
        if (kind == 1) served.evidence[served.evidence.length - 34] ^= 0x10;
        if (kind == 2) byProvider2(served);
        if (kind == 3) {
            served.receipt.issuedAt += 61;
            ReceiptGroup memory group = groupFor(single(served));
            group.closedAt += 61;
            signGroupAs(providerSignerKey(1), group, single(served));
        }
        if (kind == 4) ++served.leaf.charge;
        commitTo(served);
        runOn(bill);
        if (kind == 0 || kind == 4) return Verdict(0, 1);
        return Verdict(0, charge);
    }

    /// @dev A row's sum, interval and epoch; a leaf's total and user; a sum that no receipt covers.
    function falseSums(uint256 kind, Bill memory bill, uint256 index) private pure returns (Verdict memory) {
        Served memory served = bill.served[index];
        if (kind == 5) ++bill.leaf.sum;
        if (kind == 6) (bill.delta, bill.cumEnd) = (bill.delta + 1, bill.cumEnd + 1);
        if (kind == 7) ++bill.leaf.epoch;
        if (kind == 8) ++bill.leaf.cumStart;
        if (kind < 9) return Verdict(2, bill.delta);
        if (kind == 9) ++served.leaf.userCumulative;
        if (kind == 10) --served.leaf.userCumulative;
        if (kind == 11) ++served.leaf.userId;
        graft(bill);
        return Verdict(3, served.leaf.charge);
    }

    /// @dev Somebody else's request, a hidden sum, another thing told, the same receipt again.
    function falseStory(uint256 kind, Bill memory bill, uint256 index) private view returns (Verdict memory) {
        Served memory served = bill.served[index];
        if (kind == 12) {
            ++served.request.userId;
            served.receipt.requestHash = hashOf(served.request);
            signGroup(single(served));
            commitTo(served);
            addUp(bill);
            return Verdict(1, served.leaf.charge);
        }
        if (kind == 13) {
            bill.leaf.sum += 1_000;
            (bill.delta, bill.cumEnd) = (bill.delta + 1_000, bill.cumEnd + 1_000);
            return Verdict(3, 1_000);
        }
        if (kind == 14) return Verdict(4, served.leaf.charge);
        billTwice(bill, index);
        return Verdict(5, served.leaf.charge);
    }

    /// @dev Behind everything else, and added up with it.
    function billTwice(Bill memory bill, uint256 index) private view {
        Served[] memory list = new Served[](bill.served.length + 1);
        for (uint256 i = 0; i < bill.served.length; ++i) list[i] = bill.served[i];
        Served memory copy;
        (copy.request, copy.receipt) = (bill.served[index].request, bill.served[index].receipt);
        copy.evidence = bill.served[index].evidence;
        list[bill.served.length] = copy;
        Bill memory longer = billOf(bill.userId, list);
        (bill.served, bill.leaf) = (longer.served, longer.leaf);
        (bill.delta, bill.cumEnd) = (longer.delta, longer.cumEnd);
    }

    function byProvider2(Served memory served) private view {
        served.receipt.providerId = 2;
        ReceiptGroup memory group = groupFor(single(served));
        group.providerId = 2;
        signGroupAs(providerSignerKey(2), group, single(served));
    }

    function isRepaid(Posted memory posted, uint256[2] memory place, Verdict memory verdict) private {
        uint32 victim = posted.bills[place[0]].userId;
        Purses memory before = pursesOf(victim);
        uint256 taken = stakes.penaltyOf(ROLE_RELAY, 1, uint96(verdict.loss));
        bytes memory data = proofOf(posted, place, verdict);
        yes(succeeds(data), "one proof is enough");
        uint256 bounty = (taken - verdict.loss) / 5;
        paidByRelay(before, victim, verdict.loss, bounty, taken - verdict.loss - bounty);
        yes(!succeeds(data), "once");
        if (posted.bills.length == 1) return;
        // the others' rows are as good as they were
        place = [(place[0] + 1) % posted.bills.length, 0];
        for (uint256 which = 0; which < PROOFS; ++which) {
            yes(!succeeds(callOf(which, posted, [place, place, place, place])), "another row");
        }
    }

    function proofOf(
        Posted memory posted,
        uint256[2] memory place,
        Verdict memory verdict
    ) private view returns (bytes memory) {
        if (verdict.which == 4) {
            BilledReceipt memory told = billedOf(posted, place[0], place[1]);
            --told.charge;
            return toldCall(posted, place, told);
        }
        uint256[2] memory later = place;
        if (verdict.which == 5) later = [place[0], posted.bills[place[0]].served.length - 1];
        return callOf(verdict.which, posted, [later, later, later, place]);
    }
}
