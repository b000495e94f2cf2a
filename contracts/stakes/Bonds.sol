// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Timed} from "../Timed.sol";
import {ICreditVault} from "../interfaces/ICreditVault.sol";
import {IPosts} from "../interfaces/IPosts.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IStakeManager} from "../interfaces/IStakeManager.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId, UnknownRole} from "../types/Roles.sol";
import {Penalties} from "../libraries/Penalties.sol";
import {Windows} from "../types/Windows.sol";

/// @notice What bonds and stakes are, and how they change: by their owners and by slashes alike.
abstract contract Bonds is IStakeManager, Timed, ReentrancyGuardTransient {
    /// @dev When an id came to have the minimum stake, or no longer had it.
    struct Crossing {
        uint40 time;
        bool isStaked;
    }

    uint8 internal constant _UNBOND_SLOTS = 8;

    /// @inheritdoc IStakeManager
    uint96 public immutable MIN_RELAY_STAKE;
    /// @inheritdoc IStakeManager
    uint96 public immutable MIN_PROVIDER_STAKE;
    /// @inheritdoc IStakeManager
    address public immutable SETTLEMENT;
    /// @inheritdoc IStakeManager
    address public immutable FRAUD_PROOFS;
    ICreditVault internal immutable _VAULT;
    IRegistry internal immutable _REGISTRY;
    uint32 internal immutable _UNBOND_PROVIDER;
    uint32 internal immutable _UNBOND_RELAY;

    /// @inheritdoc IStakeManager
    uint128 public burned;
    /// @inheritdoc IStakeManager
    mapping(uint32 relayId => uint96 amount) public frozenOf;
    /// @inheritdoc IStakeManager
    mapping(uint32 relayId => uint96 amount) public finesOf;

    mapping(uint8 role => mapping(uint32 id => Bond amounts)) internal _bonds;
    mapping(uint8 role => mapping(uint32 id => mapping(uint8 slot => Unbond request))) internal _unbonds;
    /// @dev Oldest first, at most one per second.
    mapping(uint8 role => mapping(uint32 id => Crossing[] list)) private _crossings;

    /// @param settlement_ Deployed right after this; it checks that it is the one.
    /// @param fraudProofs_ Likewise.
    constructor(
        ICreditVault vault,
        IRegistry registry,
        address settlement_,
        address fraudProofs_,
        uint96 minRelayStake,
        uint96 minProviderStake
    ) {
        require(vault.moduleOf(address(this)).state != 0, WrongWiring(address(vault)));
        require(vault.moduleOf(settlement_).state != 0, WrongWiring(settlement_));
        require(vault.moduleOf(fraudProofs_).state != 0, WrongWiring(fraudProofs_));
        // without a minimum nobody would ever cross it, and nobody count as staked
        require(minRelayStake != 0 && minProviderStake != 0, ZeroStake());
        _VAULT = vault;
        _REGISTRY = registry;
        SETTLEMENT = settlement_;
        FRAUD_PROOFS = fraudProofs_;
        Windows memory windows = CLOCK.windows();
        _UNBOND_PROVIDER = windows.unbondProvider;
        _UNBOND_RELAY = windows.unbondRelay;
        MIN_RELAY_STAKE = minRelayStake;
        MIN_PROVIDER_STAKE = minProviderStake;
    }

    /// @inheritdoc IStakeManager
    function penaltyOf(uint8 role, uint32 id, uint96 loss) external view returns (uint96) {
        return Penalties.total(loss, _totalOf(role, id));
    }

    /// @inheritdoc IStakeManager
    function backingOf(uint32 relayId) external view returns (uint96) {
        (uint96 active, uint96 frozen) = (_bonds[ROLE_RELAY][relayId].active, frozenOf[relayId]);
        return active > frozen ? active - frozen : 0;
    }

    /// @inheritdoc IStakeManager
    function wasStaked(uint8 role, uint32 id, uint40 from, uint40 to) external view returns (bool) {
        Crossing[] storage crossings = _crossings[role][id];
        (uint256 low, uint256 high) = (0, crossings.length);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (crossings[middle].time > to) high = middle;
            else low = middle + 1;
        }
        if (high == 0) return false;
        // the last crossing until then: upwards, or downwards after the time in question began
        Crossing memory last = crossings[high - 1];
        return last.isStaked || last.time > from;
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

    /// @inheritdoc IStakeManager
    function heldOf(uint32 relayId) public view returns (uint256) {
        return _volumeOf(relayId) + frozenOf[relayId] + finesOf[relayId];
    }

    function _takeRequest(uint8 role, uint32 id, uint8 slot) internal returns (Unbond memory request) {
        request = _unbonds[role][id][slot];
        require(request.amount != 0, NoUnbond(role, id, slot));
        delete _unbonds[role][id][slot];
        _bonds[role][id].unbonding -= request.amount;
    }

    /// @param fine What the loss costs, and what of that can be taken now.
    /// @param accounts Victim and challenger.
    function _punish(
        uint8 role,
        uint32 id,
        uint96[2] memory fine,
        uint96 loss,
        uint32[2] memory accounts
    ) internal returns (uint96 toVictim, uint96 toChallenger, uint96 toNobody) {
        uint96 taken = fine[1];
        _take(role, id, taken);
        if (role == ROLE_RELAY) _holdBack(id, fine[0] - taken);
        (toVictim, toChallenger, toNobody) = Penalties.split(taken, loss);
        burned += toNobody;
        emit Slashed(role, id, toVictim, toChallenger, toNobody);
        if (toVictim != 0) _VAULT.release(accounts[0], toVictim);
        if (toChallenger != 0) _VAULT.release(accounts[1], toChallenger);
    }

    function _unfreeze(uint32 relayId, uint96 kept) internal {
        uint96 frozen = frozenOf[relayId] - kept;
        frozenOf[relayId] = frozen;
        emit Unfrozen(relayId, kept, frozen);
    }

    /// @dev Active first: what is on its way out was asked for earlier, and answers last.
    function _take(uint8 role, uint32 id, uint96 amount) internal {
        Bond storage amounts = _bonds[role][id];
        uint96 active = amounts.active;
        uint96 part = amount < active ? amount : active;
        amounts.active = active - part;
        _noteCrossing(role, id, active - part);
        amount -= part;
        amounts.unbonding -= amount;
        for (uint8 slot = 0; amount != 0; ++slot) {
            Unbond storage request = _unbonds[role][id][slot];
            part = amount < request.amount ? amount : request.amount;
            request.amount -= part;
            amount -= part;
        }
    }

    /// @dev Only crossings of the minimum are kept, so that nobody can make the list long for little.
    function _noteCrossing(uint8 role, uint32 id, uint96 active) internal {
        uint96 least = role == ROLE_RELAY ? MIN_RELAY_STAKE : MIN_PROVIDER_STAKE;
        bool isStaked = active >= least;
        Crossing[] storage crossings = _crossings[role][id];
        uint256 count = crossings.length;
        if (count == 0 ? !isStaked : crossings[count - 1].isStaked == isStaked) return;
        uint40 time = _now();
        if (count != 0 && crossings[count - 1].time == time) crossings[count - 1].isStaked = isStaked;
        else crossings.push(Crossing({time: time, isStaked: isStaked}));
    }

    /// @dev What a loss may cost now. The victim of a metered row comes before whatever the rest may be needed for.
    function _fineOf(uint8 role, uint32 id, uint96 loss, bool isMetered) internal view returns (uint96) {
        uint96 total = _totalOf(role, id);
        if (role != ROLE_RELAY) return Penalties.total(loss, total);
        uint96 frozen = frozenOf[id];
        total = total > frozen ? total - frozen : 0;
        uint96 fine = Penalties.total(loss, total);
        uint256 others = _volumeOf(id);
        uint96 most = 0;
        if (isMetered) {
            others = others > loss ? others - loss : 0;
            most = loss < total ? loss : total;
        }
        if (total > others + most) most = uint96(total - others);
        return fine < most ? fine : most;
    }

    function _totalOf(uint8 role, uint32 id) internal view returns (uint96) {
        Bond memory amounts = _bonds[role][id];
        return amounts.active + amounts.unbonding;
    }

    function _freeSlot(uint8 role, uint32 id) internal view returns (uint8 slot) {
        while (slot < _UNBOND_SLOTS && _unbonds[role][id][slot].amount != 0) ++slot;
        require(slot < _UNBOND_SLOTS, TooManyUnbonds(role, id));
    }

    /// @dev An owner that has left still owns its bond.
    function _checkOwner(uint8 role, uint32 id) internal view returns (uint32 userId) {
        require(role == ROLE_RELAY || role == ROLE_PROVIDER, UnknownRole(role));
        address owner = _REGISTRY.ownerOf(role, id);
        require(owner != address(0), UnknownId(role, id));
        require(msg.sender == owner, NotOwner(role, id, msg.sender));
        userId = _VAULT.userIdOf(owner);
        require(userId != 0, OwnerWithoutCredits(owner));
    }

    /// @dev Else a relay could fine itself nothing: what it has frozen for honest rows, by demands of its own that it
    /// answers afterwards, is out of reach for a slash. Never more than there is, so a bond that was lost owes nothing.
    function _holdBack(uint32 relayId, uint96 missed) private {
        uint96 before = finesOf[relayId];
        if (before == 0 && missed == 0) return;
        uint256 fines = uint256(before) + missed;
        uint96 left = _totalOf(ROLE_RELAY, relayId);
        if (fines > left) fines = left;
        finesOf[relayId] = uint96(fines);
        emit FinesHeldBack(relayId, uint96(fines));
    }

    /// @dev Metered volume that is not final, pUSD.
    function _volumeOf(uint32 relayId) private view returns (uint256) {
        IPosts.Inflight memory volume = IPosts(SETTLEMENT).inflightOf(relayId);
        return uint256(volume.cur) + volume.prev;
    }
}
