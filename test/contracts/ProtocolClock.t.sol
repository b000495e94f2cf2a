// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IProtocolClock} from "../../contracts/interfaces/IProtocolClock.sol";
import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {ROLE_RELAY} from "../../contracts/types/Roles.sol";
import {Withdraw} from "../../contracts/libraries/Messages.sol";
import {Network} from "./support/Network.sol";

/// @notice Pauses: who can, for how long, what stands still and what goes on.
contract ProtocolClockTest is Network {
    address private _alice;
    uint32 private _id;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addProvider(1);
        _alice = user(1);
        _id = fund(_alice, 20 * TOKEN_USD);
        open(_alice, 1, 5 * USD);
    }

    function test_pause_stopsProtocolTimeAndEndsByItself() public {
        skip(7);
        vm.expectEmit(true, true, true, true, address(clock));
        emit IProtocolClock.Paused(START + 7, START + 27);
        pause();
        eq(clock.pausedUntil(), START + 27, "until");
        skip(15);
        eq(clock.clock(), START + 7, "stands still");
        eq(clock.totalPaused(), 15, "so far");
        vm.expectRevert(abi.encodeWithSelector(IProtocolClock.ProtocolPaused.selector, START + 27));
        clock.running();
        skip(5);
        eq(clock.running(), START + 7, "runs again");
        eq(clock.pausedUntil(), 0, "not paused");
        skip(100);
        eq(clock.clock(), START + 107, "goes on");
        eq(clock.totalPaused(), 20, "in all");
    }

    function test_unpause_endsItEarly() public {
        pause();
        skip(4);
        vm.expectEmit(true, true, true, true, address(clock));
        emit IProtocolClock.Unpaused(4);
        vm.prank(GUARDIAN);
        clock.unpause();
        skip(6);
        eq(clock.clock(), START + 6, "time");
        eq(clock.totalPaused(), 4, "paused");
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(IProtocolClock.NotPaused.selector));
        clock.unpause();
    }

    /// @dev A hostile guardian: it pauses whenever it can, and the protocol runs most of the time nevertheless.
    function test_pause_hasACooldown() public {
        pause();
        refusedPause(START + 80);
        skip(20 + 59);
        refusedPause(START + 80);
        skip(1);
        pause();
        skip(20);
        eq(clock.totalPaused(), 40, "two pauses");
        eq(clock.clock(), START + 60, "three quarters of the time");
    }

    function test_pause_isTheGuardiansAlone() public {
        bytes memory reason = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, _alice);
        vm.startPrank(_alice);
        vm.expectRevert(reason);
        clock.pause();
        vm.expectRevert(reason);
        clock.unpause();
        vm.stopPrank();
        reason = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, GOVERNOR);
        vm.prank(GOVERNOR);
        vm.expectRevert(reason);
        clock.pause();
    }

    /// @dev Whatever is begun and ended, time never goes back and runs no faster than the chain's.
    function testFuzz_clock_neverGoesBack(uint16[24] calldata steps) public {
        (uint256 time, uint256 last, uint256 paused) = (START, START, 0);
        for (uint256 i = 0; i < steps.length; ++i) {
            skip(steps[i] % 70);
            time += steps[i] % 70;
            yes(clock.clock() >= last && clock.clock() - last <= steps[i] % 70, "time");
            yes(clock.totalPaused() >= paused, "pauses");
            eq(clock.clock() + clock.totalPaused(), time, "sum");
            (last, paused) = (clock.clock(), clock.totalPaused());
            vm.prank(GUARDIAN);
            if (steps[i] % 3 == 0) try clock.unpause() {} catch {}
            else try clock.pause() {} catch {}
            eq(clock.clock(), last, "at once");
        }
    }

    function test_pause_letsNothingNewBegin() public {
        pause();
        bytes memory paused = abi.encodeWithSelector(IProtocolClock.ProtocolPaused.selector, START + 20);
        fund(user(2), 5 * TOKEN_USD);
        vm.startPrank(user(2));
        vm.expectRevert(paused);
        settlement.openChannel(1, 1, START + 100, 0, address(0));
        vm.stopPrank();
        vm.startPrank(_alice);
        vm.expectRevert(paused);
        settlement.topUpChannel(1, 1);
        vm.expectRevert(paused);
        settlement.extendChannel(1, START + 2 hours);
        vm.expectRevert(paused);
        settlement.fundRelay(1, 1);
        vm.expectRevert(paused);
        reserves.fundReserve(1, 1, 1);
        vm.stopPrank();
        vm.startPrank(relayOwner(1));
        vm.expectRevert(paused);
        stakes.bond(ROLE_RELAY, 1, 1);
        vm.stopPrank();
        postRefused(1, one(_id, USD, USD), none(), paused);
    }

    /// @dev Free credits, and what was due before the pause.
    function test_pause_letsOutWhatIsFreeOrDue() public {
        vm.prank(_alice);
        settlement.thawChannel(1, uint96(USD));
        skip(70);
        pause();
        vm.startPrank(_alice);
        eq(settlement.withdrawChannel(1), USD, "thawed");
        eq(vault.withdraw(uint96(2 * USD), _alice), 2 * TOKEN_USD, "free");
        settlement.thawChannel(1, uint96(USD));
        settlement.cancelThaw(1);
        vm.stopPrank();
        Withdraw memory message = Withdraw(_id, _alice, uint96(USD), 0, START + 70);
        eq(vault.withdrawBySig(message, withdrawalBy(userKey(1), message)), TOKEN_USD, "by signature");
        eq(fund(_alice, 1), _id, "deposits go on");
    }

    /// @dev Every distance to a deadline is what it was: those of a thaw, a channel's end, and all that was begun at once.
    function testFuzz_pause_leavesEveryDeadlineItsDistance(uint8 before, uint8 length) public {
        vm.prank(_alice);
        settlement.thawChannel(1, uint96(USD));
        fund(relayOwner(1), TOKEN_USD);
        vm.startPrank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(USD));
        reserves.fundReserve(1, 1, uint96(USD));
        reserves.thawReserve(1, 1, uint96(USD));
        vm.stopPrank();
        uint256 first = uint256(before) % 70;
        skip(first);
        pause();
        skip(length);
        uint256 paused = min(length, 20);
        skip(20 - paused);
        uint256 passed = uint256(length) - paused;
        if (first + passed >= 70) return;
        skip(70 - first - passed - 1);
        vm.prank(_alice);
        vm.expectRevert(
            abi.encodeWithSignature("NotWithdrawable(uint40,uint40,uint40)", START + 70, START + 3660, START + 69)
        );
        settlement.withdrawChannel(1);
        skip(1);
        vm.prank(_alice);
        eq(settlement.withdrawChannel(1), USD, "on time");
        vm.startPrank(relayOwner(1));
        eq(reserves.withdrawReserve(1, 1), USD, "the reserve on time");
        skip(29);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.StillBonded.selector, START + 100, START + 99));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        skip(1);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.stopPrank();
    }

    function test_settlementOfAPausedProtocolGoesOnAfterwards() public {
        skip(1 hours + 55);
        pause();
        skip(20);
        post(1, one(_id, USD, USD), none());
        eq(settlement.channelOf(1, _id).spent, USD, "five seconds were left, and are");
    }

    function pause() private {
        vm.prank(GUARDIAN);
        clock.pause();
    }

    function refusedPause(uint256 allowedFrom) private {
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(IProtocolClock.PauseTooSoon.selector, allowedFrom));
        clock.pause();
    }
}
