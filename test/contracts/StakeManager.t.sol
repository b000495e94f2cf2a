// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId, UnknownRole} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

contract StakeManagerTest is Network {
    address private immutable OWNER = relayOwner(1);

    function test_bond_locksCreditsOfTheOwner() public {
        addRelay(1, 0);
        addProvider(1);
        fund(OWNER, 30 * TOKEN_USD);
        vm.expectEmit(true, true, true, true, address(stakes));
        emit IStakeManager.Bonded(ROLE_RELAY, 1, MIN_STAKE, MIN_STAKE);
        vm.prank(OWNER);
        stakes.bond(ROLE_RELAY, 1, MIN_STAKE);
        eq(stakes.bondOf(ROLE_RELAY, 1).active, MIN_STAKE, "active");
        eq(stakes.bondOf(ROLE_PROVIDER, 1).active, 0, "the provider of the same id has its own");
        eq(free(OWNER), 20 * USD, "free");
        eq(vault.moduleOf(address(stakes)).balance, MIN_STAKE, "module");
    }

    function test_bond_reverts() public {
        addRelay(1, 0);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.OwnerWithoutCredits.selector, OWNER));
        stakes.bond(ROLE_RELAY, 1, 1);
        vm.stopPrank();
        fund(OWNER, 1);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.ZeroStake.selector));
        stakes.bond(ROLE_RELAY, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.InsufficientCredits.selector, 1, SCALE, SCALE + 1));
        stakes.bond(ROLE_RELAY, 1, uint96(SCALE + 1));
        vm.expectRevert(abi.encodeWithSelector(UnknownRole.selector, 0));
        stakes.bond(0, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 1));
        stakes.bond(ROLE_PROVIDER, 1, 1);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, ROLE_RELAY, 1, address(this)));
        stakes.bond(ROLE_RELAY, 1, 1);
    }

    function test_isActive_needsStakeAndRegistration() public {
        addRelay(1, MIN_STAKE - 1);
        yes(!stakes.isActive(ROLE_RELAY, 1), "too little");
        addBond(OWNER, ROLE_RELAY, 1, 1);
        yes(stakes.isActive(ROLE_RELAY, 1), "enough");
        yes(!stakes.isActive(ROLE_PROVIDER, 1), "no provider");
        yes(!stakes.isActive(7, 1), "no role");
        vm.prank(OWNER);
        registry.deactivate(ROLE_RELAY, 1);
        yes(!stakes.isActive(ROLE_RELAY, 1), "left");
    }

    function test_requestUnbond_waitsAndPaysTheOwner() public {
        addRelay(1, 2 * uint256(MIN_STAKE));
        vm.expectEmit(true, true, true, true, address(stakes));
        emit IStakeManager.UnbondRequested(ROLE_RELAY, 1, 0, MIN_STAKE, START + 100);
        vm.prank(OWNER);
        eq(stakes.requestUnbond(ROLE_RELAY, 1, MIN_STAKE), 0, "slot");
        eq(stakes.bondOf(ROLE_RELAY, 1).active, MIN_STAKE, "active");
        eq(stakes.bondOf(ROLE_RELAY, 1).unbonding, MIN_STAKE, "unbonding");
        skip(99);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.StillBonded.selector, START + 100, START + 99));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        skip(1);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.NoUnbond.selector, ROLE_RELAY, 1, 0));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.stopPrank();
        eq(free(OWNER), MIN_STAKE, "free");
        eq(stakes.bondOf(ROLE_RELAY, 1).unbonding, 0, "nothing left");
    }

    function test_requestUnbond_ofAProviderWaitsItsOwnTime() public {
        addProvider(1);
        addBond(providerOwner(1), ROLE_PROVIDER, 1, MIN_STAKE);
        vm.prank(providerOwner(1));
        stakes.requestUnbond(ROLE_PROVIDER, 1, 5);
        eq(stakes.unbondOf(ROLE_PROVIDER, 1, 0).releaseAt, START + 90, "release");
    }

    function test_requestUnbond_hasEightPlaces() public {
        addRelay(1, MIN_STAKE);
        vm.startPrank(OWNER);
        for (uint256 i = 0; i < 8; ++i) eq(stakes.requestUnbond(ROLE_RELAY, 1, 1), i, "slot");
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.TooManyUnbonds.selector, ROLE_RELAY, 1));
        stakes.requestUnbond(ROLE_RELAY, 1, 1);
        vm.expectEmit(true, true, true, true, address(stakes));
        emit IStakeManager.UnbondCancelled(ROLE_RELAY, 1, 3, 1);
        stakes.cancelUnbond(ROLE_RELAY, 1, 3);
        eq(stakes.requestUnbond(ROLE_RELAY, 1, 2), 3, "the free place");
        vm.stopPrank();
        eq(stakes.bondOf(ROLE_RELAY, 1).active, MIN_STAKE - 9, "active");
        eq(stakes.bondOf(ROLE_RELAY, 1).unbonding, 9, "unbonding");
    }

    function test_requestUnbond_reverts() public {
        addRelay(1, MIN_STAKE);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.ZeroStake.selector));
        stakes.requestUnbond(ROLE_RELAY, 1, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeManager.InsufficientBond.selector, ROLE_RELAY, 1, MIN_STAKE, MIN_STAKE + 1)
        );
        stakes.requestUnbond(ROLE_RELAY, 1, MIN_STAKE + 1);
        vm.stopPrank();
        bytes memory refused = abi.encodeWithSelector(NotOwner.selector, ROLE_RELAY, 1, address(this));
        vm.expectRevert(refused);
        stakes.requestUnbond(ROLE_RELAY, 1, 1);
        vm.expectRevert(refused);
        stakes.cancelUnbond(ROLE_RELAY, 1, 0);
        vm.expectRevert(refused);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
    }

    function test_requestUnbond_keepsWhatVolumeNeedsUntilItIsFinal() public {
        addRelay(1, 2 * uint256(MIN_STAKE));
        fund(user(1), 20 * TOKEN_USD);
        uint32 userId = open(user(1), 1, 10 * USD);
        post(1, one(userId, 8 * USD, 8 * USD), none());
        eq(settlement.requiredBond(1), 10 * USD, "required");
        vm.startPrank(OWNER);
        vm.expectRevert(
            abi.encodeWithSelector(IStakeManager.BondInUse.selector, 1, MIN_STAKE - 1, uint256(MIN_STAKE))
        );
        stakes.requestUnbond(ROLE_RELAY, 1, MIN_STAKE + 1);
        stakes.requestUnbond(ROLE_RELAY, 1, MIN_STAKE);
        skip(10);
        stakes.requestUnbond(ROLE_RELAY, 1, MIN_STAKE);
        vm.stopPrank();
        eq(stakes.bondOf(ROLE_RELAY, 1).active, 0, "all on its way");
    }

    function test_unbond_worksAfterLeaving() public {
        addRelay(1, MIN_STAKE);
        vm.startPrank(OWNER);
        registry.deactivate(ROLE_RELAY, 1);
        stakes.requestUnbond(ROLE_RELAY, 1, MIN_STAKE);
        skip(100);
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vm.stopPrank();
        eq(free(OWNER), MIN_STAKE, "free");
    }

    function test_constructor_refusesAVaultOrSettlementThatDoNotKnowIt() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeManager.WrongWiring.selector, address(vault)));
        this.again();
    }

    function again() external {
        create(
            "StakeManager",
            abi.encode(clock, vault, registry, address(settlement), address(frauds), MIN_STAKE, MIN_STAKE)
        );
    }
}
