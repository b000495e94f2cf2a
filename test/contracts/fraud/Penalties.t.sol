// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Market} from "../support/Market.sol";

/// @notice What a proven loss costs, whatever it is and whatever there is to take.
contract PenaltiesTest is Market {
    struct Case {
        uint8 role;
        uint96 loss;
        uint96 active;
        uint96[3] unbonding;
        uint32 victim;
    }

    /// @dev 2^80 pUSD are 1.2e12 USD.
    uint96 private constant MOST = 1 << 80;

    function testFuzz_slash_takesWhatItShouldAndPaysTheVictimFirst(
        Case memory c,
        uint8 size,
        bool isProvider,
        bool hasVictim
    ) public {
        uint96 most = uint96(bound(size, 1, 80));
        most = uint96(1) << most;
        (c.role, c.victim) = (isProvider ? ROLE_PROVIDER : ROLE_RELAY, hasVictim ? ann : 0);
        c.loss = uint96(bound(c.loss, 0, most));
        c.active = uint96(bound(c.active, 0, most));
        uint256 total = c.active;
        for (uint256 i = 0; i < 3; ++i) total += c.unbonding[i] = uint96(bound(c.unbonding[i], 0, most));
        staked(c);
        check(c, total);
    }

    function test_slash_neverRevertsAtTheEdges() public {
        Case memory c;
        (c.role, c.victim, c.loss) = (ROLE_RELAY, ann, type(uint96).max);
        staked(c);
        check(c, 0);
        c.active = 1;
        staked(c);
        check(c, 1);
        c.loss = 0;
        check(c, 0);
    }

    /// @dev 1 % of a bond of a million, and no more than 1,000 USD to whoever proved it.
    function test_slash_paysTheChallengerAtMostAThousand() public {
        Case memory c;
        (c.role, c.loss, c.active) = (ROLE_RELAY, uint96(10_000 * USD), uint96(1_000_000 * USD));
        c.victim = ann;
        staked(c);
        Purses memory before = pursesOf(ann);
        slash(c);
        Purses memory now_ = pursesOf(ann);
        eq(now_.victim - before.victim, 10_000 * USD, "victim");
        eq(now_.challenger - before.challenger, 1_000 * USD, "challenger");
        eq(now_.burned - before.burned, 99_000 * USD, "burned");
        eq(stakes.bondOf(ROLE_RELAY, 2).active, 890_000 * USD, "what is left");
    }

    function test_slash_takesUnbondingCreditsLast() public {
        Case memory c;
        (c.role, c.loss, c.active) = (ROLE_RELAY, uint96(2 * USD), uint96(20 * USD));
        c.unbonding = [uint96(5 * USD), uint96(6 * USD), uint96(7 * USD)];
        staked(c);
        slash(c);
        eq(stakes.bondOf(ROLE_RELAY, 2).active, 0, "2 + 20 of 38: active first");
        eq(stakes.bondOf(ROLE_RELAY, 2).unbonding, 16 * USD, "then what was asked back");
        eq(stakes.unbondOf(ROLE_RELAY, 2, 0).amount, 3 * USD, "first request");
        eq(stakes.unbondOf(ROLE_RELAY, 2, 1).amount, 6 * USD, "second request");
        skip(100);
        uint256 before = free(relayOwner(2));
        vm.prank(relayOwner(2));
        stakes.withdrawUnbonded(ROLE_RELAY, 2, 0);
        eq(free(relayOwner(2)), before + 3 * USD, "the owner gets what is left of it");
    }

    function test_slash_isForTheFraudProofsAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.NotFraudProofs.selector, address(this)));
        stakes.slash(ROLE_RELAY, 1, 1, ann, wim, true);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.NotFraudProofs.selector, relayOwner(1)));
        vm.prank(relayOwner(1));
        stakes.freeze(1, 1, true);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.NotFraudProofs.selector, address(this)));
        stakes.unfreeze(1, 0);
    }

    function testFuzz_freeze_keepsNoMoreThanThereIs(uint96 first, uint96 second, uint96 taken) public {
        vm.prank(address(frauds));
        uint96 kept = stakes.freeze(1, first, true);
        eq(kept, fineOf(first, BOND), "first");
        vm.prank(address(frauds));
        uint96 more = stakes.freeze(1, second, true);
        eq(more, fineOf(second, BOND - kept), "second");
        eq(stakes.backingOf(1), BOND - kept - more, "what backs new volume");
        vm.prank(address(frauds));
        stakes.slash(ROLE_RELAY, 1, taken, ann, wim, true);
        vm.prank(address(frauds));
        stakes.unfreeze(1, kept);
        eq(stakes.frozenOf(1), more, "still kept");
        uint96 left = stakes.bondOf(ROLE_RELAY, 1).active;
        eq(stakes.backingOf(1), left > more ? left - more : 0, "what backs it now");
    }

    function fineOf(uint256 loss, uint256 bond) private pure returns (uint256) {
        return min(loss + (10 * loss > bond / 100 ? 10 * loss : bond / 100), bond);
    }

    /// @dev Relay 2 or provider 2, with exactly these credits.
    function staked(Case memory c) private {
        if (registry.ownerOf(c.role, 2) == address(0)) {
            if (c.role == ROLE_RELAY) addRelay(2, 0);
            else addProvider(2);
        }
        address owner = registry.ownerOf(c.role, 2);
        uint256 total = uint256(c.active) + c.unbonding[0] + c.unbonding[1] + c.unbonding[2];
        if (total != 0) addBond(owner, c.role, 2, total);
        vm.startPrank(owner);
        for (uint256 i = 0; i < 3; ++i) if (c.unbonding[i] != 0) stakes.requestUnbond(c.role, 2, c.unbonding[i]);
        vm.stopPrank();
    }

    function slash(Case memory c) private returns (uint256 toVictim, uint256 toChallenger, uint256 burned) {
        vm.prank(address(frauds));
        return stakes.slash(c.role, 2, c.loss, c.victim, wim, true);
    }

    function check(Case memory c, uint256 total) private {
        uint256 fine = 10 * uint256(c.loss);
        uint256 got = min(c.loss + (fine > total / 100 ? fine : total / 100), total);
        eq(stakes.penaltyOf(c.role, 2, c.loss), got, "the penalty was known");
        Purses memory before = pursesOf(ann);
        (uint256 toVictim, uint256 toChallenger, uint256 burned) = slash(c);
        eq(toVictim, c.victim == 0 ? 0 : min(c.loss, got), "to the victim");
        eq(toChallenger, min((got - toVictim) / 5, 1_000 * USD), "to the challenger");
        eq(burned, got - toVictim - toChallenger, "burned");
        Purses memory now_ = pursesOf(ann);
        eq(now_.victim, before.victim + toVictim, "the victim has it");
        eq(now_.challenger, before.challenger + toChallenger, "the challenger has it");
        eq(now_.burned, before.burned + burned, "nobody has it");
        IStakeManager.Bond memory left = stakes.bondOf(c.role, 2);
        eq(uint256(left.active) + left.unbonding, total - got, "what is left");
        uint256 requests = 0;
        for (uint8 slot = 0; slot < 8; ++slot) requests += stakes.unbondOf(c.role, 2, slot).amount;
        eq(requests, left.unbonding, "requests are what is unbonding");
        booksBalance();
    }
}
