// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "./IChannels.sol";
import {IEarnings} from "./IEarnings.sol";
import {IIdentities} from "./IIdentities.sol";
import {IPrices} from "./IPrices.sol";
import {IReserves} from "./IReserves.sol";
import {ISettlement} from "./ISettlement.sol";
import {IStakeManager} from "./IStakeManager.sol";

/// @notice What clients and nodes read many of at once, for `eth_call`. Nothing here changes or decides anything.
///
/// A page is what there is among the ids from `first` to `first + count - 1`, each entry with its id, and `next`: the
/// id to go on from, 0 when there are no more. Ids run from 1, so `first` 0 is an id that does not exist; beyond the last
/// id a page is empty. Amounts are pUSD unless they are called tokens; times are protocol time, which stands still
/// during a pause. "Now" is the time of the block that is asked.
interface ILens {
    /// @param user Owner of the user id.
    /// @param withdrawable What `withdrawChannel` would return now.
    struct ChannelEntry {
        uint32 relayId;
        uint32 userId;
        address user;
        uint96 withdrawable;
        IChannels.Channel channel;
    }

    /// @param isActive Whether it is registered, has not left, and has the minimum stake.
    /// @param backing What of the bond volume can be measured against.
    /// @param inflight Metered volume that is not final.
    /// @param requiredBond What that volume needs.
    struct RelayEntry {
        uint32 relayId;
        bool isActive;
        uint96 backing;
        uint256 inflight;
        uint256 requiredBond;
        IStakeManager.Bond bond;
        IIdentities.Relay relay;
    }

    /// @param isActive Whether it is registered, has not left, and has the minimum stake.
    /// @param creditLimit How much it serves a relay above the reserve.
    struct ProviderEntry {
        uint32 providerId;
        bool isActive;
        uint96 creditLimit;
        IStakeManager.Bond bond;
        IIdentities.Provider provider;
    }

    /// @param version The version in force now; 0 if the provider has no price for the model.
    /// @param latestVersion The newest version; above `version` while a rise waits for its notice.
    /// @param price The price in force now; all zero without one.
    struct ModelEntry {
        uint32 modelId;
        uint32 version;
        uint32 latestVersion;
        IPrices.Price price;
        string slug;
    }

    /// @param signer The provider's current hot key.
    /// @param isActive Whether the provider is registered, has not left, and has the minimum stake.
    /// @param creditLimit How much the provider serves a relay above the reserve.
    /// @param withdrawable What `withdrawReserve` would return to the relay now.
    /// @param account What the relay's batches owe the provider, and what it was paid.
    /// @param reserve What the relay set aside for the provider.
    struct PairEntry {
        uint32 relayId;
        uint32 providerId;
        address signer;
        bool isActive;
        uint96 creditLimit;
        uint96 withdrawable;
        IEarnings.ProviderAccount account;
        IReserves.Reserve reserve;
    }

    /// @param isReady Whether `withdrawUnbonded` would work now, if those before it that are ready went first.
    struct UnbondEntry {
        uint8 slot;
        bool isReady;
        uint96 amount;
        uint40 releaseAt;
    }

    /// @param owner 0 if there is no such user.
    /// @param free Credits outside of channels, bonds and reserves.
    /// @param nonce The next nonce of the user's signed messages.
    /// @param tokens What `withdraw` of all free credits would pay now. What channels would return, their pages say.
    struct UserDue {
        address owner;
        uint96 free;
        uint64 nonce;
        uint256 tokens;
    }

    /// @param tokens What `claimRelay` would pay now.
    /// @param unbonded What the ready unbonding requests would return now.
    /// @param account What is earned, what is pending, and the float, all of which `withdrawFloat` returns at any time.
    struct RelayDue {
        uint256 tokens;
        uint96 unbonded;
        IEarnings.RelayAccount account;
    }

    /// @param claimable Owed by the relays of the page.
    /// @param tokens What `claimProvider` at these relays would pay now.
    /// @param unbonded What the ready unbonding requests would return now.
    /// @param relayIds Relays of the page that owe anything: what `claimProvider` is to be called with.
    struct ProviderDue {
        uint256 claimable;
        uint256 tokens;
        uint96 unbonded;
        uint32[] relayIds;
    }

    /// @notice Thrown when more than a page holds is asked for.
    error PageTooLong(uint256 count, uint256 longest);
    /// @notice Thrown at deployment when the settlement does not know the reserves.
    error WrongWiring(address settlement);

    /// @notice Channels that a user ever opened, by relay id.
    function channelsOfUser(
        uint32 userId,
        uint32 firstRelayId,
        uint32 count
    ) external view returns (ChannelEntry[] memory page, uint32 next);

    /// @notice Channels that were ever opened to a relay, by user id.
    function channelsOfRelay(
        uint32 relayId,
        uint32 firstUserId,
        uint32 count
    ) external view returns (ChannelEntry[] memory page, uint32 next);

    /// @notice All relays, those that left included.
    function relays(uint32 first, uint32 count) external view returns (RelayEntry[] memory page, uint32 next);

    /// @notice All providers, those that left included.
    function providers(uint32 first, uint32 count) external view returns (ProviderEntry[] memory page, uint32 next);

    /// @notice All models, with what a provider asks for them. For the models alone any id without a provider does.
    function models(
        uint32 providerId,
        uint32 first,
        uint32 count
    ) external view returns (ModelEntry[] memory page, uint32 next);

    /// @notice A relay and all providers, by provider id.
    function pairsOfRelay(
        uint32 relayId,
        uint32 firstProviderId,
        uint32 count
    ) external view returns (PairEntry[] memory page, uint32 next);

    /// @notice A provider and the relays that enlisted it or hold a reserve for it, by relay id.
    function pairsOfProvider(
        uint32 providerId,
        uint32 firstRelayId,
        uint32 count
    ) external view returns (PairEntry[] memory page, uint32 next);

    /// @notice What a user can withdraw now.
    function dueToUser(uint32 userId) external view returns (UserDue memory);

    /// @notice What a relay can claim and withdraw now; its reserves are in the pages of its pairs.
    function dueToRelay(uint32 relayId) external view returns (RelayDue memory);

    /// @notice What a provider can claim at the relays of a page and withdraw now.
    function dueToProvider(
        uint32 providerId,
        uint32 firstRelayId,
        uint32 count
    ) external view returns (ProviderDue memory due, uint32 next);

    /// @notice The open unbonding requests of an id; at most 8.
    function unbondsOf(uint8 role, uint32 id) external view returns (UnbondEntry[] memory);

    /// @notice The most ids that a page can span.
    function MAX_PAGE() external view returns (uint32);

    /// @notice What is read, with the vault, the registry and the stake manager that it names.
    function SETTLEMENT() external view returns (ISettlement);

    /// @notice The reserves that are read.
    function RESERVES() external view returns (IReserves);
}
