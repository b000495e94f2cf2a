// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Timed} from "./Timed.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IPosts} from "./interfaces/IPosts.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IStakeManager} from "./interfaces/IStakeManager.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId, UnknownRole} from "./types/Roles.sol";
import {Windows} from "./types/Windows.sol";

/// @notice Bonds and stakes; see the interface.
contract StakeManager is IStakeManager, Timed, ReentrancyGuardTransient {
    uint8 private constant _UNBOND_SLOTS = 8;

    /// @inheritdoc IStakeManager
    uint96 public immutable MIN_RELAY_STAKE;
    /// @inheritdoc IStakeManager
    uint96 public immutable MIN_PROVIDER_STAKE;
    /// @inheritdoc IStakeManager
    address public immutable SETTLEMENT;
    ICreditVault private immutable _VAULT;
    IRegistry private immutable _REGISTRY;

    mapping(uint8 role => mapping(uint32 id => Bond amounts)) private _bonds;
    mapping(uint8 role => mapping(uint32 id => mapping(uint8 slot => Unbond request))) private _unbonds;

    /// @param settlement_ Deployed right after this; it checks that it is the one.
    constructor(
        IProtocolClock clock_,
        Windows memory windows_,
        ICreditVault vault,
        IRegistry registry,
        address settlement_,
        uint96 minRelayStake,
        uint96 minProviderStake
    ) Timed(clock_, windows_) {
        require(vault.moduleOf(address(this)).state != 0, WrongWiring(address(vault)));
        require(vault.moduleOf(settlement_).state != 0, WrongWiring(settlement_));
        _VAULT = vault;
        _REGISTRY = registry;
        SETTLEMENT = settlement_;
        MIN_RELAY_STAKE = minRelayStake;
        MIN_PROVIDER_STAKE = minProviderStake;
    }

    /// @inheritdoc IStakeManager
    function bond(uint8 role, uint32 id, uint96 amount) external nonReentrant {
        uint32 userId = _checkOwner(role, id);
        require(amount != 0, ZeroStake());
        Bond storage amounts = _bonds[role][id];
        amounts.active += amount;
        emit Bonded(role, id, amount, amounts.active);
        _VAULT.lock(userId, amount);
    }

    /// @inheritdoc IStakeManager
    function requestUnbond(uint8 role, uint32 id, uint96 amount) external nonReentrant returns (uint8 slot) {
        _checkOwner(role, id);
        require(amount != 0, ZeroStake());
        Bond storage amounts = _bonds[role][id];
        uint96 active = amounts.active;
        require(amount <= active, InsufficientBond(role, id, active, amount));
        if (role == ROLE_RELAY) {
            uint256 required = IPosts(SETTLEMENT).requiredBond(id);
            require(active - amount >= required, BondInUse(id, active - amount, required));
        }
        slot = _freeSlot(role, id);
        uint40 releaseAt = _now() + (role == ROLE_RELAY ? _UNBOND_RELAY : _UNBOND_PROVIDER);
        amounts.active = active - amount;
        amounts.unbonding += amount;
        _unbonds[role][id][slot] = Unbond({amount: amount, releaseAt: releaseAt});
        emit UnbondRequested(role, id, slot, amount, releaseAt);
    }

    /// @inheritdoc IStakeManager
    function cancelUnbond(uint8 role, uint32 id, uint8 slot) external nonReentrant {
        _checkOwner(role, id);
        uint96 amount = _takeRequest(role, id, slot).amount;
        _bonds[role][id].active += amount;
        emit UnbondCancelled(role, id, slot, amount);
    }

    /// @inheritdoc IStakeManager
    function withdrawUnbonded(uint8 role, uint32 id, uint8 slot) external nonReentrant {
        uint32 userId = _checkOwner(role, id);
        Unbond memory request = _takeRequest(role, id, slot);
        uint40 time = _now();
        require(time >= request.releaseAt, StillBonded(request.releaseAt, time));
        emit Unbonded(role, id, slot, request.amount);
        _VAULT.release(userId, request.amount);
    }

    /// @inheritdoc IStakeManager
    function bondOf(uint8 role, uint32 id) external view returns (Bond memory) {
        return _bonds[role][id];
    }

    /// @inheritdoc IStakeManager
    function unbondOf(uint8 role, uint32 id, uint8 slot) external view returns (Unbond memory) {
        return _unbonds[role][id][slot];
    }

    /// @inheritdoc IStakeManager
    function isActive(uint8 role, uint32 id) external view returns (bool) {
        if (role != ROLE_RELAY && role != ROLE_PROVIDER) return false;
        uint96 least = role == ROLE_RELAY ? MIN_RELAY_STAKE : MIN_PROVIDER_STAKE;
        return _bonds[role][id].active >= least && _REGISTRY.isActive(role, id);
    }

    function _takeRequest(uint8 role, uint32 id, uint8 slot) private returns (Unbond memory request) {
        request = _unbonds[role][id][slot];
        require(request.amount != 0, NoUnbond(role, id, slot));
        delete _unbonds[role][id][slot];
        _bonds[role][id].unbonding -= request.amount;
    }

    function _freeSlot(uint8 role, uint32 id) private view returns (uint8 slot) {
        while (slot < _UNBOND_SLOTS && _unbonds[role][id][slot].amount != 0) ++slot;
        require(slot < _UNBOND_SLOTS, TooManyUnbonds(role, id));
    }

    /// @dev An owner that has left still owns its bond.
    function _checkOwner(uint8 role, uint32 id) private view returns (uint32 userId) {
        require(role == ROLE_RELAY || role == ROLE_PROVIDER, UnknownRole(role));
        address owner = _REGISTRY.ownerOf(role, id);
        require(owner != address(0), UnknownId(role, id));
        require(msg.sender == owner, NotOwner(role, id, msg.sender));
        userId = _VAULT.userIdOf(owner);
        require(userId != 0, OwnerWithoutCredits(owner));
    }
}
