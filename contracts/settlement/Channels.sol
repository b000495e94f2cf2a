// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IChannels} from "../interfaces/IChannels.sol";
import {Messages, SpendAuthorization} from "../libraries/Messages.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {ChannelAccount, ChannelSlot, ChannelSlots, MODE_METERED, MODE_SIGNED} from "../types/ChannelSlot.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Books} from "./Books.sol";

/// @notice Channels of users: open, extend, top up, thaw, withdraw.
abstract contract Channels is Books {
    using Messages for SpendAuthorization;
    using SafeCast for uint256;

    /// @dev What a channel is opened with.
    struct Terms {
        uint96 amount;
        uint40 expiry;
        uint8 mode;
        address sessionKey;
    }

    /// @inheritdoc IChannels
    function openChannel(
        uint32 relayId,
        uint96 amount,
        uint40 expiry,
        uint8 mode,
        address sessionKey
    ) external nonReentrant {
        _open(relayId, _userId(msg.sender), Terms(amount, expiry, mode, sessionKey));
    }

    /// @inheritdoc IChannels
    function openChannelBySig(
        SpendAuthorization calldata authorization,
        bytes calldata signature
    ) external nonReentrant {
        uint32 userId = _authorize(authorization, signature);
        Terms memory terms = Terms(
            authorization.amount,
            authorization.expiry,
            authorization.mode,
            authorization.sessionKey
        );
        _open(authorization.relayId, userId, terms);
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
        _checkTerms(authorization, userId);
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
        ChannelAccount storage account = _channels[relayId][userId];
        uint96 available = account.slot.available();
        require(account.thawEnd == 0, ThawActive(account.thawEnd));
        if (amount > available) amount = available;
        require(amount != 0, NothingToThaw(relayId, userId));
        uint40 endsAt = _now() + _CHANNEL_THAW;
        (account.thawAmount, account.thawEnd) = (amount, endsAt);
        emit ChannelThawStarted(relayId, userId, amount, endsAt);
    }

    /// @inheritdoc IChannels
    function cancelThaw(uint32 relayId) external nonReentrant {
        uint32 userId = _userId(msg.sender);
        ChannelAccount storage account = _channels[relayId][userId];
        require(account.thawEnd != 0, NoThaw(relayId, userId));
        uint96 amount = account.thawAmount;
        (account.thawAmount, account.thawEnd) = (0, 0);
        emit ChannelThawCancelled(relayId, userId, amount);
    }

    /// @inheritdoc IChannels
    function revokeSessionKey(uint32 relayId) external nonReentrant {
        uint32 userId = _userId(msg.sender);
        ChannelSlot channel = _running(relayId, userId);
        ChannelAccount storage account = _channels[relayId][userId];
        require(channel.mode() == MODE_SIGNED, WrongSessionKey(channel.mode(), address(0)));
        _checkNotRevoked(relayId, userId);
        uint40 time = _now();
        uint40 settleBy = _settleBy(time);
        // never later than it was
        if (channel.settleBy() < settleBy) settleBy = channel.settleBy();
        account.slot = channel.withSettleBy(settleBy);
        account.revokedAt = time;
        emit SessionKeyRevoked(relayId, userId, channel.epoch(), settleBy);
    }

    /// @inheritdoc IChannels
    function withdrawChannel(uint32 relayId) external nonReentrant returns (uint96 amount) {
        uint32 userId = _userId(msg.sender);
        ChannelAccount storage account = _channels[relayId][userId];
        ChannelSlot channel = account.slot;
        uint40 time = _now();
        uint96 available = channel.available();
        (uint96 thawAmount, uint40 thawEnd) = (account.thawAmount, account.thawEnd);
        bool isOver = time > channel.settleBy();
        bool isThawed = thawEnd != 0 && time >= thawEnd;
        // debits may have left less than was asked back
        amount = isOver || thawAmount > available ? available : thawAmount;
        require(isThawed || (isOver && amount != 0), NotWithdrawable(thawEnd, channel.settleBy(), time));
        channel = channel.withAvailable(available - amount);
        if (available == amount) channel = channel.withSettleBy(0);
        account.slot = channel;
        (account.thawAmount, account.thawEnd) = (0, 0);
        emit ChannelWithdrawn(relayId, userId, amount, available - amount);
        if (amount != 0) VAULT.release(userId, amount);
    }

    /// @inheritdoc IChannels
    function channelOf(uint32 relayId, uint32 userId) external view returns (Channel memory channel) {
        ChannelAccount memory account = _channels[relayId][userId];
        ChannelSlot slot = account.slot;
        channel.available = slot.available();
        channel.spent = slot.spent();
        channel.settleBy = slot.settleBy();
        channel.epoch = slot.epoch();
        channel.mode = slot.mode();
        channel.expiry = slot.settleBy() == 0 ? 0 : slot.settleBy() - _POST;
        channel.thawAmount = account.thawAmount;
        channel.thawEnd = account.thawEnd;
        channel.openedAt = account.openedAt;
        channel.revokedAt = account.revokedAt;
        channel.sessionKey = account.sessionKey;
    }

    function _open(uint32 relayId, uint32 userId, Terms memory terms) private {
        require(terms.amount != 0, ZeroChannelAmount());
        _checkMode(terms.mode, terms.sessionKey);
        _checkRelay(relayId);
        ChannelAccount storage account = _channels[relayId][userId];
        ChannelSlot last = account.slot;
        uint40 time = _nowRunning();
        require(
            last.available() == 0 && time > last.settleBy(),
            ChannelInUse(relayId, userId, last.available(), last.settleBy())
        );
        require(last.epoch() != type(uint16).max, EpochsUsedUp(relayId, userId));
        require(terms.expiry > time, ExpiryTooEarly(terms.expiry, time + 1));
        uint40 settleBy = _settleBy(terms.expiry);
        uint16 epoch = last.epoch() + 1;
        // a channel that was debited to nothing may have left a thaw behind
        _channels[relayId][userId] = ChannelAccount({
            slot: ChannelSlots.pack(terms.amount, 0, settleBy, epoch, terms.mode),
            sessionKey: terms.sessionKey,
            thawAmount: 0,
            thawEnd: 0,
            openedAt: time,
            revokedAt: 0
        });
        emit ChannelOpened(
            relayId,
            userId,
            epoch,
            terms.amount,
            terms.expiry,
            settleBy,
            terms.mode,
            terms.sessionKey
        );
        VAULT.lock(userId, terms.amount);
    }

    function _extend(uint32 relayId, uint32 userId, uint40 expiry) private {
        _checkRelay(relayId);
        ChannelSlot channel = _running(relayId, userId);
        _checkNotRevoked(relayId, userId);
        uint40 earliest = channel.settleBy() - _POST;
        uint40 time = _nowRunning();
        if (earliest <= time) earliest = time + 1;
        require(expiry >= earliest, ExpiryTooEarly(expiry, earliest));
        uint40 settleBy = _settleBy(expiry);
        _channels[relayId][userId].slot = channel.withSettleBy(settleBy);
        emit ChannelExtended(relayId, userId, expiry, settleBy);
    }

    function _topUp(uint32 relayId, uint32 userId, uint96 amount) private {
        require(amount != 0, ZeroChannelAmount());
        _nowRunning();
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

    function _checkNotRevoked(uint32 relayId, uint32 userId) private view {
        uint40 revokedAt = _channels[relayId][userId].revokedAt;
        require(revokedAt == 0, KeyRevoked(relayId, userId, revokedAt));
    }

    /// @dev An authorization that extends must be meant for the channel as it is.
    function _checkTerms(SpendAuthorization calldata authorization, uint32 userId) private view {
        ChannelAccount storage account = _channels[authorization.relayId][userId];
        (uint8 mode, address sessionKey) = (account.slot.mode(), account.sessionKey);
        require(
            authorization.mode == mode && authorization.sessionKey == sessionKey,
            TermsFixed(mode, sessionKey)
        );
    }

    function _checkMode(uint8 mode, address sessionKey) private pure {
        require(mode <= MODE_SIGNED, UnknownMode(mode));
        require((mode == MODE_METERED) == (sessionKey == address(0)), WrongSessionKey(mode, sessionKey));
    }
}
