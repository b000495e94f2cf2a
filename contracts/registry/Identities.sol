// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Timed} from "../Timed.sol";
import {IIdentities} from "../interfaces/IIdentities.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Messages, SignerProof} from "../libraries/Messages.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId, UnknownRole} from "../types/Roles.sol";
import {Windows} from "../types/Windows.sol";

/// @notice Relays and providers, their signers, and the relays' fees.
abstract contract Identities is IRegistry, EIP712, Timed {
    using Messages for SignerProof;

    struct Entry {
        address owner;
        uint40 registeredAt;
        uint40 deactivatedAt;
    }

    struct Keys {
        address current;
        address previous;
    }

    struct Fee {
        uint16 curBps;
        uint16 prevBps;
        uint40 changedAt;
    }

    /// @dev What a key was bound to last, and when it was valid for it.
    struct Binding {
        uint8 role;
        uint32 id;
        uint40 validFrom;
        uint40 validUntil;
    }

    /// @inheritdoc IIdentities
    uint16 public constant MAX_RELAY_FEE_BPS = 2_000;
    uint40 private constant _FOREVER = type(uint40).max;
    uint32 private immutable _SIGNER_THAW;
    uint32 private immutable _FEE_NOTICE;

    mapping(uint8 role => uint32 count) private _counts;
    mapping(uint8 role => mapping(uint32 id => Entry entry)) private _entries;
    mapping(uint8 role => mapping(uint32 id => Keys keys)) private _keys;
    mapping(uint8 role => mapping(uint32 id => bytes32 hash)) private _metadata;
    mapping(uint8 role => mapping(address owner => uint32 id)) private _idOfOwner;
    /// @dev Kept by key, so that no later rotation makes anybody forget what a key had signed while it was valid.
    mapping(address signer => Binding binding) private _bindings;
    mapping(uint32 relayId => Fee fee) private _fees;

    constructor() {
        Windows memory windows = CLOCK.windows();
        _SIGNER_THAW = windows.signerThaw;
        _FEE_NOTICE = windows.feeNotice;
    }

    /// @inheritdoc IIdentities
    function registerRelay(
        address signer,
        uint16 feeBps,
        bytes32 metadataHash,
        uint40 deadline,
        bytes calldata signerProof
    ) external returns (uint32 relayId) {
        _checkFee(feeBps);
        relayId = _register(ROLE_RELAY, signer, metadataHash, deadline, signerProof);
        _fees[relayId] = Fee({curBps: feeBps, prevBps: feeBps, changedAt: _now()});
        emit RelayRegistered(relayId, msg.sender, signer, feeBps, metadataHash);
    }

    /// @inheritdoc IIdentities
    function registerProvider(
        address signer,
        bytes32 metadataHash,
        uint40 deadline,
        bytes calldata signerProof
    ) external returns (uint32 providerId) {
        providerId = _register(ROLE_PROVIDER, signer, metadataHash, deadline, signerProof);
        emit ProviderRegistered(providerId, msg.sender, signer, metadataHash);
    }

    /// @inheritdoc IIdentities
    function rotateSigner(
        uint8 role,
        uint32 id,
        address newSigner,
        uint40 deadline,
        bytes calldata signerProof
    ) external {
        _checkActiveOwner(role, id);
        Keys storage keys = _keys[role][id];
        uint40 time = _now();
        uint40 pending = _signer(role, id, keys.previous).validUntil;
        require(time >= pending, RotationPending(role, id, pending));
        address old = keys.current;
        uint40 until = time + _SIGNER_THAW;
        _bindings[old].validUntil = until;
        keys.previous = old;
        _bind(role, id, newSigner, deadline, signerProof);
        emit SignerRotated(role, id, newSigner, old, until);
    }

    /// @inheritdoc IIdentities
    function setMetadata(uint8 role, uint32 id, bytes32 metadataHash) external {
        _checkActiveOwner(role, id);
        _metadata[role][id] = metadataHash;
        emit MetadataChanged(role, id, metadataHash);
    }

    /// @inheritdoc IIdentities
    function setRelayFee(uint32 relayId, uint16 feeBps) external {
        _checkActiveOwner(ROLE_RELAY, relayId);
        _checkFee(feeBps);
        Fee storage fee = _fees[relayId];
        uint40 time = _now();
        uint40 allowedFrom = fee.changedAt + _FEE_NOTICE;
        require(time >= allowedFrom, FeeChangeTooSoon(relayId, allowedFrom));
        uint16 previous = fee.curBps;
        (fee.curBps, fee.prevBps, fee.changedAt) = (feeBps, previous, time);
        emit RelayFeeChanged(relayId, feeBps, previous, time);
    }

    /// @inheritdoc IIdentities
    function deactivate(uint8 role, uint32 id) external {
        _checkActiveOwner(role, id);
        uint40 time = _now();
        uint40 until = time + _SIGNER_THAW;
        _entries[role][id].deactivatedAt = time;
        _bindings[_keys[role][id].current].validUntil = until;
        emit Deactivated(role, id, until);
    }

    /// @inheritdoc IIdentities
    function relayCount() external view returns (uint32) {
        return _counts[ROLE_RELAY];
    }

    /// @inheritdoc IIdentities
    function providerCount() external view returns (uint32) {
        return _counts[ROLE_PROVIDER];
    }

    /// @inheritdoc IIdentities
    function relayOf(uint32 relayId) external view returns (Relay memory relay) {
        Entry memory entry = _entries[ROLE_RELAY][relayId];
        Fee memory fee = _fees[relayId];
        relay.owner = entry.owner;
        relay.signer = _keys[ROLE_RELAY][relayId].current;
        relay.registeredAt = entry.registeredAt;
        relay.deactivatedAt = entry.deactivatedAt;
        relay.feeCurBps = fee.curBps;
        relay.feePrevBps = fee.prevBps;
        relay.feeChangedAt = fee.changedAt;
        relay.metadataHash = _metadata[ROLE_RELAY][relayId];
    }

    /// @inheritdoc IIdentities
    function providerOf(uint32 providerId) external view returns (Provider memory provider) {
        Entry memory entry = _entries[ROLE_PROVIDER][providerId];
        provider.owner = entry.owner;
        provider.signer = _keys[ROLE_PROVIDER][providerId].current;
        provider.registeredAt = entry.registeredAt;
        provider.deactivatedAt = entry.deactivatedAt;
        provider.metadataHash = _metadata[ROLE_PROVIDER][providerId];
    }

    /// @inheritdoc IIdentities
    function ownerOf(uint8 role, uint32 id) external view returns (address) {
        return _entries[role][id].owner;
    }

    /// @inheritdoc IIdentities
    function isActive(uint8 role, uint32 id) external view returns (bool) {
        return _isActive(role, id);
    }

    /// @inheritdoc IIdentities
    function relayIdOf(address owner) external view returns (uint32) {
        return _idOfOwner[ROLE_RELAY][owner];
    }

    /// @inheritdoc IIdentities
    function providerIdOf(address owner) external view returns (uint32) {
        return _idOfOwner[ROLE_PROVIDER][owner];
    }

    /// @inheritdoc IIdentities
    function relayIdBySigner(address signer) external view returns (uint32) {
        return _idBySigner(ROLE_RELAY, signer);
    }

    /// @inheritdoc IIdentities
    function providerIdBySigner(address signer) external view returns (uint32) {
        return _idBySigner(ROLE_PROVIDER, signer);
    }

    /// @inheritdoc IIdentities
    function signersOf(uint8 role, uint32 id) external view returns (Signer memory current, Signer memory previous) {
        Keys storage keys = _keys[role][id];
        return (_signer(role, id, keys.current), _signer(role, id, keys.previous));
    }

    /// @inheritdoc IIdentities
    function isSignerValid(uint8 role, uint32 id, address signer, uint40 time) external view returns (bool) {
        return _isSignerValid(role, id, signer, time);
    }

    /// @inheritdoc IIdentities
    function mayPost(uint32 relayId, address caller) external view returns (bool) {
        address signer = _keys[ROLE_RELAY][relayId].current;
        address owner = _entries[ROLE_RELAY][relayId].owner;
        if (owner == address(0)) return false;
        // the last key of an id that was left may be bound elsewhere by now: that gives it no word here
        return caller == owner || (caller == signer && _isSignerValid(ROLE_RELAY, relayId, signer, _now()));
    }

    function _checkActiveOwner(uint8 role, uint32 id) internal view {
        require(role == ROLE_RELAY || role == ROLE_PROVIDER, UnknownRole(role));
        address owner = _entries[role][id].owner;
        require(owner != address(0), UnknownId(role, id));
        require(msg.sender == owner, NotOwner(role, id, msg.sender));
        require(_isActive(role, id), NotActive(role, id));
    }

    function _register(
        uint8 role,
        address signer,
        bytes32 metadataHash,
        uint40 deadline,
        bytes calldata signerProof
    ) private returns (uint32 id) {
        uint32 before = _idOfOwner[role][msg.sender];
        require(!_isActive(role, before), AlreadyRegistered(role, before));
        id = ++_counts[role];
        _idOfOwner[role][msg.sender] = id;
        _entries[role][id] = Entry({owner: msg.sender, registeredAt: _now(), deactivatedAt: 0});
        _metadata[role][id] = metadataHash;
        _bind(role, id, signer, deadline, signerProof);
    }

    /// @dev A key may be bound again once nothing that it signed before can be judged any more.
    function _bind(uint8 role, uint32 id, address signer, uint40 deadline, bytes calldata signerProof) private {
        require(signer != address(0), ZeroSigner());
        _checkDeadline(deadline);
        SignerProof memory proof = SignerProof({owner: msg.sender, role: role, deadline: deadline});
        Signatures.checkKey(signer, _hashTypedDataV4(proof.hash()), signerProof);
        uint40 time = _now();
        Binding memory bound = _bindings[signer];
        bool isFree = bound.role == 0 || time >= uint256(bound.validUntil) + _SIGNER_THAW;
        require(isFree, SignerInUse(signer, bound.role, bound.id));
        _bindings[signer] = Binding({role: role, id: id, validFrom: time, validUntil: _FOREVER});
        _keys[role][id].current = signer;
    }

    function _idBySigner(uint8 role, address signer) private view returns (uint32) {
        Binding memory bound = _bindings[signer];
        return bound.role == role && _isSignerValid(role, bound.id, signer, _now()) ? bound.id : 0;
    }

    function _isSignerValid(uint8 role, uint32 id, address signer, uint40 time) private view returns (bool) {
        Binding memory bound = _bindings[signer];
        bool isBound = role != 0 && bound.role == role && bound.id == id;
        return isBound && bound.validFrom <= time && time < bound.validUntil;
    }

    /// @dev A key that is bound elsewhere by now was valid for this id at no time that still counts.
    function _signer(uint8 role, uint32 id, address key) private view returns (Signer memory) {
        Binding memory bound = _bindings[key];
        if (bound.role != role || bound.id != id) return Signer({key: key, validFrom: 0, validUntil: 0});
        return Signer({key: key, validFrom: bound.validFrom, validUntil: bound.validUntil});
    }

    function _isActive(uint8 role, uint32 id) private view returns (bool) {
        Entry storage entry = _entries[role][id];
        return entry.owner != address(0) && entry.deactivatedAt == 0;
    }

    function _checkFee(uint16 feeBps) private pure {
        require(feeBps <= MAX_RELAY_FEE_BPS, FeeTooHigh(feeBps, MAX_RELAY_FEE_BPS));
    }
}
