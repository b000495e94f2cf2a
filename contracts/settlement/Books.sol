// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Timed} from "../Timed.sol";
import {ICreditVault} from "../interfaces/ICreditVault.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStakeManager} from "../interfaces/IStakeManager.sol";
import {ChannelAccount} from "../types/ChannelSlot.sol";
import {ProviderCell} from "../types/ProviderSlot.sol";
import {NotOwner, UnknownId} from "../types/Roles.sol";
import {Windows} from "../types/Windows.sol";

/// @notice What the parts of the settlement share: its storage and the contracts it works with.
abstract contract Books is ISettlement, EIP712, Timed, ReentrancyGuardTransient {
    struct RelaySlot {
        uint64 batchNo;
        uint96 earned;
        uint96 earnedCur;
    }

    struct RelayBucket {
        uint96 earnedPrev;
        uint96 float;
        uint32 epoch;
    }

    uint16 private constant _MAX_PROTOCOL_FEE_BPS = 500;

    /// @inheritdoc ISettlement
    ICreditVault public immutable VAULT;
    /// @inheritdoc ISettlement
    IRegistry public immutable REGISTRY;
    /// @inheritdoc ISettlement
    IStakeManager public immutable STAKE_MANAGER;
    /// @inheritdoc ISettlement
    address public immutable RESERVES;
    /// @inheritdoc ISettlement
    address public immutable TREASURY;
    /// @inheritdoc ISettlement
    uint16 public immutable PROTOCOL_FEE_BPS;
    uint32 internal immutable _EPOCH;
    uint32 internal immutable _POST;
    uint32 internal immutable _CHANNEL_THAW;
    uint32 internal immutable _RELAY_BUCKET;
    /// @dev From the first bill of a receipt until its second can no longer be attacked; clocks differ by a minute.
    uint256 internal immutable _KEEP_COMMITS;

    mapping(uint32 relayId => mapping(uint32 userId => ChannelAccount account)) internal _channels;
    mapping(uint32 relayId => mapping(uint32 providerId => ProviderCell cell)) internal _providers;
    mapping(uint32 relayId => RelaySlot slot) internal _relays;
    mapping(uint32 relayId => RelayBucket bucket) internal _buckets;
    mapping(uint32 relayId => Inflight volume) internal _inflight;
    mapping(uint32 relayId => Commits count) internal _commits;
    mapping(uint32 relayId => mapping(uint256 place => bytes32 commit)) internal _ring;
    uint96 internal _protocolFees;

    constructor(
        ICreditVault vault,
        IRegistry registry,
        IStakeManager stakeManager,
        address reserves,
        address treasury,
        uint16 protocolFeeBps
    ) {
        require(vault.moduleOf(address(this)).state != 0, WrongWiring(address(vault)));
        require(stakeManager.SETTLEMENT() == address(this), WrongWiring(address(stakeManager)));
        require(vault.moduleOf(reserves).state != 0, WrongWiring(reserves));
        require(protocolFeeBps <= _MAX_PROTOCOL_FEE_BPS, ProtocolFeeTooHigh(protocolFeeBps, _MAX_PROTOCOL_FEE_BPS));
        require(treasury != address(0), ZeroTreasury());
        VAULT = vault;
        REGISTRY = registry;
        STAKE_MANAGER = stakeManager;
        RESERVES = reserves;
        TREASURY = treasury;
        PROTOCOL_FEE_BPS = protocolFeeBps;
        Windows memory windows = CLOCK.windows();
        _EPOCH = windows.epoch;
        _POST = windows.post;
        _CHANNEL_THAW = windows.channelThaw;
        _RELAY_BUCKET = windows.relayBucket;
        _KEEP_COMMITS = uint256(windows.post) + 2 * uint256(windows.epoch) + 1 minutes;
    }

    /// @inheritdoc ISettlement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @dev Moves earnings along: this bucket's, the bucket's before, earned. What becomes earned has waited for at
    /// least a whole bucket.
    function _rollBucket(uint32 relayId) internal view returns (RelaySlot memory slot, RelayBucket memory bucket) {
        slot = _relays[relayId];
        bucket = _buckets[relayId];
        uint32 epoch = uint32(_now() / _RELAY_BUCKET);
        if (epoch == bucket.epoch) return (slot, bucket);
        slot.earned += bucket.earnedPrev;
        if (epoch == bucket.epoch + 1) {
            bucket.earnedPrev = slot.earnedCur;
        } else {
            slot.earned += slot.earnedCur;
            bucket.earnedPrev = 0;
        }
        slot.earnedCur = 0;
        bucket.epoch = epoch;
    }

    function _checkIdOwner(uint8 role, uint32 id) internal view returns (address owner) {
        owner = REGISTRY.ownerOf(role, id);
        require(owner != address(0), UnknownId(role, id));
        require(msg.sender == owner, NotOwner(role, id, msg.sender));
    }
}
