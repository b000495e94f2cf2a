// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {SpendAuthorization} from "../../contracts/libraries/Messages.sol";
import {Network} from "./support/Network.sol";

/// @notice Channels whose relay collects vouchers only.
contract SignedChannelsTest is Network {
    uint96 private constant FIVE = uint96(5 * USD);
    uint40 private constant EXPIRY = START + 1 hours;

    address private _alice;
    uint32 private _id;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        _alice = user(1);
        _id = fund(_alice, 20 * TOKEN_USD);
    }

    function test_openChannel_keepsTheSessionKey() public {
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelOpened(1, _id, 1, FIVE, EXPIRY, EXPIRY + 60, 1, sessionKey(1));
        openSigned(_alice, 1, FIVE);
        IChannels.Channel memory channel = settlement.channelOf(1, _id);
        eq(channel.mode, 1, "mode");
        eq(channel.sessionKey, sessionKey(1), "session key");
        eq(channel.openedAt, START, "opened");
        eq(channel.revokedAt, 0, "not revoked");
    }

    function test_openChannelBySig_opensASignedChannel() public {
        SpendAuthorization memory message = authorization(FIVE, EXPIRY);
        settlement.openChannelBySig(message, authorizationBy(userKey(1), message));
        eq(settlement.channelOf(1, _id).sessionKey, sessionKey(1), "session key");
    }

    function test_extendChannelBySig_keepsModeAndKey() public {
        openSigned(_alice, 1, FIVE);
        SpendAuthorization memory message = authorization(FIVE, EXPIRY + 60);
        message.sessionKey = sessionKey(2);
        bytes memory signature = authorizationBy(userKey(1), message);
        bytes memory fixed_ = abi.encodeWithSelector(IChannels.TermsFixed.selector, 1, sessionKey(1));
        vm.expectRevert(fixed_);
        settlement.extendChannelBySig(message, signature);
        (message.sessionKey, message.mode) = (address(0), 0);
        signature = authorizationBy(userKey(1), message);
        vm.expectRevert(fixed_);
        settlement.extendChannelBySig(message, signature);
        message = authorization(FIVE, EXPIRY + 60);
        settlement.extendChannelBySig(message, authorizationBy(userKey(1), message));
        eq(settlement.channelOf(1, _id).available, 2 * FIVE, "topped up");
        eq(settlement.channelOf(1, _id).expiry, EXPIRY + 60, "extended");
    }

    function test_revokeSessionKey_endsServiceNowAndDebitsAfterThePostWindow() public {
        openSigned(_alice, 1, FIVE);
        skip(100);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.SessionKeyRevoked(1, _id, 1, START + 160);
        vm.startPrank(_alice);
        settlement.revokeSessionKey(1);
        IChannels.Channel memory channel = settlement.channelOf(1, _id);
        eq(channel.expiry, START + 100, "service ends");
        eq(channel.settleBy, START + 160, "debits end");
        eq(channel.revokedAt, START + 100, "revoked");
        skip(60);
        vm.expectRevert(
            abi.encodeWithSelector(IChannels.NotWithdrawable.selector, 0, START + 160, START + 160)
        );
        settlement.withdrawChannel(1);
        skip(1);
        eq(settlement.withdrawChannel(1), FIVE, "the rest comes back without a thaw");
        vm.stopPrank();
        openSigned(_alice, 1, FIVE);
        eq(settlement.channelOf(1, _id).revokedAt, 0, "a new epoch has a fresh key");
        eq(settlement.channelOf(1, _id).epoch, 2, "epoch");
    }

    /// @dev Near its end a channel does not live longer because its key was revoked.
    function test_revokeSessionKey_neverMovesTheEndOut() public {
        openSigned(_alice, 1, FIVE);
        skip(1 hours + 30);
        vm.prank(_alice);
        settlement.revokeSessionKey(1);
        eq(settlement.channelOf(1, _id).settleBy, EXPIRY + 60, "as it was");
    }

    function test_revokeSessionKey_reverts() public {
        vm.startPrank(_alice);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelOver.selector, 1, _id, 0));
        settlement.revokeSessionKey(1);
        settlement.openChannel(1, FIVE, EXPIRY, 0, address(0));
        vm.expectRevert(abi.encodeWithSelector(IChannels.WrongSessionKey.selector, 0, address(0)));
        settlement.revokeSessionKey(1);
        vm.stopPrank();
    }

    function test_revokedChannel_isNotExtendedNorRevokedAgain() public {
        openSigned(_alice, 1, FIVE);
        vm.startPrank(_alice);
        settlement.revokeSessionKey(1);
        bytes memory revoked = abi.encodeWithSelector(IChannels.KeyRevoked.selector, 1, _id, START);
        vm.expectRevert(revoked);
        settlement.revokeSessionKey(1);
        vm.expectRevert(revoked);
        settlement.extendChannel(1, EXPIRY);
        vm.stopPrank();
    }

    function authorization(uint96 amount, uint40 expiry) private view returns (SpendAuthorization memory) {
        return
            SpendAuthorization({
                user: _alice,
                relayId: 1,
                sessionKey: sessionKey(1),
                amount: amount,
                expiry: expiry,
                mode: 1,
                nonce: vault.accountOf(_id).nonce,
                deadline: NEVER
            });
    }
}
