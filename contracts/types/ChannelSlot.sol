// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A channel in one word: mode u8 | epoch u16 | settleBy u40 | spent u80 | available u96, highest first.
/// A metered debit reads and writes this word and nothing else.
type ChannelSlot is uint256;

using ChannelSlots for ChannelSlot global;

/// @dev Where a channel is kept, one place per pair: word by word as rarely as it is needed.
/// @param slot What a metered debit reads and writes.
/// @param sessionKey What a signed debit reads besides.
/// @param thawAmount What the user asked back, pUSD; 0 without a thaw.
/// @param thawEnd When it can have it; 0 without a thaw.
/// @param openedAt When the epoch began.
/// @param revokedAt When the session key was revoked; 0 if it was not.
struct ChannelAccount {
    ChannelSlot slot;
    address sessionKey;
    uint96 thawAmount;
    uint40 thawEnd;
    uint40 openedAt;
    uint40 revokedAt;
}

uint8 constant MODE_METERED = 0;
uint8 constant MODE_SIGNED = 1;

library ChannelSlots {
    uint256 private constant _SPENT_AT = 96;
    uint256 private constant _SETTLE_BY_AT = 176;
    uint256 private constant _EPOCH_AT = 216;
    uint256 private constant _MODE_AT = 232;

    function pack(
        uint96 available_,
        uint80 spent_,
        uint40 settleBy_,
        uint16 epoch_,
        uint8 mode_
    ) internal pure returns (ChannelSlot) {
        return
            ChannelSlot.wrap(
                uint256(available_) |
                    (uint256(spent_) << _SPENT_AT) |
                    (uint256(settleBy_) << _SETTLE_BY_AT) |
                    (uint256(epoch_) << _EPOCH_AT) |
                    (uint256(mode_) << _MODE_AT)
            );
    }

    function withAvailable(ChannelSlot slot, uint96 available_) internal pure returns (ChannelSlot) {
        return pack(available_, slot.spent(), slot.settleBy(), slot.epoch(), slot.mode());
    }

    function withSettleBy(ChannelSlot slot, uint40 settleBy_) internal pure returns (ChannelSlot) {
        return pack(slot.available(), slot.spent(), settleBy_, slot.epoch(), slot.mode());
    }

    /// @dev The caller has checked `delta <= available` and that `spent + delta` fits 80 bits: no field borrows or carries.
    function debited(ChannelSlot slot, uint64 delta) internal pure returns (ChannelSlot) {
        unchecked {
            // each pUSD is one less available and one more spent
            return ChannelSlot.wrap(ChannelSlot.unwrap(slot) + uint256(delta) * ((1 << _SPENT_AT) - 1));
        }
    }

    /// @dev Whether a debit of (cumEnd - delta, cumEnd] can be paid at `time`. All three answers in one: a post asks it of
    /// thousands of channels, and jumps cost more than the answers.
    function canPay(ChannelSlot slot, uint80 cumEnd, uint64 delta, uint40 time) internal pure returns (bool can) {
        bool isInTime = time <= slot.settleBy();
        bool isCovered = delta <= slot.available();
        unchecked {
            // 80 and 64 bits
            bool isNext = uint256(slot.spent()) + delta == cumEnd;
            // solhint-disable-next-line no-inline-assembly
            assembly ("memory-safe") {
                can := and(isInTime, and(isCovered, isNext))
            }
        }
    }

    function available(ChannelSlot slot) internal pure returns (uint96) {
        return uint96(ChannelSlot.unwrap(slot));
    }

    function spent(ChannelSlot slot) internal pure returns (uint80) {
        return uint80(ChannelSlot.unwrap(slot) >> _SPENT_AT);
    }

    function settleBy(ChannelSlot slot) internal pure returns (uint40) {
        return uint40(ChannelSlot.unwrap(slot) >> _SETTLE_BY_AT);
    }

    function epoch(ChannelSlot slot) internal pure returns (uint16) {
        return uint16(ChannelSlot.unwrap(slot) >> _EPOCH_AT);
    }

    function mode(ChannelSlot slot) internal pure returns (uint8) {
        return uint8(ChannelSlot.unwrap(slot) >> _MODE_AT);
    }
}
