// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEarnings} from "../../contracts/interfaces/IEarnings.sol";
import {IReserves} from "../../contracts/interfaces/IReserves.sol";
import {Messages, ProviderVoucher} from "../../contracts/libraries/Messages.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

/// @notice Reserves: funded by relays, spent by vouchers, thawed like channels.
contract ReservesTest is Network {
    address private _relay;
    address private _provider;
    uint32 private _user;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addRelay(2, 0);
        addProvider(1);
        addProvider(2);
        (_relay, _provider) = (relayOwner(1), providerOwner(1));
        fund(_relay, 50 * TOKEN_USD);
        _user = fund(user(1), 50 * TOKEN_USD);
        open(user(1), 1, 50 * USD);
    }

    function test_fundReserve_isForThePairAlone() public {
        vm.expectEmit(true, true, true, true, address(reserves));
        emit IReserves.ReserveFunded(1, 1, _relay, uint96(7 * USD));
        reserve(7 * USD);
        eq(reserves.reserveOf(1, 1).amount, 7 * USD, "reserve");
        eq(reserves.reserveOf(1, 2).amount + reserves.reserveOf(2, 1).amount, 0, "no other");
        eq(vault.moduleOf(address(reserves)).balance, 7 * USD, "locked");
        vm.prank(user(1));
        vm.expectRevert(abi.encodeWithSelector(IReserves.ZeroReserve.selector));
        reserves.fundReserve(1, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IReserves.UnknownPayer.selector, address(this)));
        reserves.fundReserve(1, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_RELAY, 3));
        reserves.fundReserve(3, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 3));
        reserves.fundReserve(1, 3, 1);
    }

    function test_redeem_paysWithoutTheRelay() public {
        reserve(7 * USD);
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(3 * USD + 5);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.PaidByReserve(1, 1, uint80(3 * USD), uint80(3 * USD));
        // anybody may send it, as long as the owner gets it
        eq(reserves.redeemProviderVoucher(voucher, signature, _provider), 3 * USD, "whole tokens");
        eq(token.balanceOf(_provider), 3 * TOKEN_USD, "tokens");
        eq(reserves.reserveOf(1, 1).amount, 4 * USD, "left");
        eq(settlement.providerAccountOf(1, 1).paid, 3 * USD, "counted");
        yes(settlement.providerAccountOf(1, 1).enlisted, "enlisted");
        vm.prank(_provider);
        vm.expectRevert(abi.encodeWithSelector(IReserves.EmptyReserve.selector, 1, 1, 4 * USD));
        reserves.redeemProviderVoucher(voucher, signature, address(0xbeef));
    }

    /// @dev One counter: what the reserve paid, a row does not pay again, and the other way round.
    function test_redeem_andRowsPayEachAmountOnce() public {
        reserve(7 * USD);
        redeem(3 * USD);
        post(1, one(_user, 10 * USD, 10 * USD), owed(1, 5 * USD));
        eq(settlement.providerAccountOf(1, 1).claimable, 2 * USD, "the row pays the rest");
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(5 * USD);
        vm.expectRevert(abi.encodeWithSelector(IReserves.StaleVoucher.selector, 5 * USD, 5 * USD));
        reserves.redeemProviderVoucher(voucher, signature, _provider);
        redeem(6 * USD);
        eq(reserves.reserveOf(1, 1).amount, 3 * USD, "one more");
        post(1, one(_user, 20 * USD, 10 * USD), owed(1, 6 * USD));
        eq(settlement.providerAccountOf(1, 1).claimable, 2 * USD, "nothing twice");
    }

    function test_redeem_paysInPartsAsFarAsTheReserveGoes() public {
        reserve(2 * USD);
        redeem(5 * USD);
        eq(settlement.providerAccountOf(1, 1).paid, 2 * USD, "in part");
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(5 * USD);
        vm.expectRevert(abi.encodeWithSelector(IReserves.EmptyReserve.selector, 1, 1, 0));
        reserves.redeemProviderVoucher(voucher, signature, _provider);
        reserve(10 * USD);
        redeem(5 * USD);
        eq(token.balanceOf(_provider), 5 * TOKEN_USD, "in full");
    }

    function testFuzz_redeem_neverPaysMoreThanWasSignedOrReserved(uint64[8] calldata sums, uint8 posts) public {
        uint256 most = 0;
        uint256 held = 20 * USD;
        reserve(held);
        for (uint256 i = 0; i < sums.length; ++i) {
            uint256 sum = bound(sums[i], 1, 25 * USD);
            if (sum > most) most = sum;
            if ((posts >> i) & 1 == 1) {
                uint256 spent = settlement.channelOf(1, _user).spent;
                post(1, one(_user, spent + 5 * USD, 5 * USD), owed(1, min(sum, 4 * USD)));
                if (spent + 10 * USD > 50 * USD) break;
                continue;
            }
            (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(sum);
            try reserves.redeemProviderVoucher(voucher, signature, _provider) {} catch (bytes memory reason) {
                bool isSpent = bytes4(reason) == IReserves.StaleVoucher.selector;
                yes(isSpent || bytes4(reason) == IReserves.EmptyReserve.selector, "nothing else stops it");
            }
        }
        uint256 paid = settlement.providerAccountOf(1, 1).paid;
        yes(paid <= most, "signed");
        uint256 got = token.balanceOf(_provider) * SCALE;
        eq(got + reserves.reserveOf(1, 1).amount, held, "reserve");
        eq(got + settlement.providerAccountOf(1, 1).claimable, paid, "paid");
    }

    function test_redeem_wantsAValidKeyOfTheRelay() public {
        reserve(7 * USD);
        ProviderVoucher memory voucher = ProviderVoucher(1, 1, uint80(USD));
        bytes memory signature = providerVoucherBy(relaySignerKey(2), voucher);
        vm.expectRevert(
            abi.encodeWithSelector(IReserves.BadVoucherSigner.selector, 1, vm.addr(relaySignerKey(2)))
        );
        reserves.redeemProviderVoucher(voucher, signature, _provider);
        vm.expectRevert(abi.encodeWithSelector(IReserves.BadVoucherSigner.selector, 1, address(0)));
        reserves.redeemProviderVoucher(voucher, "", _provider);
        voucher.providerId = 3;
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 3));
        reserves.redeemProviderVoucher(voucher, signature, _provider);
    }

    function test_redeem_refusesAVoucherOfAnotherDomain() public {
        reserve(7 * USD);
        ProviderVoucher memory voucher = ProviderVoucher(1, 1, uint80(USD));
        bytes32 hash = Messages.hash(voucher);
        // the vault's, and that of the contract itself that is asked
        address[2] memory others = [address(vault), address(reserves)];
        for (uint256 i = 0; i < others.length; ++i) {
            bytes memory signature = sign(relaySignerKey(1), others[i], hash);
            address signer = signerOf(signature, address(settlement), hash);
            vm.expectRevert(abi.encodeWithSelector(IReserves.BadVoucherSigner.selector, 1, signer));
            reserves.redeemProviderVoucher(voucher, signature, _provider);
        }
    }

    /// @dev The second form of a true signature, with s in the upper half.
    function test_redeem_refusesAMirroredSignature() public {
        reserve(7 * USD);
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(USD);
        bytes memory mirrored = mirror(signature);
        vm.expectRevert(abi.encodeWithSelector(IReserves.BadVoucherSigner.selector, 1, address(0)));
        reserves.redeemProviderVoucher(voucher, mirrored, _provider);
        reserves.redeemProviderVoucher(voucher, signature, _provider);
    }

    /// @dev A key that was replaced stays good for vouchers until its thaw is over, also when the relay has left.
    function test_redeem_takesAReplacedKeyUntilItsThawIsOver() public {
        reserve(7 * USD);
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(USD);
        vm.prank(_relay);
        registry.deactivate(ROLE_RELAY, 1);
        skip(79);
        reserves.redeemProviderVoucher(voucher, signature, _provider);
        (voucher, signature) = voucherOver(2 * USD);
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(IReserves.BadVoucherSigner.selector, 1, vm.addr(relaySignerKey(1)))
        );
        reserves.redeemProviderVoucher(voucher, signature, _provider);
    }

    function test_redeem_sendsMoneyElsewhereForTheOwnerOnly() public {
        reserve(7 * USD);
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(USD);
        vm.prank(user(1));
        vm.expectRevert(abi.encodeWithSelector(IReserves.NotPayee.selector, user(1), user(1)));
        reserves.redeemProviderVoucher(voucher, signature, user(1));
        vm.prank(_provider);
        reserves.redeemProviderVoucher(voucher, signature, address(0xbeef));
        eq(token.balanceOf(address(0xbeef)), TOKEN_USD, "tokens");
    }

    function test_thaw_letsTheProviderFirst() public {
        reserve(7 * USD);
        vm.startPrank(_relay);
        vm.expectEmit(true, true, true, true, address(reserves));
        emit IReserves.ReserveThawStarted(1, 1, uint96(7 * USD), START + 70);
        reserves.thawReserve(1, 1, type(uint96).max);
        vm.expectRevert(abi.encodeWithSelector(IReserves.ThawActive.selector, START + 70));
        reserves.thawReserve(1, 1, 1);
        skip(69);
        vm.expectRevert(abi.encodeWithSelector(IReserves.StillThawing.selector, START + 70, START + 69));
        reserves.withdrawReserve(1, 1);
        vm.stopPrank();
        redeem(3 * USD);
        eq(reserves.reserveOf(1, 1).thawing, 4 * USD, "no more thaws than is there");
        skip(1);
        uint256 before = free(_relay);
        vm.prank(_relay);
        eq(reserves.withdrawReserve(1, 1), 4 * USD, "the rest");
        eq(free(_relay) - before, 4 * USD, "free");
        eq(reserves.reserveOf(1, 1).thawEnd, 0, "over");
    }

    function test_thaw_canBeTakenBackAndMayFindNothing() public {
        reserve(2 * USD);
        vm.startPrank(_relay);
        reserves.thawReserve(1, 1, uint96(USD));
        reserves.cancelReserveThaw(1, 1);
        bytes memory none_ = abi.encodeWithSelector(IReserves.NoThaw.selector, 1, 1);
        vm.expectRevert(none_);
        reserves.cancelReserveThaw(1, 1);
        vm.expectRevert(none_);
        reserves.withdrawReserve(1, 1);
        vm.expectRevert(abi.encodeWithSelector(IReserves.ZeroReserve.selector));
        reserves.thawReserve(1, 2, 1);
        reserves.thawReserve(1, 1, uint96(2 * USD));
        vm.stopPrank();
        redeem(2 * USD);
        skip(70);
        vm.prank(_relay);
        eq(reserves.withdrawReserve(1, 1), 0, "all redeemed");
    }

    function test_thaw_isTheOwnersAlone() public {
        reserve(2 * USD);
        bytes memory refused = abi.encodeWithSelector(NotOwner.selector, ROLE_RELAY, 1, _provider);
        vm.startPrank(_provider);
        vm.expectRevert(refused);
        reserves.thawReserve(1, 1, 1);
        vm.expectRevert(refused);
        reserves.cancelReserveThaw(1, 1);
        vm.expectRevert(refused);
        reserves.withdrawReserve(1, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_RELAY, 3));
        reserves.thawReserve(3, 1, 1);
        vm.stopPrank();
    }

    /// @dev An owner without a credits account has nowhere to get it; anyone can give it one by a deposit.
    function test_withdrawReserve_needsAnAccountOfTheOwner() public {
        vm.prank(_relay);
        reserves.fundReserve(2, 1, uint96(USD));
        vm.startPrank(relayOwner(2));
        reserves.thawReserve(2, 1, uint96(USD));
        skip(70);
        vm.expectRevert(abi.encodeWithSelector(IReserves.UnknownPayer.selector, relayOwner(2)));
        reserves.withdrawReserve(2, 1);
        vm.stopPrank();
        fund(relayOwner(2), 1);
        vm.prank(relayOwner(2));
        eq(reserves.withdrawReserve(2, 1), USD, "back");
    }

    function test_creditLimit_isWhatTheProviderSaid() public {
        eq(reserves.creditLimitOf(1), USD / 2, "by default half a dollar");
        vm.expectEmit(true, true, true, true, address(reserves));
        emit IReserves.CreditLimitSet(1, 0);
        vm.prank(_provider);
        reserves.setCreditLimit(1, 0);
        eq(reserves.creditLimitOf(1), 0, "zero is a word too");
        vm.prank(_relay);
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, ROLE_PROVIDER, 1, _relay));
        reserves.setCreditLimit(1, 1);
    }

    function test_notePaid_isTheReservesAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IEarnings.NotReserves.selector, address(this)));
        settlement.notePaid(1, 1, 1);
    }

    function reserve(uint256 amount) private {
        vm.prank(_relay);
        reserves.fundReserve(1, 1, uint96(amount));
    }

    function redeem(uint256 sum) private {
        (ProviderVoucher memory voucher, bytes memory signature) = voucherOver(sum);
        reserves.redeemProviderVoucher(voucher, signature, _provider);
    }

    function voucherOver(uint256 sum) private view returns (ProviderVoucher memory voucher, bytes memory signature) {
        voucher = ProviderVoucher(1, 1, uint80(sum));
        signature = providerVoucherBy(relaySignerKey(1), voucher);
    }
}
