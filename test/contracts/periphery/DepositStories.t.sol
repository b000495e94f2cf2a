// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IDepositRouter} from "../../../contracts/interfaces/IDepositRouter.sol";
import {IProtocolClock} from "../../../contracts/interfaces/IProtocolClock.sol";
import {SpendAuthorization} from "../../../contracts/libraries/Messages.sol";
import {Signatures} from "../../../contracts/libraries/Signatures.sol";
import {Depositing} from "../support/Depositing.sol";

/// @notice A user that has tokens and nothing else signs; somebody else submits.
contract DepositStoriesTest is Depositing {
    address private immutable ALICE = user(1);
    uint256 private constant TOKENS = 20 * TOKEN_USD;

    function setUp() public override {
        super.setUp();
        token.mint(ALICE, TOKENS);
    }

    function test_depositByPermit_startsAUserWithoutGas() public {
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        vm.expectEmit(true, true, true, true, address(vault));
        emit ICreditVault.UserAdded(2, ALICE);
        vm.expectEmit(true, true, true, true, address(vault));
        emit ICreditVault.Deposited(2, address(router), TOKENS, uint96(TOKENS * SCALE));
        eq(router.depositByPermit(permit), 2, "user id");
        credited(ALICE, TOKENS);
        eq(token.allowance(ALICE, address(router)), 0, "nothing is left of the permit");
    }

    function test_depositByAuthorization_startsAUserWithoutGas() public {
        eq(router.depositByAuthorization(paymentBy(1, ALICE, TOKENS, "salt")), 2, "user id");
        credited(ALICE, TOKENS);
        yes(token.authorizationState(ALICE, router.nonceFor(ALICE, "salt")), "used");
    }

    function test_depositByAuthorization_creditsWhomThePayerNamed() public {
        router.depositByAuthorization(paymentBy(1, user(2), TOKENS, "a present"));
        credited(user(2), TOKENS);
        eq(vault.userIdOf(ALICE), 0, "who pays need not be a user");
    }

    function test_depositByPermit2_startsAUserWithoutGas() public {
        approvePermit2(1);
        eq(router.depositByPermit2(transferBy(1, TOKENS, 7)), 2, "user id");
        credited(ALICE, TOKENS);
        eq(permit2.nonceBitmap(ALICE, 0), 1 << 7, "used");
    }

    function test_depositByPermitAndOpen_opensInOneTransaction() public {
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, 5 * USD);
        router.depositByPermitAndOpen(permitBy(1, TOKENS), spending, signature);
        opened(5 * USD, 15 * USD);
    }

    function test_depositByAuthorizationAndOpen_opensInOneTransaction() public {
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, 20 * USD);
        router.depositByAuthorizationAndOpen(paymentBy(1, ALICE, TOKENS, 0), spending, signature);
        opened(20 * USD, 0);
    }

    function test_depositByPermit2AndOpen_opensInOneTransaction() public {
        approvePermit2(1);
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, USD);
        router.depositByPermit2AndOpen(transferBy(1, TOKENS, type(uint256).max), spending, signature);
        opened(USD, 19 * USD);
    }

    function test_andOpen_opensASignedChannelToo() public {
        (SpendAuthorization memory spending, ) = spendingBy(1, 5 * USD);
        (spending.mode, spending.sessionKey) = (1, sessionKey(1));
        router.depositByPermitAndOpen(permitBy(1, TOKENS), spending, authorizationBy(userKey(1), spending));
        opened(5 * USD, 15 * USD);
        eq(settlement.channelOf(1, 2).sessionKey, sessionKey(1), "session key");
    }

    function test_andOpen_extendsAChannelThatRuns() public {
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, 2 * USD);
        router.depositByPermitAndOpen(permitBy(1, TOKENS / 2), spending, signature);
        skip(30 minutes);
        (spending, signature) = spendingBy(1, 3 * USD);
        router.depositByAuthorizationAndOpen(paymentBy(1, ALICE, TOKENS / 4, 0), spending, signature);
        eq(settlement.channelOf(1, 2).expiry, spending.expiry, "later expiry");
        opened(5 * USD, 10 * USD);
        // until the last second of its time, when it can be debited still
        skip(1 hours + localWindows().post);
        (spending, signature) = spendingBy(1, USD);
        approvePermit2(1);
        router.depositByPermit2AndOpen(transferBy(1, TOKENS / 4, 0), spending, signature);
        opened(6 * USD, 14 * USD);
    }

    function test_andOpen_opensAnewWhenTheChannelIsOver() public {
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, USD);
        router.depositByPermitAndOpen(permitBy(1, TOKENS / 2), spending, signature);
        skip(1 hours + localWindows().post + 1);
        (spending, signature) = spendingBy(1, 3 * USD);
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS / 2);
        // what is left of it is the user's to take first
        vm.expectRevert(
            abi.encodeWithSelector(IChannels.ChannelInUse.selector, 1, 2, USD, settlement.channelOf(1, 2).settleBy)
        );
        router.depositByPermitAndOpen(permit, spending, signature);
        vm.prank(ALICE);
        settlement.withdrawChannel(1);
        router.depositByPermitAndOpen(permit, spending, signature);
        opened(3 * USD, 17 * USD);
        eq(settlement.channelOf(1, 2).epoch, 2, "epoch");
    }

    function test_andOpen_isAllOrNothing() public {
        (SpendAuthorization memory spending, ) = spendingBy(1, USD);
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        bytes memory forged = authorizationBy(userKey(2), spending);
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, ALICE));
        router.depositByPermitAndOpen(permit, spending, forged);
        spending.amount = uint96(TOKENS * SCALE + 1);
        bytes memory signature = authorizationBy(userKey(1), spending);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.InsufficientCredits.selector, 2, TOKENS * SCALE, TOKENS * SCALE + 1)
        );
        router.depositByPermitAndOpen(permit, spending, signature);
        eq(vault.userIdOf(ALICE), 0, "no user");
        eq(token.balanceOf(ALICE), TOKENS, "no token moved");
        eq(token.nonces(ALICE), 0, "the permit is unused");
        leftNothing();
    }

    function test_andOpen_refusesAnotherUsersChannel() public {
        fund(user(2), 20 * TOKEN_USD);
        approvePermit2(1);
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(2, USD);
        bytes memory other = abi.encodeWithSelector(IDepositRouter.OtherUser.selector, user(2), ALICE);
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        IDepositRouter.Authorization memory payment = paymentBy(1, ALICE, TOKENS, 0);
        IDepositRouter.Permit2Transfer memory transfer = transferBy(1, TOKENS, 0);
        vm.expectRevert(other);
        router.depositByPermitAndOpen(permit, spending, signature);
        vm.expectRevert(other);
        router.depositByAuthorizationAndOpen(payment, spending, signature);
        vm.expectRevert(other);
        router.depositByPermit2AndOpen(transfer, spending, signature);
    }

    function test_pause_stopsOpeningAndLeavesDepositing() public {
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, USD);
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        vm.prank(GUARDIAN);
        clock.pause();
        vm.expectRevert(
            abi.encodeWithSelector(IProtocolClock.ProtocolPaused.selector, START + localWindows().pauseMax)
        );
        router.depositByPermitAndOpen(permit, spending, signature);
        router.depositByPermit(permit);
        credited(ALICE, TOKENS);
    }

    /// @dev The most that somebody in front can do to a "deposit and open": the user is credited, and opens by itself.
    function test_frontRunDeposit_leavesTheRestToTheSettlement() public {
        (SpendAuthorization memory spending, bytes memory signature) = spendingBy(1, USD);
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        vm.prank(MALLORY);
        router.depositByPermit(permit);
        vm.expectRevert(abi.encodeWithSelector(IDepositRouter.AllowanceNotSigned.selector, 0, TOKENS));
        router.depositByPermitAndOpen(permit, spending, signature);
        settlement.openChannelBySig(spending, signature);
        opened(USD, 19 * USD);
    }

    function opened(uint256 available, uint256 rest) private view {
        uint32 id = vault.userIdOf(ALICE);
        eq(settlement.channelOf(1, id).available, available, "in the channel");
        eq(free(ALICE), rest, "free");
        leftNothing();
    }
}
