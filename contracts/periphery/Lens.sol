// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../interfaces/IChannels.sol";
import {ICreditVault} from "../interfaces/ICreditVault.sol";
import {IIdentities} from "../interfaces/IIdentities.sol";
import {ILens} from "../interfaces/ILens.sol";
import {IPosts} from "../interfaces/IPosts.sol";
import {IProtocolClock} from "../interfaces/IProtocolClock.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IReserves} from "../interfaces/IReserves.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStakeManager} from "../interfaces/IStakeManager.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../types/Roles.sol";

/// @notice Paged views; see the interface.
contract Lens is ILens {
    /// @dev The ids of a page: from `from` up to but not including `end`.
    struct Range {
        uint32 from;
        uint32 end;
        uint32 next;
    }

    /// @inheritdoc ILens
    uint32 public constant MAX_PAGE = 256;
    uint8 private constant _UNBOND_SLOTS = 8;

    /// @inheritdoc ILens
    ISettlement public immutable SETTLEMENT;
    /// @inheritdoc ILens
    IReserves public immutable RESERVES;
    ICreditVault private immutable _VAULT;
    IRegistry private immutable _REGISTRY;
    IStakeManager private immutable _STAKES;
    IProtocolClock private immutable _CLOCK;
    uint256 private immutable _SCALE;

    constructor(ISettlement settlement, IReserves reserves) {
        require(settlement.RESERVES() == address(reserves), WrongWiring(address(settlement)));
        SETTLEMENT = settlement;
        RESERVES = reserves;
        _VAULT = settlement.VAULT();
        _REGISTRY = settlement.REGISTRY();
        _STAKES = settlement.STAKE_MANAGER();
        _CLOCK = settlement.CLOCK();
        _SCALE = _VAULT.SCALE();
    }

    /// @inheritdoc ILens
    function channelsOfUser(
        uint32 userId,
        uint32 firstRelayId,
        uint32 count
    ) external view returns (ChannelEntry[] memory page, uint32 next) {
        Range memory range = _range(firstRelayId, count, _REGISTRY.relayCount());
        page = new ChannelEntry[](range.end - range.from);
        uint256 found = 0;
        for (uint32 id = range.from; id < range.end; ++id) {
            ChannelEntry memory entry = _channel(id, userId);
            if (entry.channel.epoch == 0) continue;
            page[found] = entry;
            ++found;
        }
        return (_cut(page, found), range.next);
    }

    /// @inheritdoc ILens
    function channelsOfRelay(
        uint32 relayId,
        uint32 firstUserId,
        uint32 count
    ) external view returns (ChannelEntry[] memory page, uint32 next) {
        Range memory range = _range(firstUserId, count, _VAULT.userCount());
        page = new ChannelEntry[](range.end - range.from);
        uint256 found = 0;
        for (uint32 id = range.from; id < range.end; ++id) {
            ChannelEntry memory entry = _channel(relayId, id);
            if (entry.channel.epoch == 0) continue;
            page[found] = entry;
            ++found;
        }
        return (_cut(page, found), range.next);
    }

    /// @inheritdoc ILens
    function relays(uint32 first, uint32 count) external view returns (RelayEntry[] memory page, uint32 next) {
        Range memory range = _range(first, count, _REGISTRY.relayCount());
        page = new RelayEntry[](range.end - range.from);
        for (uint256 i = 0; i < page.length; ++i) page[i] = _relay(range.from + uint32(i));
        next = range.next;
    }

    /// @inheritdoc ILens
    function providers(uint32 first, uint32 count) external view returns (ProviderEntry[] memory page, uint32 next) {
        Range memory range = _range(first, count, _REGISTRY.providerCount());
        page = new ProviderEntry[](range.end - range.from);
        for (uint256 i = 0; i < page.length; ++i) page[i] = _provider(range.from + uint32(i));
        next = range.next;
    }

    /// @inheritdoc ILens
    function models(
        uint32 providerId,
        uint32 first,
        uint32 count
    ) external view returns (ModelEntry[] memory page, uint32 next) {
        Range memory range = _range(first, count, _REGISTRY.modelCount());
        page = new ModelEntry[](range.end - range.from);
        for (uint256 i = 0; i < page.length; ++i) {
            ModelEntry memory entry = page[i];
            uint32 modelId = range.from + uint32(i);
            entry.modelId = modelId;
            entry.slug = _REGISTRY.slugOf(modelId);
            entry.latestVersion = _REGISTRY.latestVersion(providerId, modelId);
            (entry.version, entry.price) = _REGISTRY.currentPriceOf(providerId, modelId);
        }
        next = range.next;
    }

    /// @inheritdoc ILens
    function pairsOfRelay(
        uint32 relayId,
        uint32 firstProviderId,
        uint32 count
    ) external view returns (PairEntry[] memory page, uint32 next) {
        Range memory range = _range(firstProviderId, count, _REGISTRY.providerCount());
        page = new PairEntry[](range.end - range.from);
        for (uint256 i = 0; i < page.length; ++i) page[i] = _pair(relayId, range.from + uint32(i));
        next = range.next;
    }

    /// @inheritdoc ILens
    function pairsOfProvider(
        uint32 providerId,
        uint32 firstRelayId,
        uint32 count
    ) external view returns (PairEntry[] memory page, uint32 next) {
        Range memory range = _range(firstRelayId, count, _REGISTRY.relayCount());
        page = new PairEntry[](range.end - range.from);
        uint256 found = 0;
        for (uint32 id = range.from; id < range.end; ++id) {
            PairEntry memory entry = _pair(id, providerId);
            if (!entry.account.enlisted && entry.reserve.amount == 0) continue;
            page[found] = entry;
            ++found;
        }
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(page, found)
        }
        next = range.next;
    }

    /// @inheritdoc ILens
    function dueToUser(uint32 userId) external view returns (UserDue memory due) {
        ICreditVault.Account memory account = _VAULT.accountOf(userId);
        due.owner = _VAULT.ownerOf(userId);
        (due.free, due.nonce) = (account.free, account.nonce);
        due.tokens = account.free / _SCALE;
    }

    /// @inheritdoc ILens
    function dueToRelay(uint32 relayId) external view returns (RelayDue memory due) {
        due.account = SETTLEMENT.relayAccountOf(relayId);
        due.tokens = due.account.earned / _SCALE;
        due.unbonded = _unbonded(ROLE_RELAY, relayId);
    }

    /// @inheritdoc ILens
    function dueToProvider(
        uint32 providerId,
        uint32 firstRelayId,
        uint32 count
    ) external view returns (ProviderDue memory due, uint32 next) {
        Range memory range = _range(firstRelayId, count, _REGISTRY.relayCount());
        uint32[] memory relayIds = new uint32[](range.end - range.from);
        uint256 found = 0;
        for (uint32 id = range.from; id < range.end; ++id) {
            uint96 claimable = SETTLEMENT.providerAccountOf(id, providerId).claimable;
            if (claimable == 0) continue;
            due.claimable += claimable;
            relayIds[found] = id;
            ++found;
        }
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(relayIds, found)
        }
        due.relayIds = relayIds;
        due.tokens = due.claimable / _SCALE;
        due.unbonded = _unbonded(ROLE_PROVIDER, providerId);
        next = range.next;
    }

    /// @inheritdoc ILens
    function unbondsOf(uint8 role, uint32 id) external view returns (UnbondEntry[] memory) {
        return _unbonds(role, id);
    }

    function _channel(uint32 relayId, uint32 userId) private view returns (ChannelEntry memory entry) {
        IChannels.Channel memory channel = SETTLEMENT.channelOf(relayId, userId);
        entry.channel = channel;
        if (channel.epoch == 0) return entry;
        (entry.relayId, entry.userId, entry.user) = (relayId, userId, _VAULT.ownerOf(userId));
        uint40 time = _CLOCK.clock();
        if (time > channel.settleBy) {
            entry.withdrawable = channel.available;
        } else if (channel.thawEnd != 0 && time >= channel.thawEnd) {
            entry.withdrawable = _least(channel.thawAmount, channel.available);
        }
    }

    function _relay(uint32 relayId) private view returns (RelayEntry memory entry) {
        entry.relayId = relayId;
        entry.relay = _REGISTRY.relayOf(relayId);
        entry.isActive = _STAKES.isActive(ROLE_RELAY, relayId);
        entry.bond = _STAKES.bondOf(ROLE_RELAY, relayId);
        entry.backing = _STAKES.backingOf(relayId);
        IPosts.Inflight memory volume = SETTLEMENT.inflightOf(relayId);
        entry.inflight = uint256(volume.cur) + volume.prev;
        entry.requiredBond = SETTLEMENT.requiredBond(relayId);
    }

    function _provider(uint32 providerId) private view returns (ProviderEntry memory entry) {
        entry.providerId = providerId;
        entry.provider = _REGISTRY.providerOf(providerId);
        entry.isActive = _STAKES.isActive(ROLE_PROVIDER, providerId);
        entry.bond = _STAKES.bondOf(ROLE_PROVIDER, providerId);
        entry.creditLimit = RESERVES.creditLimitOf(providerId);
    }

    function _pair(uint32 relayId, uint32 providerId) private view returns (PairEntry memory entry) {
        (entry.relayId, entry.providerId) = (relayId, providerId);
        (IIdentities.Signer memory signer, ) = _REGISTRY.signersOf(ROLE_PROVIDER, providerId);
        entry.signer = signer.key;
        entry.isActive = _STAKES.isActive(ROLE_PROVIDER, providerId);
        entry.creditLimit = RESERVES.creditLimitOf(providerId);
        entry.account = SETTLEMENT.providerAccountOf(relayId, providerId);
        IReserves.Reserve memory reserve = RESERVES.reserveOf(relayId, providerId);
        entry.reserve = reserve;
        if (reserve.thawEnd != 0 && _CLOCK.clock() >= reserve.thawEnd) {
            entry.withdrawable = _least(reserve.thawing, reserve.amount);
        }
    }

    function _unbonded(uint8 role, uint32 id) private view returns (uint96 amount) {
        UnbondEntry[] memory entries = _unbonds(role, id);
        for (uint256 i = 0; i < entries.length; ++i) if (entries[i].isReady) amount += entries[i].amount;
    }

    /// @dev In the order of the slots: what is held must stay behind, so one that goes can hold up another.
    function _unbonds(uint8 role, uint32 id) private view returns (UnbondEntry[] memory entries) {
        entries = new UnbondEntry[](_UNBOND_SLOTS);
        uint256 found = 0;
        uint40 time = _CLOCK.clock();
        IStakeManager.Bond memory bond = _STAKES.bondOf(role, id);
        uint256 left = uint256(bond.active) + bond.unbonding;
        uint256 held = role == ROLE_RELAY ? _STAKES.heldOf(id) : 0;
        for (uint8 slot = 0; slot < _UNBOND_SLOTS; ++slot) {
            IStakeManager.Unbond memory request = _STAKES.unbondOf(role, id, slot);
            if (request.amount == 0) continue;
            bool isReady = time >= request.releaseAt && left >= held + request.amount;
            if (isReady) left -= request.amount;
            entries[found] = UnbondEntry(slot, isReady, request.amount, request.releaseAt);
            ++found;
        }
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(entries, found)
        }
    }

    function _range(uint32 first, uint32 count, uint32 last) private pure returns (Range memory range) {
        require(count <= MAX_PAGE, PageTooLong(count, MAX_PAGE));
        uint256 end = uint256(first) + count;
        if (end <= last) range.next = uint32(end);
        else end = uint256(last) + 1;
        uint256 from = first == 0 ? 1 : first;
        if (from > end) from = end;
        // ids have 32 bits, and nobody will ever have the last of them
        (range.from, range.end) = (uint32(from), uint32(end));
    }

    function _cut(ChannelEntry[] memory page, uint256 length) private pure returns (ChannelEntry[] memory) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(page, length)
        }
        return page;
    }

    function _least(uint96 a, uint96 b) private pure returns (uint96) {
        return a < b ? a : b;
    }
}
