// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

/// @notice What the fraud proofs may do to bonds, asked for by their address.
contract SlashingTest is Network {
    address private _relay;
    uint32 private _victim;
    uint32 private _challenger;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addProvider(1);
        addBond(providerOwner(1), ROLE_PROVIDER, 1, 20 * USD);
        _relay = relayOwner(1);
        _victim = fund(user(1), TOKEN_USD);
        _challenger = fund(user(2), TOKEN_USD);
    }

    function test_slash_victimFirstThenChallengerThenNobody() public {
        vm.expectEmit(true, true, true, true, address(stakes));
        emit IStakeManager.Slashed(ROLE_RELAY, 1, uint96(2 * USD), uint96(4 * USD), uint96(16 * USD));
        slash(2 * USD);
        eq(free(user(1)), 3 * USD, "victim");
        eq(free(user(2)), 5 * USD, "challenger");
        eq(stakes.burned(), 16 * USD, "burned");
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 78 * USD, "left");
        eq(vault.moduleOf(address(stakes)).balance, (78 + 16 + 20) * USD, "the burned stay locked");
    }

    function test_slash_takesAtLeastAHundredthOfTheBond() public {
        slash(0);
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 99 * USD, "left");
        eq(free(user(2)), USD + USD / 5, "challenger");
    }

    function test_slash_givesAChallengerAThousandAtMost() public {
        addBond(_relay, ROLE_RELAY, 1, 99_900 * USD);
        slash(9_000 * USD);
        eq(free(user(2)), 1_001 * USD, "challenger");
        eq(free(user(1)), 9_001 * USD, "victim");
    }

    function test_slash_takesWhatIsThere() public {
        slash(90 * USD);
        eq(free(user(1)), 91 * USD, "the victim gets all its loss");
        eq(free(user(2)), 3 * USD, "a fifth of ten");
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 0, "nothing left");
        slash(5 * USD);
        eq(free(user(1)), 91 * USD, "there was nothing");
    }

    function test_slash_takesFromActiveThenFromWhatIsUnbonding() public {
        vm.startPrank(_relay);
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(30 * USD));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(30 * USD));
        vm.stopPrank();
        slash(7 * USD);
        IStakeManager.Bond memory bond = stakes.bondOf(ROLE_RELAY, 1);
        eq(bond.active, 0, "active");
        eq(bond.unbonding, 23 * USD, "unbonding");
        eq(stakes.unbondOf(ROLE_RELAY, 1, 0).amount, 0, "first request");
        eq(stakes.unbondOf(ROLE_RELAY, 1, 1).amount, 23 * USD, "second request");
        skip(100);
        vm.startPrank(_relay);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.NoUnbond.selector, ROLE_RELAY, 1, 0));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 1);
        vm.stopPrank();
        eq(free(_relay), 23 * USD, "what is left comes back");
    }

    function test_slash_ofAProviderWithoutAVictim() public {
        vm.prank(address(frauds));
        stakes.slash(ROLE_PROVIDER, 1, uint96(USD), 0, _challenger, false);
        eq(stakes.bondOf(ROLE_PROVIDER, 1).active, 9 * USD, "eleven taken");
        eq(free(user(2)), USD + (11 * USD) / 5, "challenger");
        eq(stakes.burned(), 11 * USD - (11 * USD) / 5, "burned");
    }

    function testFuzz_slash_isExact(uint96 loss, uint96 bonded, uint96 asked, uint8 slots) public {
        bonded = uint96(bound(bonded, 0, 1e6 * USD));
        if (bonded != 0) addBond(_relay, ROLE_RELAY, 1, bonded);
        vm.startPrank(_relay);
        for (uint256 n = 0; n < slots % 8; ++n) {
            uint96 active = stakes.bondOf(ROLE_RELAY, 1).active;
            if (active > 1) stakes.requestUnbond(ROLE_RELAY, 1, uint96(bound(asked, 1, active)));
        }
        vm.stopPrank();
        uint256 total = 100 * USD + bonded;
        uint256 want = uint256(loss) + (10 * uint256(loss) > total / 100 ? 10 * uint256(loss) : total / 100);
        uint256 got = min(want, total);
        eq(stakes.penaltyOf(ROLE_RELAY, 1, loss), got, "penalty");
        vm.prank(address(frauds));
        (uint96 a, uint96 b, uint96 c) = stakes.slash(ROLE_RELAY, 1, loss, _victim, _challenger, true);
        eq(a, min(loss, got), "victim");
        eq(b, min((got - a) / 5, 1_000 * USD), "challenger");
        eq(uint256(a) + b + c, got, "all");
        checkBooks(total - got);
    }

    function checkBooks(uint256 left) private view {
        IStakeManager.Bond memory bond = stakes.bondOf(ROLE_RELAY, 1);
        uint256 requests = 0;
        for (uint8 slot = 0; slot < 8; ++slot) requests += stakes.unbondOf(ROLE_RELAY, 1, slot).amount;
        eq(uint256(bond.active) + bond.unbonding, left, "left");
        eq(bond.unbonding, requests, "requests");
        eq(vault.moduleOf(address(stakes)).balance, left + stakes.burned() + 20 * USD, "locked");
    }

    function test_freeze_keepsCreditsFromBackingAndLeaving() public {
        vm.startPrank(address(frauds));
        eq(stakes.freeze(1, uint96(5 * USD), true), 55 * USD, "what it would cost");
        eq(stakes.backingOf(1), 45 * USD, "backing");
        eq(stakes.freeze(1, uint96(5 * USD), true), 45 * USD, "no more than there is");
        eq(stakes.backingOf(1), 0, "nothing backs");
        eq(stakes.freeze(1, 1, true), 0, "all is kept");
        stakes.unfreeze(1, uint96(45 * USD));
        vm.stopPrank();
        eq(stakes.frozenOf(1), 55 * USD, "frozen");
        vm.startPrank(_relay);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, 54 * USD, 55 * USD)
        );
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(46 * USD));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(45 * USD));
        vm.stopPrank();
    }

    /// @dev A demand that is opened while credits are on their way out keeps them until it is closed.
    function test_freeze_keepsCreditsThatAreUnbonding() public {
        vm.prank(_relay);
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(100 * USD));
        vm.prank(address(frauds));
        eq(stakes.freeze(1, uint96(3 * USD), true), 33 * USD, "kept");
        skip(100);
        vm.prank(_relay);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, 0, 33 * USD));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.prank(address(frauds));
        stakes.unfreeze(1, uint96(33 * USD));
        vm.prank(_relay);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        eq(free(_relay), 100 * USD, "free");
    }

    function test_slashFrozen_takesWhatWasKept() public {
        vm.startPrank(address(frauds));
        uint96 kept = stakes.freeze(1, uint96(2 * USD), true);
        stakes.slash(ROLE_RELAY, 1, uint96(90 * USD), _victim, _challenger, true);
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 22 * USD, "all but what was kept");
        (uint96 a, uint96 b, uint96 c) = stakes.slashFrozen(1, kept, uint96(2 * USD), _victim, _challenger);
        vm.stopPrank();
        eq(a, 2 * USD, "victim");
        eq(uint256(a) + b + c, 22 * USD, "all of it");
        eq(stakes.frozenOf(1), 0, "nothing is kept any more");
    }

    /// @dev Ann's row would cost 55 USD, but 22 were all that was kept for it: the rest is kept for Bob's.
    function test_slashFrozen_leavesWhatIsKeptForOthers() public {
        vm.startPrank(address(frauds));
        uint96 anns = stakes.freeze(1, uint96(2 * USD), true);
        eq(stakes.freeze(1, uint96(10 * USD), true), 78 * USD, "Bob's");
        (uint96 a, uint96 b, uint96 c) = stakes.slashFrozen(1, anns, uint96(5 * USD), _victim, _challenger);
        vm.stopPrank();
        eq(a, 5 * USD, "victim");
        eq(uint256(a) + b + c, 22 * USD, "no more than Ann's");
        eq(stakes.frozenOf(1), 78 * USD, "Bob's is kept");
    }

    /// @dev What is kept may be more than it costs by then: the rest stays kept.
    function test_slashFrozen_keepsWhatItDoesNotTake() public {
        vm.startPrank(address(frauds));
        uint96 kept = stakes.freeze(1, uint96(5 * USD), true);
        stakes.slashFrozen(1, kept, uint96(2 * USD), _victim, _challenger);
        vm.stopPrank();
        eq(stakes.frozenOf(1), 33 * USD, "55 less 22");
    }

    // ---- What others may need ----

    /// @dev 40 USD of metered volume are not final: a signed row of the relay's own friend cannot empty the bond.
    function test_slash_ofASignedRowLeavesWhatCoversMeteredVolume() public {
        meter(40 * USD);
        vm.prank(address(frauds));
        (uint96 a, , ) = stakes.slash(ROLE_RELAY, 1, uint96(500 * USD), _victim, _challenger, false);
        eq(a, 60 * USD, "what nobody else may need");
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 40 * USD, "the rest covers the volume");
    }

    /// @dev The first of two victims is refunded without a fine that the second would miss.
    function test_slash_finesOnlyWhatOtherVictimsCannotNeed() public {
        meter(60 * USD);
        slash(20 * USD);
        eq(free(user(1)), 1 * USD + 20 * USD, "first victim");
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 40 * USD, "what is left covers the rest");
        vm.prank(address(frauds));
        (uint96 a, , ) = stakes.slash(ROLE_RELAY, 1, uint96(40 * USD), _challenger, _victim, true);
        eq(a, 40 * USD, "second victim");
    }

    function meter(uint256 volume) private {
        fund(user(3), 100 * TOKEN_USD);
        uint32 userId = open(user(3), 1, 100 * USD);
        post(1, one(userId, volume, volume), none());
    }

    function test_freeze_ofMoreThanIsActiveBacksNothing() public {
        vm.prank(address(frauds));
        eq(stakes.freeze(1, uint96(10 * USD), true), 100 * USD, "all");
        slash(2 * USD);
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 100 * USD, "what is kept for one is not taken for another");
        eq(stakes.backingOf(1), 0, "backing");
        vm.prank(address(frauds));
        eq(stakes.freeze(1, 1, true), 0, "nothing to keep");
    }

    function test_slashAndFreeze_areTheFraudProofsAlone() public {
        bytes memory refused = abi.encodeWithSelector(IStakeManager.NotFraudProofs.selector, _relay);
        vm.startPrank(_relay);
        vm.expectRevert(refused);
        stakes.slash(ROLE_RELAY, 1, 1, 1, 1, true);
        vm.expectRevert(refused);
        stakes.slashFrozen(1, 1, 1, 1, 1);
        vm.expectRevert(refused);
        stakes.freeze(1, 1, true);
        vm.expectRevert(refused);
        stakes.unfreeze(1, 1);
        vm.stopPrank();
    }

    // ---- When an id had the minimum stake ----

    function test_wasStaked_remembersEveryCrossing() public {
        addProvider(2);
        yes(!stakes.wasStaked(ROLE_PROVIDER, 2, 0, NEVER), "never");
        skip(10);
        addBond(providerOwner(2), ROLE_PROVIDER, 2, MIN_STAKE);
        skip(10);
        vm.startPrank(providerOwner(2));
        stakes.requestUnbond(ROLE_PROVIDER, 2, 1);
        skip(10);
        stakes.cancelUnbond(ROLE_PROVIDER, 2, 0);
        vm.stopPrank();
        yes(!staked(0, 9), "before");
        yes(staked(0, 10), "from the first second");
        yes(staked(15, 15), "between");
        yes(staked(19, 25), "until it fell below");
        yes(!staked(20, 29), "below");
        yes(staked(20, 30), "again");
        yes(staked(1_000, 2_000), "since");
    }

    function test_wasStaked_noticesASlash() public {
        skip(5);
        vm.prank(address(frauds));
        stakes.slash(ROLE_PROVIDER, 1, uint96(USD), 0, _challenger, false);
        yes(stakes.wasStaked(ROLE_PROVIDER, 1, START, START), "before");
        yes(!stakes.wasStaked(ROLE_PROVIDER, 1, START + 5, START + 5), "after");
    }

    /// @dev Against the history kept second by second.
    function testFuzz_wasStaked_matchesTheHistory(uint8[12] calldata moves, uint8 from, uint8 length) public {
        addProvider(2);
        bool[400] memory history;
        uint256 time = 0;
        for (uint256 i = 0; i < moves.length; ++i) {
            move(moves[i] % 3);
            bool isStaked = stakes.bondOf(ROLE_PROVIDER, 2).active >= MIN_STAKE;
            uint256 wait = 1 + (moves[i] % 20);
            for (uint256 n = 0; n < wait; ++n) history[time + n] = isStaked;
            time += wait;
            skip(wait);
        }
        bool any = false;
        for (uint256 n = from; n <= uint256(from) + length && n < time; ++n) any = any || history[n];
        if (uint256(from) + length < time) yes(staked(from, uint256(from) + length) == any, "history");
    }

    function move(uint256 what) private {
        if (what == 0) return addBond(providerOwner(2), ROLE_PROVIDER, 2, MIN_STAKE);
        uint96 active = stakes.bondOf(ROLE_PROVIDER, 2).active;
        vm.prank(providerOwner(2));
        if (what == 1 && active != 0) try stakes.requestUnbond(ROLE_PROVIDER, 2, active) {} catch {}
        if (what == 2) try stakes.cancelUnbond(ROLE_PROVIDER, 2, 0) {} catch {}
    }

    function staked(uint256 from, uint256 to) private view returns (bool) {
        return stakes.wasStaked(ROLE_PROVIDER, 2, uint40(START + from), uint40(START + to));
    }

    function slash(uint256 loss) private {
        vm.prank(address(frauds));
        stakes.slash(ROLE_RELAY, 1, uint96(loss), _victim, _challenger, true);
    }
}
