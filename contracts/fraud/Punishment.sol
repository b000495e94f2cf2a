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

    /// @inheritdoc IFraudProofs
    mapping(bytes32 key => bool done) public isProven;
    mapping(uint32 relayId => mapping(uint64 batchNo => mapping(uint32 row => uint64 amount))) private _refunded;

    /// @inheritdoc IFraudProofs
    function refundedOf(uint32 relayId, uint64 batchNo, uint32 row) external view returns (uint64) {
        return _refunded[relayId][batchNo][row];
    }

    /// @dev A proof by the caller.
    function _punish(Place memory place, Fraud memory fraud) internal {
        uint32 challenger = _challenger();
        _markProven(_keyOf(place, fraud.leafIndex, fraud.kind));
        uint64 loss = _lossOf(place, fraud);
        (uint96 toVictim, , ) = _STAKE_MANAGER.slash(
            ROLE_RELAY,
            place.relayId,
            loss,
            place.userId,
            challenger,
            place.isMetered
        );
        _noteRefund(place, toVictim);
    }

    /// @dev Never more than what the row took and has not been given back.
    function _lossOf(Place memory place, Fraud memory fraud) internal returns (uint64 loss) {
        uint64 left = place.delta - _refunded[place.relayId][place.batchNo][place.row];
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
        if (toVictim != 0) _refunded[place.relayId][place.batchNo][place.row] += uint64(toVictim);
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

    function _keyOf(Place memory place, uint32 leafIndex, uint8 kind) internal pure returns (bytes32) {
        return keccak256(abi.encode(place.relayId, place.batchNo, place.row, leafIndex, kind));
    }
}
