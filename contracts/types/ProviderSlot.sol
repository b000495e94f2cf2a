// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What a relay owes a provider, in one word: enlisted u8 | paid u80 | claimable u96, highest first.
/// A provider row reads and writes this word and nothing else.
type ProviderSlot is uint256;

/// @notice Thrown when a credit would not fit the provider's claimable amount.
error ClaimableOverflow(uint256 claimable);

using ProviderSlots for ProviderSlot global;

/// @dev Where a provider's account is kept: a reference to it is computed once and used for reading and writing.
struct ProviderCell {
    ProviderSlot slot;
}

library ProviderSlots {
    uint256 private constant _PAID_AT = 96;
    uint256 private constant _ENLISTED_AT = 176;

    function enlist(ProviderSlot slot) internal pure returns (ProviderSlot) {
        return ProviderSlot.wrap(ProviderSlot.unwrap(slot) | (1 << _ENLISTED_AT));
    }

    /// @dev The caller has checked that `paid + credit` fits 80 bits.
    function credited(ProviderSlot slot, uint80 credit) internal pure returns (ProviderSlot) {
        uint256 sum = uint256(slot.claimable()) + credit;
        require(sum <= type(uint96).max, ClaimableOverflow(sum));
        unchecked {
            // each pUSD is one more paid and one more claimable
            return ProviderSlot.wrap(ProviderSlot.unwrap(slot) + uint256(credit) * ((1 << _PAID_AT) + 1));
        }
    }

    /// @dev Reverts when `paid + amount` does not fit 80 bits. Somebody else paid: nothing becomes claimable.
    function notePaid(ProviderSlot slot, uint80 amount) internal pure returns (ProviderSlot) {
        uint80 sum = slot.paid() + amount;
        uint256 others = ProviderSlot.unwrap(slot) & ~(uint256(type(uint80).max) << _PAID_AT);
        return ProviderSlot.wrap(others | (uint256(sum) << _PAID_AT));
    }

    function withClaimable(ProviderSlot slot, uint96 claimable_) internal pure returns (ProviderSlot) {
        return ProviderSlot.wrap((ProviderSlot.unwrap(slot) & ~uint256(type(uint96).max)) | claimable_);
    }

    function claimable(ProviderSlot slot) internal pure returns (uint96) {
        return uint96(ProviderSlot.unwrap(slot));
    }

    function paid(ProviderSlot slot) internal pure returns (uint80) {
        return uint80(ProviderSlot.unwrap(slot) >> _PAID_AT);
    }

    function enlisted(ProviderSlot slot) internal pure returns (bool) {
        return ProviderSlot.unwrap(slot) >> _ENLISTED_AT != 0;
    }
}
