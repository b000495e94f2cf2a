// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {IEarnings} from "../../contracts/interfaces/IEarnings.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

contract EarningsTest is Network {
    uint32 private _alice;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addRelay(2, 100 * USD);
        addProvider(1);
        fund(user(1), 50 * TOKEN_USD);
        _alice = open(user(1), 1, 20 * USD);
        open(user(1), 2, 20 * USD);
    }

    function test_enlist_isForAnyoneAndOnlyOnce() public {
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.ProviderEnlisted(1, 1);
        settlement.enlist(1, 1);
        yes(settlement.providerAccountOf(1, 1).enlisted, "enlisted");
        yes(!settlement.providerAccountOf(2, 1).enlisted, "only there");
        settlement.enlist(1, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 2));
        settlement.enlist(1, 2);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_RELAY, 3));
        settlement.enlist(3, 1);
    }

    function test_claimProvider_paysAcrossRelaysAndKeepsDust() public {
        post(1, one(_alice, 10 * USD, 10 * USD), owed(1, 3 * USD + 7));
        post(2, one(_alice, 10 * USD, 10 * USD), owed(1, 2 * USD + SCALE - 3));
        uint32[] memory both = new uint32[](3);
        (both[0], both[1], both[2]) = (1, 2, 1);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.ProviderClaimed(1, user(9), uint96(5 * USD + SCALE));
        vm.prank(providerOwner(1));
        eq(settlement.claimProvider(1, both, user(9)), 5 * USD + SCALE, "amount");
        eq(token.balanceOf(user(9)), 5 * TOKEN_USD + 1, "tokens");
        eq(settlement.providerAccountOf(1, 1).claimable, 4, "dust");
        eq(settlement.providerAccountOf(2, 1).claimable, 0, "all");
        eq(settlement.providerAccountOf(1, 1).paid, 3 * USD + 7, "paid does not change");
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BelowOneToken.selector, 4, SCALE));
        vm.prank(providerOwner(1));
        settlement.claimProvider(1, both, user(9));
    }

    function test_claimProvider_reverts() public {
        uint32[] memory nowhere = new uint32[](0);
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, ROLE_PROVIDER, 1, address(this)));
        settlement.claimProvider(1, nowhere, user(9));
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 2));
        settlement.claimProvider(2, nowhere, user(9));
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BelowOneToken.selector, 0, SCALE));
        vm.prank(providerOwner(1));
        settlement.claimProvider(1, nowhere, user(9));
        post(1, one(_alice, USD, USD), owed(1, USD / 2));
        uint32[] memory first = new uint32[](1);
        first[0] = 1;
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BadRecipient.selector, address(0)));
        vm.prank(providerOwner(1));
        settlement.claimProvider(1, first, address(0));
    }

    function test_claimRelay_waitsForAWholeBucket() public {
        // START is not the first second of a bucket; go to the last one of it
        vm.warp(START + 69 - (START % 70));
        post(1, one(_alice, USD, USD), none());
        uint256 residual = USD - USD / 100;
        skip(1);
        eq(settlement.relayAccountOf(1).pendingPrev, residual, "the bucket before");
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BelowOneToken.selector, 0, SCALE));
        vm.prank(relayOwner(1));
        settlement.claimRelay(1, user(9));
        skip(69);
        eq(settlement.relayAccountOf(1).earned, 0, "not yet");
        skip(1);
        eq(settlement.relayAccountOf(1).earned, residual, "earned");
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.RelayClaimed(1, user(9), uint96(residual));
        vm.prank(relayOwner(1));
        settlement.claimRelay(1, user(9));
        eq(token.balanceOf(user(9)), residual / SCALE, "tokens");
        eq(settlement.relayAccountOf(1).earned, 0, "none left");
        eq(settlement.relayAccountOf(1).batchNo, 1, "the batch number stays");
    }

    function test_claimRelay_isTheOwners() public {
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, ROLE_RELAY, 1, address(this)));
        settlement.claimRelay(1, address(this));
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_RELAY, 3));
        settlement.claimRelay(3, address(this));
    }

    function test_claimProtocolFees_goToTheTreasury() public {
        post(1, one(_alice, USD + 199, USD + 199), none());
        eq(settlement.protocolFees(), USD / 100 + 1, "fees");
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.ProtocolFeesClaimed(TREASURY, uint96(USD / 100));
        eq(settlement.claimProtocolFees(), USD / 100, "amount");
        eq(token.balanceOf(TREASURY), TOKEN_USD / 100, "tokens");
        eq(settlement.protocolFees(), 1, "dust stays");
    }

    function test_fundRelay_isForAnyoneAndReturnsToTheOwner() public {
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.RelayFunded(1, user(1), uint96(USD));
        vm.prank(user(1));
        settlement.fundRelay(1, uint96(USD));
        eq(settlement.relayAccountOf(1).float, USD, "float");
        vm.startPrank(relayOwner(1));
        vm.expectRevert(abi.encodeWithSelector(IEarnings.InsufficientFloat.selector, 1, USD, USD + 1));
        settlement.withdrawFloat(1, uint96(USD + 1));
        vm.expectRevert(abi.encodeWithSelector(IEarnings.ZeroFloat.selector));
        settlement.withdrawFloat(1, 0);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.FloatWithdrawn(1, uint96(USD));
        settlement.withdrawFloat(1, uint96(USD));
        vm.stopPrank();
        eq(free(relayOwner(1)), USD, "free");
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, ROLE_RELAY, 1, address(this)));
        settlement.withdrawFloat(1, 1);
    }

    function test_fundRelay_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_RELAY, 3));
        settlement.fundRelay(3, 1);
        vm.expectRevert(abi.encodeWithSelector(IEarnings.ZeroFloat.selector));
        settlement.fundRelay(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IEarnings.UnknownPayer.selector, address(this)));
        settlement.fundRelay(1, 1);
        addRelay(3, 0);
        vm.prank(user(1));
        settlement.fundRelay(3, 1);
        vm.expectRevert(abi.encodeWithSelector(IEarnings.UnknownPayer.selector, relayOwner(3)));
        vm.prank(relayOwner(3));
        settlement.withdrawFloat(3, 1);
    }

    /// @dev Over any gaps the buckets keep their sum, and nothing is earned before a whole bucket has passed.
    function testFuzz_buckets_keepTheirSum(uint16[8] memory gaps, uint32[8] memory deltas) public {
        uint256 total = 0;
        for (uint256 i = 0; i < 8; ++i) {
            skip(gaps[i] % 200);
            uint256 spent = settlement.channelOf(1, _alice).spent;
            uint256 fees = settlement.protocolFees();
            post(1, one(_alice, spent + deltas[i], deltas[i]), none());
            total += deltas[i] - (settlement.protocolFees() - fees);
            IEarnings.RelayAccount memory relay = settlement.relayAccountOf(1);
            eq(uint256(relay.earned) + relay.pendingPrev + relay.pendingCur, total, "sum");
            skip(69);
            relay = settlement.relayAccountOf(1);
            yes(relay.pendingCur + relay.pendingPrev >= deltas[i] - (settlement.protocolFees() - fees), "waits");
        }
        skip(140);
        eq(settlement.relayAccountOf(1).earned, total, "all earned in the end");
    }
}
