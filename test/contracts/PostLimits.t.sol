// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEarnings} from "../../contracts/interfaces/IEarnings.sol";
import {IPosts} from "../../contracts/interfaces/IPosts.sol";
import {Network} from "./support/Network.sol";

/// @notice What bounds a relay: its pots, its bond, and the ring of commits.
contract PostLimitsTest is Network {
    address private immutable POSTER = vm.addr(relaySignerKey(1));
    uint32 private _alice;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addProvider(1);
        fund(user(1), 50 * TOKEN_USD);
        _alice = open(user(1), 1, 20 * USD);
    }

    function test_post_drawsAShortfallNewestFirstThenFromTheFloat() public {
        fund(relayOwner(1), TOKEN_USD);
        vm.prank(relayOwner(1));
        settlement.fundRelay(1, uint96(USD));
        post(1, one(_alice, USD, USD), none());
        skip(70);
        post(1, one(_alice, 2 * USD, USD), none());
        skip(70);
        post(1, one(_alice, 3 * USD, USD), none());
        uint256 residual = USD - USD / 100;
        pots(residual, residual, residual, USD);
        post(1, noDebits(), owed(1, 1));
        pots(residual - 1, residual, residual, USD);
        post(1, noDebits(), owed(1, residual + 1));
        pots(0, residual - 1, residual, USD);
        post(1, noDebits(), owed(1, 3 * residual + 5));
        pots(0, 0, 0, USD - 5);
        uint256 cumulative = 3 * residual + 5 + USD - 5;
        refusedBatch(noDebits(), owed(1, cumulative + 1), abi.encodeWithSelector(IPosts.Shortfall.selector, 1, 1));
        post(1, noDebits(), owed(1, cumulative));
        pots(0, 0, 0, 0);
    }

    function test_post_keepsVolumeThatIsNotFinalWithinTheBond() public {
        fund(user(1), 200 * TOKEN_USD);
        vm.prank(user(1));
        settlement.topUpChannel(1, uint96(200 * USD));
        post(1, next(8), none());
        for (uint256 i = 0; i < 7; ++i) {
            skip(i == 3 ? 5 : 0);
            post(1, next(10 * USD), none());
        }
        uint256 inflight = 8 + 70 * USD;
        eq(settlement.inflightOf(1).prev + settlement.inflightOf(1).cur, inflight, "in flight");
        refusedBatch(
            next(10 * USD),
            none(),
            abi.encodeWithSelector(IPosts.InflightAboveBond.selector, 1, inflight + 10 * USD, 80 * USD)
        );
        post(1, noDebits(), owed(1, 1));
        skip(5);
        // what was posted before the last epoch is final
        eq(settlement.inflightOf(1).prev, 40 * USD, "still in flight");
        post(1, next(10 * USD), none());
        skip(10);
        eq(settlement.inflightOf(1).prev, 0, "all final");
        eq(settlement.requiredBond(1), 0, "nothing needed");
    }

    /// @dev Kept for the post window, two epochs and a minute (130) at least: as long as a receipt can be billed again and
    /// that be proven.
    function test_post_neverOverwritesACommitThatMayBeNeeded() public {
        // a period begins
        skip(130 - (START % 130));
        for (uint256 i = 0; i < 1_024; ++i) post(1, noDebits(), none());
        bytes memory full = abi.encodeWithSelector(IPosts.RingFull.selector, 1, 1_024, 1_024);
        refusedBatch(noDebits(), none(), full);
        eq(settlement.commitsOf(1).cur, 1_024, "kept");
        skip(259);
        refusedBatch(noDebits(), none(), full);
        yes(settlement.commitOf(1, 0) != 0, "the first is there");
        skip(1);
        post(1, noDebits(), none());
        eq(settlement.commitOf(1, 0), 0, "its place is used again");
        yes(settlement.commitOf(1, 1_024) != 0 && settlement.commitOf(1, 1) != 0, "the others are there");
    }

    function next(uint256 delta) private view returns (Debit[] memory) {
        return one(_alice, settlement.channelOf(1, _alice).spent + delta, delta);
    }

    function pots(uint256 cur, uint256 prev, uint256 earned, uint256 float) private view {
        IEarnings.RelayAccount memory relay = settlement.relayAccountOf(1);
        eq(relay.pendingCur, cur, "cur");
        eq(relay.pendingPrev, prev, "prev");
        eq(relay.earned, earned, "earned");
        eq(relay.float, float, "float");
    }

    function refusedBatch(Debit[] memory debits, Credit[] memory credits, bytes memory reason) private {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, debits, credits);
        refused(header, rows, reason);
    }

    function refused(IPosts.PostHeader memory header, bytes memory rows, bytes memory reason) private {
        vm.expectRevert(reason);
        postAs(POSTER, 1, header, rows);
    }
}
