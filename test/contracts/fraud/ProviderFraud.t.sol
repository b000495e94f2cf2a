// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_PROVIDER_PRICE, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {ReceiptGroup} from "../../../contracts/libraries/Messages.sol";
import {ROLE_PROVIDER} from "../../../contracts/types/Roles.sol";
import {Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Stories of providers that sign what they are not entitled to. Nobody has lost anything yet: the relay shows
/// the receipt instead of billing it, and the stake pays.
contract ProviderFraudTest is Story {
    /// @dev Twice the price: 1 USD too much costs the provider 11 USD.
    function test_overprice_costsTheProviderItsStake() public {
        Served memory served = signedFor(2 * COST);
        Purses memory before = pursesOf(ann);
        prove(served);
        paidByProvider(before, 2.2e12, 8.8e12);
        eq(stakes.bondOf(ROLE_PROVIDER, 1).active, 89e12, "what is left of 100 USD");
        bytes32 key = keccak256(abi.encode(digestOf(served.receipt), FRAUD_PROVIDER_PRICE));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.AlreadyProven.selector, key));
        prove(served);
    }

    /// @dev One pico-dollar costs 1 % of the stake.
    function test_overpriceByOnePicoDollar_costsOnePercent() public {
        Purses memory before = pursesOf(ann);
        prove(signedFor(COST + 1));
        paidByProvider(before, 0.2e12, 0.8e12 + 1);
    }

    function test_honestReceipt_costsNothing() public {
        Served memory served = signedFor(COST);
        refuses(IFraudProofs.NoFraud.selector);
        prove(served);
        served = signedFor(COST / 2);
        refuses(IFraudProofs.NoFraud.selector);
        prove(served);
    }

    /// @dev A version that begins in a second; then the one before it, ten minutes after it was replaced. The whole
    /// cost is too much.
    function test_versionNotInForce_costsTheProviderItsStake() public {
        vm.prank(providerOwner(1));
        registry.setPrice(1, MODEL, P0 + 1, P1, P2, TEXT);
        skip(9);
        Purses memory before = pursesOf(ann);
        prove(versionOf(2));
        paidByProvider(before, 2.2e12, 8.8e12);
        skip(1);
        isClean(versionOf(2));
        skip(599);
        isClean(versionOf(1));
        skip(1);
        before = pursesOf(ann);
        prove(versionOf(1));
        paidByProvider(before, 2.2e12, 8.8e12);
    }

    /// @dev What is on its way out answers too, and a stake smaller than the penalty goes as a whole.
    function test_stakeOnItsWayOut_answersToo() public {
        vm.prank(providerOwner(1));
        stakes.requestUnbond(ROLE_PROVIDER, 1, 95e12);
        Purses memory before = pursesOf(ann);
        prove(signedFor(20 * COST));
        paidByProvider(before, 20e12, 80e12);
        eq(stakes.unbondOf(ROLE_PROVIDER, 1, 0).amount, 0, "nothing is left");
        before = pursesOf(ann);
        prove(signedFor(2 * COST));
        paidByProvider(before, 0, 0);
    }

    // ---- Nobody can sign for a provider ----

    function test_receiptOfSomebodyElse_provesNothing() public {
        Served memory served = signedFor(2 * COST);
        Served[] memory list = single(served);
        signGroupAs(relaySignerKey(1), groupFor(list), list);
        isNotSigned(served);
    }

    function test_receiptOutsideItsGroup_provesNothing() public {
        Served memory served = signedFor(COST);
        served.receipt.cost = 2 * COST;
        isNotSigned(served);
    }

    /// @dev The same signature over another's group or at a time at which it does not count.
    function test_groupThatDoesNotFit_provesNothing() public {
        Served memory served = signedFor(2 * COST);
        Served[] memory list = single(served);
        ReceiptGroup memory group = groupFor(list);
        group.relayId = 2;
        signGroupAs(providerSignerKey(1), group, list);
        isNotSigned(served);
        (group.relayId, group.providerId) = (1, 2);
        signGroupAs(providerSignerKey(1), group, list);
        isNotSigned(served);
        group.providerId = 1;
        group.closedAt = served.receipt.issuedAt - 1;
        signGroupAs(providerSignerKey(1), group, list);
        isNotSigned(served);
        group.closedAt = served.receipt.issuedAt + 3_601;
        signGroupAs(providerSignerKey(1), group, list);
        isNotSigned(served);
        group.closedAt -= 1;
        signGroupAs(providerSignerKey(1), group, list);
        prove(served);
    }

    /// @dev A receipt can be shown as long as its signer is surely known: the signer thaw.
    function test_oldReceipt_provesNothing() public {
        Served memory served = signedFor(2 * COST);
        uint40 issuedAt = served.receipt.issuedAt;
        skip(81);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.ReceiptTooOld.selector, issuedAt, issuedAt + 80)
        );
        prove(served);
        vm.warp(issuedAt + 80);
        prove(served);
    }

    /// @dev Whoever signs with an old key in the last second of its thaw cannot make the key forgotten at once.
    function test_keysChangedTwice_doNotFreeTheProvider() public {
        rotate(11);
        skip(79);
        Served memory served = signedFor(2 * COST);
        skip(1);
        bytes memory proof = proofBy(providerSignerKey(12), providerOwner(1), ROLE_PROVIDER, NEVER);
        vm.prank(providerOwner(1));
        try registry.rotateSigner(ROLE_PROVIDER, 1, vm.addr(providerSignerKey(12)), NEVER, proof) {} catch {}
        Purses memory before = pursesOf(ann);
        prove(served);
        paidByProvider(before, 2.2e12, 8.8e12);
    }

    function rotate(uint256 n) private {
        bytes memory proof = proofBy(providerSignerKey(n), providerOwner(1), ROLE_PROVIDER, NEVER);
        vm.prank(providerOwner(1));
        registry.rotateSigner(ROLE_PROVIDER, 1, vm.addr(providerSignerKey(n)), NEVER, proof);
    }

    function signedFor(uint64 cost) private returns (Served memory served) {
        served = serve(ann, UNITS);
        served.receipt.cost = cost;
        signAlone(served);
    }

    function versionOf(uint32 version) private returns (Served memory served) {
        served = serve(ann, UNITS);
        served.receipt.priceVersion = version;
        signAlone(served);
    }

    function prove(Served memory served) private {
        vm.prank(watcher());
        frauds.proveProviderFraud(served.receipt, served.evidence);
    }

    function isClean(Served memory served) private {
        refuses(IFraudProofs.NoFraud.selector);
        prove(served);
    }

    function isNotSigned(Served memory served) private {
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NotByProvider.selector, 1));
        prove(served);
    }
}
