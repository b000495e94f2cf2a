// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {ITimed} from "../../contracts/interfaces/ITimed.sol";
import {Messages, SpendAuthorization, Withdraw} from "../../contracts/libraries/Messages.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
import {AnswersYes} from "./support/Doubles.sol";
import {Network} from "./support/Network.sol";

/// @notice Channels opened and extended by a signature that anyone may submit.
contract AuthorizationsTest is Network {
    address private immutable ALICE = user(1);
    uint40 private constant EXPIRY = START + 1 hours;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        fund(ALICE, 20 * TOKEN_USD);
    }

    function test_openChannelBySig_opensOnce() public {
        SpendAuthorization memory message = authorization(0);
        bytes memory signature = authorizationBy(userKey(1), message);
        settlement.openChannelBySig(message, signature);
        uint32 id = vault.userIdOf(ALICE);
        eq(settlement.channelOf(1, id).available, 5 * USD, "available");
        eq(vault.accountOf(id).nonce, 1, "nonce");
        bytes memory used = abi.encodeWithSelector(ICreditVault.WrongNonce.selector, id, 0, 1);
        vm.expectRevert(used);
        settlement.openChannelBySig(message, signature);
        vm.expectRevert(used);
        settlement.extendChannelBySig(message, signature);
    }

    function test_extendChannelBySig_addsAndMovesTheExpiry() public {
        uint32 id = open(ALICE, 1, USD);
        SpendAuthorization memory message = authorization(0);
        message.expiry = EXPIRY + 1 days;
        bytes memory signature = authorizationBy(userKey(1), message);
        settlement.extendChannelBySig(message, signature);
        eq(settlement.channelOf(1, id).available, 6 * USD, "available");
        eq(settlement.channelOf(1, id).expiry, EXPIRY + 1 days, "expiry");
        eq(settlement.channelOf(1, id).epoch, 1, "epoch");
        message = authorization(1);
        (message.amount, message.expiry) = (0, EXPIRY + 2 days);
        settlement.extendChannelBySig(message, authorizationBy(userKey(1), message));
        eq(settlement.channelOf(1, id).available, 6 * USD, "nothing added");
    }

    function test_extendChannelBySig_needsARunningChannel() public {
        SpendAuthorization memory message = authorization(0);
        bytes memory signature = authorizationBy(userKey(1), message);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelOver.selector, 1, vault.userIdOf(ALICE), 0));
        settlement.extendChannelBySig(message, signature);
        // a call that reverts uses no nonce up
        settlement.openChannelBySig(message, signature);
    }

    function test_openChannelBySig_refusesEveryChange() public {
        bytes memory signature = authorizationBy(userKey(1), authorization(0));
        addRelay(2, 100 * USD);
        SpendAuthorization[4] memory changed;
        for (uint256 i = 0; i < 4; ++i) changed[i] = authorization(0);
        changed[0].relayId = 2;
        changed[1].amount += 1;
        changed[2].expiry += 1;
        changed[3].deadline -= 1;
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, ALICE));
            settlement.openChannelBySig(changed[i], signature);
        }
        fund(user(2), TOKEN_USD);
        SpendAuthorization memory message = authorization(0);
        message.user = user(2);
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, user(2)));
        settlement.openChannelBySig(message, signature);
        message.user = user(3);
        vm.expectRevert(abi.encodeWithSelector(IChannels.UnknownChannelUser.selector, user(3)));
        settlement.openChannelBySig(message, signature);
    }

    function test_openChannelBySig_refusesOtherModesKeysNoncesAndTimes() public {
        SpendAuthorization memory message = authorization(0);
        message.mode = 1;
        bytes memory signature = authorizationBy(userKey(1), message);
        vm.expectRevert(abi.encodeWithSelector(IChannels.WrongSessionKey.selector, 1, address(0)));
        settlement.openChannelBySig(message, signature);
        message = authorization(0);
        message.sessionKey = ALICE;
        signature = authorizationBy(userKey(1), message);
        vm.expectRevert(abi.encodeWithSelector(IChannels.WrongSessionKey.selector, 0, ALICE));
        settlement.openChannelBySig(message, signature);
        message = authorization(5);
        signature = authorizationBy(userKey(1), message);
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.WrongNonce.selector, vault.userIdOf(ALICE), 5, 0));
        settlement.openChannelBySig(message, signature);
        message = authorization(0);
        message.deadline = START - 1;
        signature = authorizationBy(userKey(1), message);
        vm.expectRevert(abi.encodeWithSelector(ITimed.DeadlinePassed.selector, START - 1, START));
        settlement.openChannelBySig(message, signature);
    }

    function test_openChannelBySig_refusesASignatureForTheVaultsDomain() public {
        SpendAuthorization memory message = authorization(0);
        bytes memory foreign = sign(userKey(1), address(vault), Messages.hash(message));
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, ALICE));
        settlement.openChannelBySig(message, foreign);
    }

    /// @dev Its own key counts, whatever its account has been delegated to.
    function test_openChannelBySig_takesADelegatedOwnersOwnKey() public {
        SpendAuthorization memory message = authorization(0);
        bytes memory signature = authorizationBy(userKey(1), message);
        delegate(ALICE, address(clock));
        settlement.openChannelBySig(message, signature);
        eq(settlement.channelOf(1, vault.userIdOf(ALICE)).available, 5 * USD, "available");
    }

    function test_openChannelBySig_takesAWalletsWord() public {
        address wallet = address(new AnswersYes());
        fund(wallet, 20 * TOKEN_USD);
        SpendAuthorization memory message = authorization(0);
        message.user = wallet;
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, wallet));
        settlement.openChannelBySig(message, "no");
        settlement.openChannelBySig(message, "yes");
        eq(settlement.channelOf(1, vault.userIdOf(wallet)).available, 5 * USD, "available");
    }

    /// @dev One sequence of nonces per user over all signed messages.
    function test_nonce_isSharedWithWithdrawals() public {
        SpendAuthorization memory message = authorization(0);
        settlement.openChannelBySig(message, authorizationBy(userKey(1), message));
        uint32 id = vault.userIdOf(ALICE);
        Withdraw memory withdrawal = Withdraw(id, ALICE, uint96(USD), 1, NEVER);
        vault.withdrawBySig(withdrawal, withdrawalBy(userKey(1), withdrawal));
        eq(vault.accountOf(id).nonce, 2, "nonce");
    }

    function authorization(uint256 nonce) private view returns (SpendAuthorization memory) {
        return
            SpendAuthorization({
                user: ALICE,
                relayId: 1,
                sessionKey: address(0),
                amount: uint96(5 * USD),
                expiry: EXPIRY,
                mode: 0,
                nonce: nonce,
                deadline: NEVER
            });
    }
}
