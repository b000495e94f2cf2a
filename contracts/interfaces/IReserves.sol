// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ProviderVoucher} from "../libraries/Messages.sol";
import {ITimed} from "./ITimed.sol";

/// @notice Credits that relays set aside for providers, one pot per pair, which answers to nobody else. A provider turns
/// the relay's newest voucher into tokens from it at any time, without the relay.
interface IReserves is ITimed {
    /// @param amount What the pot holds, pUSD.
    /// @param thawing What the relay asked back of it; a redemption may still take it.
    /// @param thawEnd When the relay can have it; 0 without a thaw.
    struct Reserve {
        uint96 amount;
        uint96 thawing;
        uint40 thawEnd;
    }

    /// @notice Somebody added to a reserve.
    event ReserveFunded(uint32 indexed relayId, uint32 indexed providerId, address indexed payer, uint96 amount);
    /// @notice A relay asked part of a reserve back.
    event ReserveThawStarted(uint32 indexed relayId, uint32 indexed providerId, uint96 amount, uint40 thawEnd);
    /// @notice A relay took a thaw back.
    event ReserveThawCancelled(uint32 indexed relayId, uint32 indexed providerId, uint96 amount);
    /// @notice A relay got part of a reserve back as free credits of its owner.
    event ReserveWithdrawn(uint32 indexed relayId, uint32 indexed providerId, uint96 amount);
    /// @notice A voucher was paid, in full or as far as the reserve went.
    event ProviderVoucherRedeemed(
        uint32 indexed relayId,
        uint32 indexed providerId,
        address indexed to,
        uint80 cumulative,
        uint80 paidNow
    );
    /// @notice A provider said how much it serves a relay above the reserve.
    event CreditLimitSet(uint32 indexed providerId, uint96 limit);

    /// @notice Thrown when an amount is zero.
    error ZeroReserve();
    /// @notice Thrown when an address has no credits account.
    error UnknownPayer(address payer);
    /// @notice Thrown when a thaw is started during another.
    error ThawActive(uint40 thawEnd);
    /// @notice Thrown when there is no thaw.
    error NoThaw(uint32 relayId, uint32 providerId);
    /// @notice Thrown when a thaw is withdrawn too early.
    error StillThawing(uint40 thawEnd, uint40 clock);
    /// @notice Thrown when a voucher is for no more than was paid already.
    error StaleVoucher(uint80 cumulative, uint80 paid);
    /// @notice Thrown when a voucher is not signed by a key that is valid for the relay.
    error BadVoucherSigner(uint32 relayId, address signer);
    /// @notice Thrown when the reserve holds less than one token unit.
    error EmptyReserve(uint32 relayId, uint32 providerId, uint96 amount);
    /// @notice Thrown when somebody else would send a provider's money elsewhere than to its owner.
    error NotPayee(address caller, address to);
    /// @notice Thrown at deployment when a contract does not know this one.
    error WrongWiring(address contractAddress);

    /// @notice Adds free credits of the caller to a pair's reserve.
    function fundReserve(uint32 relayId, uint32 providerId, uint96 amount) external;

    /// @notice Asks for `amount`, or all there is if that is less, back. The provider can use it until it is withdrawn.
    /// Only the relay's owner.
    function thawReserve(uint32 relayId, uint32 providerId, uint96 amount) external;

    /// @notice Takes a thaw back. Only the relay's owner.
    function cancelReserveThaw(uint32 relayId, uint32 providerId) external;

    /// @notice Returns what has thawed, as far as it is still there, to the free credits of the relay's owner, who
    /// alone may ask.
    /// @return amount What was returned, pUSD.
    function withdrawReserve(uint32 relayId, uint32 providerId) external returns (uint96 amount);

    /// @notice Pays a voucher as whole token units, as far as the reserve goes; what it pays can be redeemed or posted
    /// no more. The provider's owner may name anyone to be paid; anybody else only the owner itself.
    /// @return paidNow What was paid, pUSD.
    function redeemProviderVoucher(
        ProviderVoucher calldata voucher,
        bytes calldata signature,
        address to
    ) external returns (uint80 paidNow);

    /// @notice Says how much the provider serves a relay above its reserve, for relays to read. Only its owner.
    function setCreditLimit(uint32 providerId, uint96 limit) external;

    /// @notice Reserve of a pair.
    function reserveOf(uint32 relayId, uint32 providerId) external view returns (Reserve memory);

    /// @notice What a provider said it serves above a reserve, pUSD: 0.50 USD if it said nothing.
    function creditLimitOf(uint32 providerId) external view returns (uint96);
}
