// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {Messages, Withdraw} from "../../contracts/libraries/Messages.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
import {Network} from "./support/Network.sol";
import {AnswersYes, FeeOnTransferDollar, OddDecimals} from "./support/Doubles.sol";

contract CreditVaultTest is Network {
    address private immutable ALICE = user(1);

    function test_deposit_assignsDenseIdsOnFirstDeposit() public {
        eq(fund(ALICE, 5), 1, "first");
        eq(fund(user(2), 5), 2, "second");
        eq(fund(ALICE, 7), 1, "again");
        eq(vault.userCount(), 2, "count");
        eq(vault.ownerOf(1), ALICE, "owner");
        eq(vault.userIdOf(ALICE), 1, "id");
        eq(free(ALICE), 12 * SCALE, "free");
    }

    function test_deposit_emits() public {
        token.mint(address(this), 3);
        token.approve(address(vault), 3);
        vm.expectEmit(true, true, true, true, address(vault));
        emit ICreditVault.UserAdded(1, ALICE);
        vm.expectEmit(true, true, true, true, address(vault));
        emit ICreditVault.Deposited(1, address(this), 3, uint96(3 * SCALE));
        vault.deposit(ALICE, 3);
    }

    function test_deposit_revertsForNobodyItselfOrNothing() public {
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BadRecipient.selector, address(0)));
        vault.deposit(address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BadRecipient.selector, address(vault)));
        vault.deposit(address(vault), 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.ZeroAmount.selector));
        vault.deposit(ALICE, 0);
    }

    function test_deposit_revertsAboveWhatCreditsHold() public {
        uint256 tokens = uint256(type(uint96).max) / SCALE + 1;
        vm.expectRevert(
            abi.encodeWithSignature("SafeCastOverflowedUintDowncast(uint8,uint256)", uint8(96), tokens * SCALE)
        );
        vault.deposit(ALICE, tokens);
    }

    function test_deposit_revertsWhenLessArrives() public {
        FeeOnTransferDollar taxed = new FeeOnTransferDollar();
        ICreditVault other = ICreditVault(create("CreditVault", abi.encode(clock, manager, taxed, new address[](0))));
        taxed.mint(address(this), 100);
        taxed.approve(address(other), 100);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.TransferMismatch.selector, 99, 100));
        other.deposit(ALICE, 100);
    }

    function test_constructor_refusesTokensFinerThanPusd() public {
        OddDecimals fine = new OddDecimals(18);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.UnsupportedDecimals.selector, 18));
        this.vaultFor(address(fine));
        ICreditVault exact = this.vaultFor(address(new OddDecimals(12)));
        eq(exact.SCALE(), 1, "scale");
    }

    function test_donation_creditsNobody() public {
        fund(ALICE, 5);
        token.mint(address(vault), 1_000);
        eq(free(ALICE), 5 * SCALE, "free");
        eq(fund(ALICE, 1), 1, "later deposits count alone");
        eq(free(ALICE), 6 * SCALE, "free after");
    }

    function test_depositWithPermit_usesThePermitAndSurvivesItsFrontRunning() public {
        token.mint(ALICE, 20);
        (uint8 v, bytes32 r, bytes32 s) = permitBy(userKey(1), 10);
        vm.prank(ALICE);
        eq(vault.depositWithPermit(user(2), 10, NEVER, v, r, s), 1, "id of the credited");
        eq(free(user(2)), 10 * SCALE, "credited");
        (v, r, s) = permitBy(userKey(1), 10);
        token.permit(ALICE, address(vault), 10, NEVER, v, r, s);
        vm.prank(ALICE);
        vault.depositWithPermit(ALICE, 10, NEVER, v, r, s);
        eq(free(ALICE), 10 * SCALE, "after a front-run");
    }

    function test_depositWithPermit_revertsWithoutAllowance() public {
        token.mint(ALICE, 10);
        vm.expectRevert(
            abi.encodeWithSignature("ERC20InsufficientAllowance(address,uint256,uint256)", address(vault), 0, 10)
        );
        vm.prank(ALICE);
        vault.depositWithPermit(ALICE, 10, NEVER, 27, bytes32(uint256(1)), bytes32(uint256(2)));
    }

    function test_withdraw_paysWholeTokensAndKeepsTheRest() public {
        fund(ALICE, 10);
        vm.prank(ALICE);
        eq(vault.withdraw(uint96(2 * SCALE + 7), user(2)), 2, "tokens");
        eq(free(ALICE), 8 * SCALE, "only what was paid is debited");
        eq(token.balanceOf(user(2)), 2, "paid");
    }

    function test_withdraw_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.UnknownUser.selector, ALICE));
        vm.prank(ALICE);
        vault.withdraw(1, ALICE);
        fund(ALICE, 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BelowOneToken.selector, SCALE - 1, SCALE));
        vm.prank(ALICE);
        vault.withdraw(uint96(SCALE - 1), ALICE);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.InsufficientCredits.selector, 1, SCALE, 2 * SCALE));
        vm.prank(ALICE);
        vault.withdraw(uint96(2 * SCALE), ALICE);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BadRecipient.selector, address(0)));
        vm.prank(ALICE);
        vault.withdraw(uint96(SCALE), address(0));
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.BadRecipient.selector, address(vault)));
        vm.prank(ALICE);
        vault.withdraw(uint96(SCALE), address(vault));
    }

    function test_withdrawBySig_paysOnce() public {
        fund(ALICE, 10);
        Withdraw memory message = Withdraw(1, user(2), uint96(3 * SCALE), 0, START);
        bytes memory signature = withdrawalBy(userKey(1), message);
        vault.withdrawBySig(message, signature);
        eq(token.balanceOf(user(2)), 3, "paid");
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.WrongNonce.selector, 1, 0, 1));
        vault.withdrawBySig(message, signature);
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.DeadlinePassed.selector, message.deadline, START + 1)
        );
        vault.withdrawBySig(message, signature);
    }

    function test_withdrawBySig_refusesEveryChange() public {
        fund(ALICE, 10);
        fund(user(2), 10);
        Withdraw memory message = Withdraw(1, user(2), uint96(3 * SCALE), 0, NEVER);
        bytes memory signature = withdrawalBy(userKey(1), message);
        Withdraw[4] memory changed = [
            Withdraw(2, user(2), uint96(3 * SCALE), 0, NEVER),
            Withdraw(1, user(3), uint96(3 * SCALE), 0, NEVER),
            Withdraw(1, user(2), uint96(4 * SCALE), 0, NEVER),
            Withdraw(1, user(2), uint96(3 * SCALE), 0, NEVER - 1)
        ];
        for (uint256 i = 0; i < changed.length; ++i) {
            address expected = changed[i].userId == 1 ? ALICE : user(2);
            vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, expected));
            vault.withdrawBySig(changed[i], signature);
        }
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.UnknownUserId.selector, 3));
        vault.withdrawBySig(Withdraw(3, ALICE, 1, 0, NEVER), signature);
        // the mirrored signature of the same digest
        bytes memory mirrored = mirror(signature);
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, ALICE));
        vault.withdrawBySig(message, mirrored);
        vault.withdrawBySig(message, signature);
    }

    function test_withdrawBySig_refusesASignatureOfAnotherDomain() public {
        fund(ALICE, 10);
        Withdraw memory message = Withdraw(1, user(2), uint96(3 * SCALE), 0, NEVER);
        bytes memory foreign = sign(userKey(1), address(settlement), Messages.hash(message));
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, ALICE));
        vault.withdrawBySig(message, foreign);
        eq(free(ALICE), 10 * SCALE, "nothing was taken");
    }

    function test_withdrawBySig_takesAWalletsWordAndADelegatedAccountsOwnKey() public {
        address wallet = address(new AnswersYes());
        fund(wallet, 1);
        vault.withdrawBySig(Withdraw(1, user(2), uint96(SCALE), 0, NEVER), "yes");
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, wallet));
        vault.withdrawBySig(Withdraw(1, user(2), uint96(SCALE), 1, NEVER), "no");
        fund(ALICE, 2);
        Withdraw memory message = Withdraw(2, user(2), uint96(SCALE), 0, NEVER);
        bytes memory signature = withdrawalBy(userKey(1), message);
        // to a contract that has no word for any signature
        delegate(ALICE, address(clock));
        vault.withdrawBySig(message, signature);
        // and to one that has: her account speaks as that contract does
        message.nonce = 1;
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, ALICE));
        vault.withdrawBySig(message, "yes");
        delegate(ALICE, wallet);
        vault.withdrawBySig(message, "yes");
    }

    function test_modules_onlyTheyCanMoveCredits() public {
        fund(ALICE, 5);
        bytes memory refused = abi.encodeWithSelector(ICreditVault.NotModule.selector, ALICE);
        vm.startPrank(ALICE);
        vm.expectRevert(refused);
        vault.lock(1, 1);
        vm.expectRevert(refused);
        vault.release(1, 1);
        vm.expectRevert(refused);
        vault.useNonce(1, 0);
        vm.expectRevert(refused);
        vault.payOut(ALICE, 1);
        vm.stopPrank();
    }

    function test_modules_neverPayMoreThanWasLockedInThem() public {
        fund(ALICE, 5);
        vm.startPrank(address(settlement));
        vault.lock(1, uint96(3 * SCALE));
        vm.stopPrank();
        vm.startPrank(address(stakes));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.InsufficientModuleBalance.selector, address(stakes), 0, SCALE)
        );
        vault.payOut(ALICE, uint96(SCALE));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.InsufficientModuleBalance.selector, address(stakes), 0, 1)
        );
        vault.release(1, 1);
        vm.stopPrank();
        vm.startPrank(address(settlement));
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.UnknownUserId.selector, 2));
        vault.release(2, 1);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.ZeroAmount.selector));
        vault.release(1, 0);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.ZeroAmount.selector));
        vault.lock(1, 0);
        eq(vault.payOut(user(2), uint96(2 * SCALE + 1)), 2 * SCALE, "whole tokens only");
        vault.release(1, uint96(SCALE));
        vm.stopPrank();
        eq(vault.moduleOf(address(settlement)).balance, 0, "all gone");
        eq(free(ALICE), 3 * SCALE, "released");
    }

    function testFuzz_deposit_andWithdrawReturnTheSameTokens(uint64 tokens, uint96 first) public {
        vm.assume(tokens != 0);
        fund(ALICE, tokens);
        uint256 total = uint256(tokens) * SCALE;
        uint96 part = uint96(bound(first, 0, total));
        vm.startPrank(ALICE);
        if (part >= SCALE) vault.withdraw(part, ALICE);
        uint96 rest = uint96(free(ALICE));
        if (rest >= SCALE) vault.withdraw(rest, ALICE);
        vm.stopPrank();
        eq(token.balanceOf(ALICE), tokens, "tokens");
        eq(free(ALICE), 0, "free");
    }

    function vaultFor(address asset) external returns (ICreditVault) {
        return ICreditVault(create("CreditVault", abi.encode(clock, manager, asset, new address[](0))));
    }

    function permitBy(uint256 key, uint256 tokens) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                vm.addr(key),
                address(vault),
                tokens,
                token.nonces(vm.addr(key)),
                uint256(NEVER)
            )
        );
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }
}
