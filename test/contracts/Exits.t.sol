// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ProviderVoucher} from "../../contracts/libraries/Messages.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

/// @notice Everyone leaves alone: nobody else sends anything any more, but for a guardian that pauses whenever it may.
/// Times are those of the local windows; a pause adds at most its own length, and the next comes after a cool-down.
/// `waitFor` holds every wait to that.
contract ExitsTest is Network {
    uint256 private constant THAW = 70;

    uint32 private _plain;
    uint32 private _signing;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addProvider(1);
        addBond(providerOwner(1), ROLE_PROVIDER, 1, 20 * USD);
        fund(relayOwner(1), 30 * TOKEN_USD);
        fund(user(1), 50 * TOKEN_USD);
        fund(user(2), 50 * TOKEN_USD);
        _plain = open(user(1), 1, 40 * USD);
        _signing = openSigned(user(2), 1, 40 * USD);
        vm.startPrank(relayOwner(1));
        reserves.fundReserve(1, 1, uint96(5 * USD));
        settlement.fundRelay(1, uint96(3 * USD));
        vm.stopPrank();
        Debit[] memory debits = new Debit[](2);
        (debits[0], debits[1]) = (metered(_plain, 10 * USD, 10 * USD), signedRow(_signing, 0, 10 * USD, 0));
        post(1, debits, owed(1, 15 * USD));
    }

    /// @dev The relay is gone, the guardian hostile: a user has everything that it did not spend after thaw and pause.
    function test_user_leavesAMeteredChannelAlone() public {
        leaveChannel(1, 40 * USD);
    }

    function test_user_leavesASignedChannelAlone() public {
        leaveChannel(2, 40 * USD);
    }

    /// @dev Without asking for anything: when the channel's time is over, the rest is there.
    function test_user_waitsForTheEndOfTheChannel() public {
        waitFor(clock.clock() + 1 hours + 61);
        uint256 before = token.balanceOf(user(1));
        vm.startPrank(user(1));
        settlement.withdrawChannel(1);
        vault.withdraw(uint96(40 * USD), user(1));
        vm.stopPrank();
        eq(token.balanceOf(user(1)) - before, 40 * TOKEN_USD, "all but what was spent");
    }

    /// @dev A relay that posts while the user leaves can collect what the user signed, and no more.
    function test_user_losesOnlyWhatItSignedWhileItLeaves() public {
        vm.prank(user(2));
        settlement.thawChannel(1, type(uint96).max);
        post(1, rowsOf(signedRow(_signing, 10 * USD, 2 * USD, 0)), none());
        skip(THAW);
        vm.prank(user(2));
        eq(settlement.withdrawChannel(1), 28 * USD, "30 less the 2 that were signed for");
    }

    /// @dev No relay, no user: the provider has its voucher, its claimable credits and, after unbonding, its stake.
    function test_provider_leavesAlone() public {
        ProviderVoucher memory voucher = ProviderVoucher(1, 1, uint80(19 * USD));
        bytes memory signature = providerVoucherBy(relaySignerKey(1), voucher);
        hostilePause();
        vm.startPrank(providerOwner(1));
        // at once, even during the pause
        eq(reserves.redeemProviderVoucher(voucher, signature, providerOwner(1)), 4 * USD, "voucher");
        uint32[] memory relays = new uint32[](1);
        relays[0] = 1;
        eq(settlement.claimProvider(1, relays, providerOwner(1)), 15 * USD, "rows");
        registry.deactivate(ROLE_PROVIDER, 1);
        stakes.requestUnbond(ROLE_PROVIDER, 1, uint96(20 * USD));
        vm.stopPrank();
        waitFor(clock.clock() + 90);
        vm.startPrank(providerOwner(1));
        stakes.withdrawUnbonded(ROLE_PROVIDER, 1, 0);
        vault.withdraw(uint96(20 * USD), providerOwner(1));
        vm.stopPrank();
        eq(token.balanceOf(providerOwner(1)), 39 * TOKEN_USD, "all that was its own");
    }

    /// @dev No user, no provider: the relay has its earnings, float, reserve and bond.
    function test_relay_leavesAlone() public {
        address owner = relayOwner(1);
        uint256 residual = 5 * USD - (20 * USD) / 100;
        vm.startPrank(owner);
        reserves.thawReserve(1, 1, type(uint96).max);
        settlement.withdrawFloat(1, uint96(3 * USD));
        registry.deactivate(ROLE_RELAY, 1);
        vm.stopPrank();
        // until the volume is final, so that nothing keeps the bond any more
        waitFor(clock.clock() + 10);
        vm.prank(owner);
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(100 * USD));
        waitFor(clock.clock() + THAW);
        vm.prank(owner);
        eq(reserves.withdrawReserve(1, 1), 5 * USD, "reserve");
        waitFor(clock.clock() + 60);
        vm.startPrank(owner);
        eq(settlement.claimRelay(1, owner), residual, "earnings");
        stakes.withdrawUnbonded(ROLE_RELAY, 1, 0);
        vault.withdraw(uint96(130 * USD), owner);
        vm.stopPrank();
        eq(token.balanceOf(owner), 130 * TOKEN_USD + residual / SCALE, "all that was its own");
    }

    /// @dev When all have left, the vault holds the protocol's fee and nobody's dust above a token unit.
    function test_everyoneLeaves_andNothingIsLeftBehind() public {
        test_relay_leavesAlone();
        skip(1 hours);
        vm.startPrank(providerOwner(1));
        stakes.requestUnbond(ROLE_PROVIDER, 1, uint96(20 * USD));
        skip(90);
        stakes.withdrawUnbonded(ROLE_PROVIDER, 1, 0);
        vault.withdraw(uint96(20 * USD), providerOwner(1));
        uint32[] memory relays = new uint32[](1);
        relays[0] = 1;
        settlement.claimProvider(1, relays, providerOwner(1));
        vm.stopPrank();
        for (uint256 n = 1; n <= 2; ++n) {
            vm.startPrank(user(n));
            settlement.withdrawChannel(1);
            vault.withdraw(uint96(40 * USD), user(n));
            vm.stopPrank();
        }
        eq(token.balanceOf(address(vault)) * SCALE, (20 * USD) / 100, "the protocol's fee");
        settlement.claimProtocolFees();
        eq(token.balanceOf(address(vault)), 0, "nothing");
    }

    /// @dev An exit costs the same however many others there are.
    function test_exits_costTheSameInACrowd() public {
        uint256 alone = gasOfThaw(1);
        for (uint256 n = 3; n <= 40; ++n) {
            fund(user(n), 5 * TOKEN_USD);
            open(user(n), 1, 5 * USD);
        }
        yes(gasOfThaw(2) <= alone + 2_000, "gas");
    }

    function gasOfThaw(uint256 n) private returns (uint256 used) {
        vm.cool(address(settlement));
        vm.cool(address(vault));
        vm.prank(user(n));
        used = gasleft();
        settlement.thawChannel(1, 1);
        used -= gasleft();
    }

    function leaveChannel(uint256 n, uint256 expected) private {
        vm.prank(user(n));
        settlement.thawChannel(1, type(uint96).max);
        waitFor(clock.clock() + THAW);
        vm.startPrank(user(n));
        settlement.withdrawChannel(1);
        vault.withdraw(uint96(expected), user(n));
        vm.stopPrank();
        eq(token.balanceOf(user(n)), expected / SCALE, "tokens");
    }

    function hostilePause() private {
        vm.prank(GUARDIAN);
        clock.pause();
    }
}
