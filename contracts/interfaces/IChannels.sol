// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SpendAuthorization} from "../libraries/Messages.sol";

/// @notice Prepaid channels from users to relays. What a channel holds is all that its relay can charge.
/// The user alone can start, cancel or use a thaw; time alone ends a channel.
interface IChannels {
    /// @param available Credits left, pUSD.
    /// @param spent Debited in this epoch, pUSD.
    /// @param settleBy Last second of debits; 0 when closed.
    /// @param epoch Rises by one whenever the channel is opened, from 1.
    /// @param mode 0 METERED, 1 SIGNED.
    /// @param expiry Until when the relay serves; 0 when closed.
    /// @param thawAmount What the user asked back, pUSD.
    /// @param thawEnd When it can have it; 0 without a thaw.
    /// @param openedAt When this epoch began.
    /// @param revokedAt When its session key was revoked; 0 if it was not.
    /// @param sessionKey Whose vouchers a SIGNED channel pays; 0 on a METERED one.
    struct Channel {
        uint96 available;
        uint80 spent;
        uint40 settleBy;
        uint16 epoch;
        uint8 mode;
        uint40 expiry;
        uint96 thawAmount;
        uint40 thawEnd;
        uint40 openedAt;
        uint40 revokedAt;
        address sessionKey;
    }

    /// @notice A user opened a channel.
    event ChannelOpened(
        uint32 indexed relayId,
        uint32 indexed userId,
        uint16 epoch,
        uint96 amount,
        uint40 expiry,
        uint40 settleBy,
        uint8 mode,
        address sessionKey
    );
    /// @notice A user added credits.
    event ChannelToppedUp(uint32 indexed relayId, uint32 indexed userId, uint96 amount, uint96 available);
    /// @notice A user moved the expiry.
    event ChannelExtended(uint32 indexed relayId, uint32 indexed userId, uint40 expiry, uint40 settleBy);
    /// @notice A user asked credits back.
    event ChannelThawStarted(uint32 indexed relayId, uint32 indexed userId, uint96 amount, uint40 thawEnd);
    /// @notice A user took a thaw back.
    event ChannelThawCancelled(uint32 indexed relayId, uint32 indexed userId, uint96 amount);
    /// @notice Credits went from a channel to the user's free credits.
    event ChannelWithdrawn(uint32 indexed relayId, uint32 indexed userId, uint96 amount, uint96 available);

    /// @notice A user took its session key back. The relay can still collect what was signed, until settleBy.
    event SessionKeyRevoked(uint32 indexed relayId, uint32 indexed userId, uint16 epoch, uint40 settleBy);

    /// @notice Thrown when an address has no credits account.
    error UnknownChannelUser(address user);
    /// @notice Thrown when a channel would hold nothing or nothing would be added.
    error ZeroChannelAmount();
    /// @notice Thrown when the relay is not registered, has left, or has less than the minimum stake.
    error RelayNotActive(uint32 relayId);
    /// @notice Thrown for a mode that is neither 0 METERED nor 1 SIGNED.
    error UnknownMode(uint8 mode);
    /// @notice Thrown when a METERED channel is given a session key, or a SIGNED one none.
    error WrongSessionKey(uint8 mode, address sessionKey);
    /// @notice Thrown when a running channel would change its mode or session key.
    error TermsFixed(uint8 mode, address sessionKey);
    /// @notice Thrown when a channel whose session key was revoked is extended, or revoked again.
    error KeyRevoked(uint32 relayId, uint32 userId, uint40 revokedAt);
    /// @notice Thrown when an expiry has passed or is before the one it replaces.
    error ExpiryTooEarly(uint40 expiry, uint40 earliest);
    /// @notice Thrown when a channel is opened that is not over: it holds credits, or can still be debited.
    error ChannelInUse(uint32 relayId, uint32 userId, uint96 available, uint40 settleBy);
    /// @notice Thrown when a channel is closed or past its settleBy.
    error ChannelOver(uint32 relayId, uint32 userId, uint40 settleBy);
    /// @notice Thrown when a channel can be opened no more: its epochs are used up.
    error EpochsUsedUp(uint32 relayId, uint32 userId);
    /// @notice Thrown when a thaw is started during another.
    error ThawActive(uint40 thawEnd);
    /// @notice Thrown when there is nothing to thaw.
    error NothingToThaw(uint32 relayId, uint32 userId);
    /// @notice Thrown when there is no thaw.
    error NoThaw(uint32 relayId, uint32 userId);
    /// @notice Thrown when nothing can be withdrawn at this time.
    error NotWithdrawable(uint40 thawEnd, uint40 settleBy, uint40 clock);

    /// @notice Opens a channel of the caller with its free credits. Only when it is over: empty, and past its settleBy
    /// or closed by a withdrawal. Starts a new epoch with nothing spent.
    /// @param expiry Until when the relay serves; debits follow until `expiry + post window`.
    /// @param mode 0 METERED: the relay meters, the balance is the cap. 1 SIGNED: the relay collects vouchers only.
    /// @param sessionKey Signs the vouchers of a SIGNED channel; 0 on a METERED one.
    function openChannel(uint32 relayId, uint96 amount, uint40 expiry, uint8 mode, address sessionKey) external;

    /// @notice `openChannel` by the user's signature, submitted by anyone.
    function openChannelBySig(SpendAuthorization calldata authorization, bytes calldata signature) external;

    /// @notice Moves the expiry of the caller's running channel to a later time.
    function extendChannel(uint32 relayId, uint40 expiry) external;

    /// @notice Adds `amount` (may be 0) to a user's running channel and moves its expiry, by the user's signature.
    /// The same authorization opens a channel that is over and extends one that runs; its nonce allows one of both.
    function extendChannelBySig(SpendAuthorization calldata authorization, bytes calldata signature) external;

    /// @notice Adds free credits of the caller to its running channel. Changes neither epoch nor expiry.
    function topUpChannel(uint32 relayId, uint96 amount) external;

    /// @notice Asks for `amount`, or all there is if that is less, back. The relay can debit it until it is withdrawn.
    function thawChannel(uint32 relayId, uint96 amount) external;

    /// @notice Takes the caller's thaw back.
    function cancelThaw(uint32 relayId) external;

    /// @notice Takes the caller's session key back: the relay may serve no longer, and collects what was signed until
    /// now + post window, when the rest can be withdrawn. A lost or stolen key costs at most what the channel holds.
    function revokeSessionKey(uint32 relayId) external;

    /// @notice Returns to the caller's free credits what has thawed, or all after settleBy. A channel that is empty
    /// after it is closed and can be opened again.
    /// @return amount What was returned, pUSD.
    function withdrawChannel(uint32 relayId) external returns (uint96 amount);

    /// @notice A channel; all zero if it was never opened.
    function channelOf(uint32 relayId, uint32 userId) external view returns (Channel memory);
}
