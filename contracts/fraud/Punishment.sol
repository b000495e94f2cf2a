// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../interfaces/IFraudProofs.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Openings} from "./Openings.sol";

/// @notice What a proof costs a relay: once per place and kind, and a user never gets back more than its row charged.
abstract contract Punishment is Openings {
    /// @param loss What the user lost by it, pUSD.
    struct Fraud {
        uint32 leafIndex;
        uint8 kind;
        uint256 loss;
    }

    /// @dev What a row has come to. One sum is kept for it, however many demands of it are open: credits kept for one
    /// row many times would be missing for the users of the others.
    /// @param refunded What its user got back, pUSD.
    /// @param kept What is frozen of the relay's bond for it, pUSD.
    /// @param demands How many are open.
    struct Case {
        uint64 refunded;
        uint96 kept;
        uint32 demands;
    }

    /// @inheritdoc IFraudProofs
    mapping(bytes32 key => bool done) public isProven;
    mapping(uint32 relayId => mapping(uint64 batchNo => mapping(uint32 row => Case state))) private _cases;

    /// @inheritdoc IFraudProofs
    function refundedOf(uint32 relayId, uint64 batchNo, uint32 row) external view returns (uint64) {
        return _cases[relayId][batchNo][row].refunded;
    }

    /// @dev A proof by the caller.
    function _punish(Place memory place, Fraud memory fraud) internal {
        uint32 challenger = _challenger();
        _markProven(_keyOf(place, fraud.leafIndex, fraud.kind));
        uint64 loss = _lossOf(place, fraud);
        // the row pays out of what is kept for it
        _release(place);
        (uint96 toVictim, , ) = _STAKE_MANAGER.slash(
            ROLE_RELAY,
            place.relayId,
            loss,
            place.userId,
            challenger,
            place.isMetered
        );
        _noteRefund(place, toVictim);
        _keep(place);
    }

    /// @dev Keeps what a default would cost, while demands of the row are open and its batch is not final.
    function _keep(Place memory place) internal {
        Case storage state = _caseOf(place);
        if (state.demands == 0) return;
        state.kept = _STAKE_MANAGER.freeze(place.relayId, place.delta - state.refunded, place.isMetered);
    }

    function _release(Place memory place) internal {
        Case storage state = _caseOf(place);
        uint96 kept = state.kept;
        if (kept == 0) return;
        state.kept = 0;
        _STAKE_MANAGER.unfreeze(place.relayId, kept);
    }

    /// @dev Never more than what the row took and has not been given back.
    function _lossOf(Place memory place, Fraud memory fraud) internal returns (uint64 loss) {
        uint64 left = place.delta - _caseOf(place).refunded;
        loss = fraud.loss < left ? uint64(fraud.loss) : left;
        emit FraudProven(
            place.relayId,
            place.batchNo,
            place.userId,
            place.row,
            fraud.leafIndex,
            fraud.kind,
            loss
        );
    }

    /// @dev What the user got back is what the bond really paid: a bond that is empty now may be filled again.
    function _noteRefund(Place memory place, uint96 toVictim) internal {
        // at most the loss; every entry is guarded
        if (toVictim != 0) _caseOf(place).refunded += uint64(toVictim);
    }

    function _markProven(bytes32 key) internal {
        require(!isProven[key], AlreadyProven(key));
        isProven[key] = true;
    }

    /// @dev Bounties and bonds are credits, so whoever proves needs an account for them.
    function _challenger() internal view returns (uint32 userId) {
        userId = _VAULT.userIdOf(msg.sender);
        require(userId != 0, UnknownChallenger(msg.sender));
    }

    function _caseOf(Place memory place) internal view returns (Case storage) {
        return _cases[place.relayId][place.batchNo][place.row];
    }

    function _keyOf(Place memory place, uint32 leafIndex, uint8 kind) internal pure returns (bytes32) {
        return keccak256(abi.encode(place.relayId, place.batchNo, place.row, leafIndex, kind));
    }
}
