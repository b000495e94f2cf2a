// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IChannels} from "../interfaces/IChannels.sol";
import {Messages, SpendAuthorization} from "../libraries/Messages.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {ChannelSlot, ChannelSlots} from "../types/ChannelSlot.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Books} from "./Books.sol";

/// @notice Channels of users: open, extend, top up, thaw, withdraw.
abstract contract Channels is Books {
    using Messages for SpendAuthorization;
    using SafeCast for uint256;

    uint8 private constant _METERED = 0;

    /// @inheritdoc IChannels
    function openChannel(
        uint32 relayId,
        uint96 amount,
        uint40 expiry,
        uint8 mode,
        address sessionKey
    ) external nonReentrant {
        _checkMode(mode, sessionKey);
        _open(relayId, _userId(msg.sender), amount, expiry);
    }

    /// @inheritdoc IChannels
    function openChannelBySig(
        SpendAuthorization calldata authorization,
        bytes calldata signature
    ) external nonReentrant {
        uint32 userId = _authorize(authorization, signature);
        _open(authorization.relayId, userId, authorization.amount, authorization.expiry);
    }

    /// @inheritdoc IChannels
    function extendChannel(uint32 relayId, uint40 expiry) external nonReentrant {
        _extend(relayId, _userId(msg.sender), expiry);
    }

    /// @inheritdoc IChannels
    function extendChannelBySig(
        SpendAuthorization calldata authorization,
        bytes calldata signature
    ) external nonReentrant {
        uint32 userId = _authorize(authorization, signature);
        _extend(authorization.relayId, userId, authorization.expiry);
        if (authorization.amount != 0) _topUp(authorization.relayId, userId, authorization.amount);
    }

    /// @inheritdoc IChannels
    function topUpChannel(uint32 relayId, uint96 amount) external nonReentrant {
        _topUp(relayId, _userId(msg.sender), amount);
    }

    /// @inheritdoc IChannels
    function thawChannel(uint32 relayId, uint96 amount) external nonReentrant {
        uint32 userId = _userId(msg.sender);
        uint96 available = _channels[relayId][userId].slot.available();
        Thaw storage thaw = _thaws[relayId][userId];
        require(thaw.endsAt == 0, ThawActive(thaw.endsAt));
        if (amount > available) amount = available;
        require(amount != 0, NothingToThaw(relayId, userId));
        uint40 endsAt = _now() + _CHANNEL_THAW;
        (thaw.amount, thaw.endsAt) = (amount, endsAt);
        emit ChannelThawStarted(relayId, userId, amount, endsAt);
    }

    /// @inheritdoc IChannels
    function cancelThaw(uint32 relayId) external nonReentrant {
        uint32 userId = _userId(msg.sender);
        Thaw memory thaw = _thaws[relayId][userId];
        require(thaw.endsAt != 0, NoThaw(relayId, userId));
        delete _thaws[relayId][userId];
        emit ChannelThawCancelled(relayId, userId, thaw.amount);
    }

    /// @inheritdoc IChannels
    function withdrawChannel(uint32 relayId) external nonReentrant returns (uint96 amount) {
        uint32 userId = _userId(msg.sender);
        ChannelSlot channel = _channels[relayId][userId].slot;
        Thaw memory thaw = _thaws[relayId][userId];
        uint40 time = _now();
        uint96 available = channel.available();
        bool isOver = time > channel.settleBy();
        bool isThawed = thaw.endsAt != 0 && time >= thaw.endsAt;
        // debits may have left less than was asked back
        amount = isOver || thaw.amount > available ? available : thaw.amount;
        require(isThawed || (isOver && amount != 0), NotWithdrawable(thaw.endsAt, channel.settleBy(), time));
        channel = channel.withAvailable(available - amount);
        if (available == amount) channel = channel.withSettleBy(0);
        _channels[relayId][userId].slot = channel;
        delete _thaws[relayId][userId];
        emit ChannelWithdrawn(relayId, userId, amount, available - amount);
        if (amount != 0) VAULT.release(userId, amount);
    }

    /// @inheritdoc IChannels
    function channelOf(uint32 relayId, uint32 userId) external view returns (Channel memory channel) {
        ChannelSlot slot = _channels[relayId][userId].slot;
        Thaw memory thaw = _thaws[relayId][userId];
        channel.available = slot.available();
        channel.spent = slot.spent();
        channel.settleBy = slot.settleBy();
        channel.epoch = slot.epoch();
        channel.mode = slot.mode();
        channel.expiry = slot.settleBy() == 0 ? 0 : slot.settleBy() - _POST;
        channel.thawAmount = thaw.amount;
        channel.thawEnd = thaw.endsAt;
    }

    function _open(uint32 relayId, uint32 userId, uint96 amount, uint40 expiry) private {
        require(amount != 0, ZeroChannelAmount());
        _checkRelay(relayId);
        ChannelSlot last = _channels[relayId][userId].slot;
        uint40 time = _now();
        require(
            last.available() == 0 && time > last.settleBy(),
            ChannelInUse(relayId, userId, last.available(), last.settleBy())
        );
        require(last.epoch() != type(uint16).max, EpochsUsedUp(relayId, userId));
        require(expiry > time, ExpiryTooEarly(expiry, time + 1));
        uint40 settleBy = _settleBy(expiry);
        uint16 epoch = last.epoch() + 1;
        _channels[relayId][userId].slot = ChannelSlots.pack(amount, 0, settleBy, epoch, _METERED);
        // a channel that was debited to nothing may have left a thaw behind
        delete _thaws[relayId][userId];
        emit ChannelOpened(relayId, userId, epoch, amount, expiry, settleBy, _METERED);
        VAULT.lock(userId, amount);
    }

    function _extend(uint32 relayId, uint32 userId, uint40 expiry) private {
        _checkRelay(relayId);
        ChannelSlot channel = _running(relayId, userId);
        uint40 earliest = channel.settleBy() - _POST;
        uint40 time = _now();
        if (earliest <= time) earliest = time + 1;
        require(expiry >= earliest, ExpiryTooEarly(expiry, earliest));
        uint40 settleBy = _settleBy(expiry);
        _channels[relayId][userId].slot = channel.withSettleBy(settleBy);
        emit ChannelExtended(relayId, userId, expiry, settleBy);
    }

    function _topUp(uint32 relayId, uint32 userId, uint96 amount) private {
        require(amount != 0, ZeroChannelAmount());
        ChannelSlot channel = _running(relayId, userId);
        uint96 available = channel.available() + amount;
        _channels[relayId][userId].slot = channel.withAvailable(available);
        emit ChannelToppedUp(relayId, userId, amount, available);
        VAULT.lock(userId, amount);
    }

    /// @dev The nonce is used up before the signature is checked: a wallet contract is asked last.
    function _authorize(
        SpendAuthorization calldata authorization,
        bytes calldata signature
    ) private returns (uint32 userId) {
        _checkDeadline(authorization.deadline);
        _checkMode(authorization.mode, authorization.sessionKey);
        userId = _userId(authorization.user);
        VAULT.useNonce(userId, authorization.nonce);
        Signatures.checkOwner(authorization.user, _hashTypedDataV4(authorization.hash()), signature);
    }

    function _running(uint32 relayId, uint32 userId) private view returns (ChannelSlot channel) {
        channel = _channels[relayId][userId].slot;
        require(_now() <= channel.settleBy(), ChannelOver(relayId, userId, channel.settleBy()));
    }

    function _checkRelay(uint32 relayId) private view {
        require(STAKE_MANAGER.isActive(ROLE_RELAY, relayId), RelayNotActive(relayId));
    }

    function _userId(address user) private view returns (uint32 userId) {
        userId = VAULT.userIdOf(user);
        require(userId != 0, UnknownChannelUser(user));
    }

    function _settleBy(uint40 expiry) private view returns (uint40) {
        return (uint256(expiry) + _POST).toUint40();
    }

    function _checkMode(uint8 mode, address sessionKey) private pure {
        require(mode == _METERED, ModeNotSupported(mode));
        require(sessionKey == address(0), SessionKeyNotAllowed(sessionKey));
    }
}
