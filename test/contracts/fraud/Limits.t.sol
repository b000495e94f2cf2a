// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {IProtocolClock} from "../../../contracts/interfaces/IProtocolClock.sol";
import {BilledReceipt} from "../../../contracts/libraries/Messages.sol";
import {ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Posted} from "../support/Batching.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Crowd} from "../support/Crowd.sol";

/// @notice When and where proofs are taken: until a batch is final, while the protocol runs, on rows that were applied,
/// from those who have an account.
contract LimitsTest is Crowd {
    uint256 private constant DEMAND = 7;

    // ---- Until it is final ----

    /// @dev Every proof and every demand: good in the last second of the second epoch, too late in the next.
    function test_everyProof_isTakenUntilTheBatchIsFinal() public {
        for (uint256 which = 0; which <= DEMAND; ++which) {
            if (which == 6) continue;
            (Posted memory posted, bytes memory data) = fraudulent(which);
            uint256 finalAt = (posted.batch.postedAt / 5 + 2) * 5;
            vm.warp(finalAt);
            refusedWith(
                data,
                abi.encodeWithSelector(IFraudProofs.BatchFinal.selector, 1, posted.batch.header.batchNo, finalAt)
            );
            vm.warp(finalAt - 1);
            yes(succeeds(data), "in the last second");
        }
    }

    /// @dev A batch posted in the first second of an epoch has two epochs, one in the last second has one and that.
    function test_finality_isBetweenOneAndTwoEpochs() public {
        Posted memory first = submit(honestDay());
        skip(4);
        Posted memory last = submit(alone(honestBill(ann, 1)));
        skip(5);
        refuses(IFraudProofs.NoFraud.selector);
        proveRowMismatch(first, 0);
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.BatchFinal.selector, 1, 0, last.batch.postedAt + 6)
        );
        proveRowMismatch(first, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.BatchFinal.selector, 1, 1, last.batch.postedAt + 6)
        );
        proveRowMismatch(last, 0);
    }

    // ---- While the protocol runs ----

    /// @dev Nobody's time runs out during a pause, and nothing new begins.
    function test_pause_stopsProofsAndTheirTime() public {
        for (uint256 which = 0; which <= DEMAND; ++which) {
            (, bytes memory data) = fraudulent(which);
            skip(4);
            vm.prank(GUARDIAN);
            clock.pause();
            refusedWith(
                data,
                abi.encodeWithSelector(IProtocolClock.ProtocolPaused.selector, clock.pausedUntil())
            );
            skip(20);
            yes(succeeds(data), "the pause is over by itself");
            skip(60);
        }
    }

    /// @dev The deadline stands still; an answer is welcome during a pause, a default is not.
    function test_pause_stopsTheDeadlineOfADemand() public {
        Posted memory posted = submit(honestDay());
        IFraudProofs.Demand memory made = demanded(posted, 0, 1);
        skip(3);
        vm.prank(GUARDIAN);
        clock.pause();
        skip(10);
        vm.expectRevert(
            abi.encodeWithSelector(IProtocolClock.ProtocolPaused.selector, clock.pausedUntil())
        );
        frauds.resolve(made);
        uint256 had = free(relayOwner(1));
        yes(succeeds(answerCall(posted, [uint256(0), 1], made)), "answered during the pause");
        eq(free(relayOwner(1)), had + 2 * USD, "the relay has the bond");
    }

    function test_pause_leavesTheRelayItsTimeToAnswer() public {
        Posted memory posted = submit(honestDay());
        IFraudProofs.Demand memory made = demanded(posted, 0, 1);
        skip(3);
        vm.prank(GUARDIAN);
        clock.pause();
        skip(20);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.WrongTime.selector, made.deadline, made.deadline - 2)
        );
        frauds.resolve(made);
        skip(2);
        yes(succeeds(answerCall(posted, [uint256(0), 1], made)), "in the last second");
    }

    // ---- Who ----

    /// @dev Bounties are credits: without an account there is nowhere to pay them.
    function test_strangerWithoutAnAccount_provesNothing() public {
        address stranger = address(0x57a);
        for (uint256 which = 0; which <= DEMAND; ++which) {
            (, bytes memory data) = fraudulent(which);
            vm.prank(stranger);
            (bool ok, bytes memory reason) = address(frauds).call(data);
            yes(!ok, "no account");
            bytes memory wanted = abi.encodeWithSelector(IFraudProofs.UnknownChallenger.selector, stranger);
            eq(keccak256(reason), keccak256(wanted), "reason");
            yes(succeeds(data), "Wim has one");
            skip(10);
        }
    }

    /// @dev The victim may prove it as well, and has both; so may the relay, which gains nothing by it.
    function test_victimAndOffender_mayProveToo() public {
        (, bytes memory data) = fraudulent(0);
        uint256 had = free(user(1));
        vm.prank(user(1));
        (bool ok, ) = address(frauds).call(data);
        yes(ok, "Ann");
        eq(free(user(1)), had + CHARGE + 2.1e12, "loss and bounty");
        (, data) = fraudulent(0);
        had = bondOf(ROLE_RELAY, 1) + free(relayOwner(1));
        vm.prank(relayOwner(1));
        (ok, ) = address(frauds).call(data);
        yes(ok, "the relay's owner");
        eq(bondOf(ROLE_RELAY, 1) + free(relayOwner(1)), had - CHARGE - 8.4e12, "a fifth of the fine comes back");
    }

    // ---- Where ----

    /// @dev Rows 63 and 64 lie in different chunks, row 66 is the first signed one.
    function test_falseReceipts_areProvenAtTheEndsOfChunks() public {
        Bill[] memory bills = new Bill[](68);
        for (uint256 n = 0; n < 68; ++n) {
            uint32 userId = settleIn(100 + n, n > 65);
            Served[] memory list = serveMany(userId, 1);
            bool isFalse = n == 63 || n == 64 || n == 66 || n == 67;
            if (isFalse) list[0].evidence[70] ^= 0x01;
            bills[n] = billOf(userId, list);
        }
        Posted memory posted = submit(bills);
        uint8[4] memory rows = [63, 64, 66, 67];
        for (uint256 i = 0; i < 4; ++i) {
            Purses memory before = pursesOf(bills[rows[i]].userId);
            proveBadReceipt(posted, rows[i], 0);
            eq(pursesOf(bills[rows[i]].userId).victim, before.victim + CHARGE, "its user is paid back");
        }
        refuses(IFraudProofs.NoFraud.selector);
        proveBadReceipt(posted, 65, 0);
    }

    /// @dev A header that was not posted, a batch to come, a commit that has been used again.
    function test_unknownBatches_areRefused() public {
        Posted memory posted = submit(honestDay());
        posted.batch.header.receiptsSum += 1;
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.UnknownBatch.selector, 1, 0));
        proveRowMismatch(posted, 0);
        posted.batch.header.receiptsSum -= 1;
        posted.batch.header.batchNo = 1;
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.UnknownBatch.selector, 1, 1));
        proveRowMismatch(posted, 0);
        posted.batch.header.batchNo = 0;
        IPosts.PostHeader memory header;
        // in periods of 130 seconds, of which the ring keeps two
        for (header.batchNo = 1; header.batchNo <= 1_024; ++header.batchNo) {
            if (header.batchNo % 512 == 1) skip(260);
            postAs(vm.addr(relaySignerKey(1)), 1, header, "");
        }
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.UnknownBatch.selector, 1, 0));
        proveRowMismatch(posted, 0);
    }

    function test_rowsThatTheBatchDoesNotHave_areRefused() public {
        Posted memory posted = submit(honestDay());
        IFraudProofs.RowProof memory row = rowProof(posted, 2);
        IFraudProofs.UserProof memory user_ = userProof(posted, 2);
        for (row.row = 0; row.row < 5; ++row.row) {
            if (row.row == 2) continue;
            vm.expectRevert(abi.encodeWithSelector(IFraudProofs.BadRowProof.selector, row.row));
            vm.prank(watcher());
            frauds.proveRowMismatch(row, user_);
        }
    }

    // ---- What the stories do ----

    function refusedWith(bytes memory data, bytes memory wanted) private {
        vm.prank(watcher());
        (bool ok, bytes memory reason) = address(frauds).call(data);
        yes(!ok, "refused");
        eq(keccak256(reason), keccak256(wanted), "reason");
    }

    /// @dev A batch in which proof number `which` (see `callOf`; 7 is a demand) shows a fraud against Ann.
    function fraudulent(uint256 which) private returns (Posted memory posted, bytes memory data) {
        Served[] memory list = serveMany(ann, 2);
        if (which == 0) list[1].evidence[70] ^= 0x01;
        if (which == 1) list[1] = serve(bob, UNITS);
        if (which == 5) list[1] = Served(list[0].request, list[0].receipt, list[0].evidence, list[1].leaf);
        if (which == 6) list[1].receipt.cost += 1;
        if (which == 1 || which == 6) signAlone(list[1]);
        Bill memory bill = billOf(ann, list);
        if (which == 2) ++bill.leaf.epoch;
        if (which == 3) ++list[1].leaf.userCumulative;
        if (which == 3) graft(bill);
        posted = submit(alone(bill));
        uint256[2] memory place = [uint256(0), 1];
        if (which == 4) {
            BilledReceipt memory told = billedOf(posted, 0, 1);
            told.charge = 1;
            return (posted, toldCall(posted, place, told));
        }
        if (which == DEMAND) data = abi.encodeCall(IFraudProofs.demand, (rowProof(posted, 0), 1));
        else data = callOf(which, posted, [place, place, place, which == 5 ? [uint256(0), 0] : place]);
    }
}
