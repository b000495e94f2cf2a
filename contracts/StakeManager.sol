// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Timed} from "./Timed.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IPosts} from "./interfaces/IPosts.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IStakeManager} from "./interfaces/IStakeManager.sol";
import {Penalties} from "./libraries/Penalties.sol";
import {Bonds} from "./stakes/Bonds.sol";
import {ROLE_RELAY} from "./types/Roles.sol";

/// @notice Bonds and stakes; see the interface.
contract StakeManager is Bonds {
    modifier onlyFraudProofs() {
        require(msg.sender == FRAUD_PROOFS, NotFraudProofs(msg.sender));
        _;
    }

    /// @param settlement_ Deployed right after this; it checks that it is the one.
    /// @param fraudProofs_ Likewise.
    constructor(
        IProtocolClock clock_,
        ICreditVault vault,
        IRegistry registry,
        address settlement_,
        address fraudProofs_,
        uint96 minRelayStake,
        uint96 minProviderStake
    ) Timed(clock_) Bonds(vault, registry, settlement_, fraudProofs_, minRelayStake, minProviderStake) {}

    /// @inheritdoc IStakeManager
    function bond(uint8 role, uint32 id, uint96 amount) external nonReentrant {
        uint32 userId = _checkOwner(role, id);
        require(amount != 0, ZeroStake());
        _nowRunning();
        Bond storage amounts = _bonds[role][id];
        amounts.active += amount;
        _noteCrossing(role, id, amounts.active);
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
            uint256 required = IPosts(SETTLEMENT).requiredBond(id) + frozenOf[id] + finesOf[id];
            require(active - amount >= required, BondInUse(id, active - amount, required));
        }
        slot = _freeSlot(role, id);
        uint40 releaseAt = _now() + (role == ROLE_RELAY ? _UNBOND_RELAY : _UNBOND_PROVIDER);
        amounts.active = active - amount;
        amounts.unbonding += amount;
        _noteCrossing(role, id, active - amount);
        _unbonds[role][id][slot] = Unbond({amount: amount, releaseAt: releaseAt});
        emit UnbondRequested(role, id, slot, amount, releaseAt);
    }

    /// @inheritdoc IStakeManager
    function cancelUnbond(uint8 role, uint32 id, uint8 slot) external nonReentrant {
        _checkOwner(role, id);
        uint96 amount = _takeRequest(role, id, slot).amount;
        Bond storage amounts = _bonds[role][id];
        amounts.active += amount;
        _noteCrossing(role, id, amounts.active);
        emit UnbondCancelled(role, id, slot, amount);
    }

    /// @inheritdoc IStakeManager
    function withdrawUnbonded(uint8 role, uint32 id, uint8 slot) external nonReentrant {
        uint32 userId = _checkOwner(role, id);
        Unbond memory request = _takeRequest(role, id, slot);
        uint40 time = _now();
        require(time >= request.releaseAt, StillBonded(request.releaseAt, time));
        if (role == ROLE_RELAY) {
            // slashes take what is active first: what is on its way out may be all that covers the volume
            uint96 remaining = _totalOf(role, id);
            uint256 required = heldOf(id);
            require(remaining >= required, BondInUse(id, remaining, required));
        }
        emit Unbonded(role, id, slot, request.amount);
        _VAULT.release(userId, request.amount);
    }

    /// @inheritdoc IStakeManager
    function freeze(
        uint32 relayId,
        uint96 loss,
        bool isMetered
    ) external onlyFraudProofs nonReentrant returns (uint96 kept) {
        kept = _fineOf(ROLE_RELAY, relayId, loss, isMetered);
        uint96 frozen = frozenOf[relayId] + kept;
        frozenOf[relayId] = frozen;
        emit Frozen(relayId, kept, frozen);
    }

    /// @inheritdoc IStakeManager
    function unfreeze(uint32 relayId, uint96 kept) external onlyFraudProofs nonReentrant {
        _unfreeze(relayId, kept);
    }

    /// @inheritdoc IStakeManager
    function slash(
        uint8 role,
        uint32 id,
        uint96 loss,
        uint32 victim,
        uint32 challenger,
        bool isMetered
    ) external onlyFraudProofs nonReentrant returns (uint96, uint96, uint96) {
        uint96[2] memory fine = [Penalties.total(loss, _totalOf(role, id)), _fineOf(role, id, loss, isMetered)];
        return _punish(role, id, fine, victim == 0 ? 0 : loss, [victim, challenger]);
    }

    /// @inheritdoc IStakeManager
    function slashFrozen(
        uint32 relayId,
        uint96 kept,
        uint96 loss,
        uint32 victim,
        uint32 challenger
    ) external onlyFraudProofs nonReentrant returns (uint96, uint96, uint96) {
        uint96 wanted = Penalties.total(loss, _totalOf(ROLE_RELAY, relayId));
        uint96 taken = wanted < kept ? wanted : kept;
        _unfreeze(relayId, taken);
        return _punish(ROLE_RELAY, relayId, [wanted, taken], loss, [victim, challenger]);
    }
}
