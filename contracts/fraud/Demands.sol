// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_NO_ANSWER, IFraudProofs} from "../interfaces/IFraudProofs.sol";
import {UsageReceipt} from "../libraries/Messages.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Proofs} from "./Proofs.sol";

/// @notice Demands: for whom the relay shows nothing, so that there is nothing to prove a fraud with.
abstract contract Demands is Proofs {
    uint96 private constant _LEAST_BOND = 2e12;
    /// @dev One part of this many of the row's delta.
    uint96 private constant _BOND_PART = 20;

    uint256 private constant _DEMAND_BYTES = 416;

    uint32 private immutable _RESPONSE;

    /// @inheritdoc IFraudProofs
    mapping(bytes32 demandId => bool isWaiting) public isOpen;

    constructor() {
        _RESPONSE = CLOCK.windows().response;
    }

    /// @inheritdoc IFraudProofs
    function demand(RowProof calldata row, uint32 leafIndex) external nonReentrant returns (bytes32 demandId) {
        Place memory place = _openRow(row);
        uint32 challenger = _challenger();
        _markProven(_keyOf(place, leafIndex, FRAUD_NO_ANSWER));
        uint96 bond = place.delta / _BOND_PART;
        if (bond < _LEAST_BOND) bond = _LEAST_BOND;
        _VAULT.lock(challenger, bond);
        Demand memory made = _demandFor(place, leafIndex);
        (made.challenger, made.bond) = (challenger, bond);
        _release(place);
        ++_caseOf(place).demands;
        _keep(place);
        made.deadline = _now() + _RESPONSE;
        demandId = keccak256(abi.encode(made));
        isOpen[demandId] = true;
        emit Demanded(demandId, place.relayId, made);
    }

    /// @inheritdoc IFraudProofs
    function answer(
        Demand calldata open,
        UserProof calldata user,
        LeafProof calldata leaf,
        UsageReceipt calldata receipt,
        bytes calldata evidence,
        RequestPreimage calldata request
    ) external nonReentrant {
        uint40 time = _now();
        require(time <= open.deadline, WrongTime(open.deadline, time));
        bytes32 demandId = _close(open);
        Place memory place = _placeOf(open);
        _openAgreeing(place, user);
        require(_isEpochOf(place, user.leaf.epoch), BadAnswer());
        if (open.leafIndex < user.leaf.count) {
            require(leaf.index == open.leafIndex, BadLeafProof(leaf.index));
            (bool isTrue, bool isWhole, ) = _checkTotal(user.leaf, leaf);
            require(isTrue && isWhole, BadAnswer());
            (bool isGood, ) = _judge(place, leaf.leaf, receipt, evidence);
            require(isGood, BadAnswer());
            bool isOwn = request.userId == place.userId && request.channelEpoch == user.leaf.epoch;
            require(isOwn && _hashOf(request) == receipt.requestHash, BadAnswer());
        }
        emit Answered(demandId, open.relayId, open.bond);
        _settle(place);
        // a relay that posts has bonded, so its owner has an account
        _VAULT.release(_VAULT.userIdOf(_REGISTRY.ownerOf(ROLE_RELAY, open.relayId)), open.bond);
    }

    /// @inheritdoc IFraudProofs
    function resolve(Demand calldata open) external nonReentrant {
        uint40 time = _nowRunning();
        require(time > open.deadline, WrongTime(open.deadline, time));
        bytes32 demandId = _close(open);
        Place memory place = _placeOf(open);
        Fraud memory fraud = Fraud({leafIndex: open.leafIndex, kind: FRAUD_NO_ANSWER, loss: place.delta});
        uint64 loss = _lossOf(place, fraud);
        Case storage state = _caseOf(place);
        uint96 kept = state.kept;
        (uint96 toVictim, uint96 toChallenger, uint96 burned) = _STAKE_MANAGER.slashFrozen(
            open.relayId,
            kept,
            loss,
            open.userId,
            open.challenger
        );
        _noteRefund(place, toVictim);
        state.kept = kept - toVictim - toChallenger - burned;
        _settle(place);
        emit Defaulted(demandId, open.relayId, open.userId, loss);
        _VAULT.release(open.challenger, open.bond);
    }

    /// @dev What is kept for a row stays until its last demand is closed.
    function _settle(Place memory place) private {
        if (--_caseOf(place).demands == 0) _release(place);
    }

    function _close(Demand calldata open) private returns (bytes32 demandId) {
        demandId = _idOf(open);
        require(isOpen[demandId], UnknownDemand(demandId));
        delete isOpen[demandId];
    }

    /// @dev keccak(abi.encode(demand)): the calldata of a struct of words is its encoding. Words with bits that do not
    /// belong there only make another hash.
    function _idOf(Demand calldata made) private pure returns (bytes32 demandId) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, made, _DEMAND_BYTES)
            demandId := keccak256(free, _DEMAND_BYTES)
        }
    }

    function _demandFor(Place memory place, uint32 leafIndex) private pure returns (Demand memory made) {
        (made.relayId, made.batchNo, made.row, made.leafIndex) = (place.relayId, place.batchNo, place.row, leafIndex);
        (made.receiptsRoot, made.depth, made.postedAt) = (place.receiptsRoot, place.depth, place.postedAt);
        (made.userId, made.cumEnd, made.delta) = (place.userId, place.cumEnd, place.delta);
    }

    function _placeOf(Demand calldata open) private pure returns (Place memory place) {
        (place.relayId, place.batchNo, place.row) = (open.relayId, open.batchNo, open.row);
        (place.receiptsRoot, place.depth, place.postedAt) = (open.receiptsRoot, open.depth, open.postedAt);
        (place.userId, place.cumEnd, place.delta) = (open.userId, open.cumEnd, open.delta);
    }
}
