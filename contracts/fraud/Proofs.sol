// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {
    FRAUD_BAD_RECEIPT,
    FRAUD_DUPLICATE,
    FRAUD_EQUIVOCATION,
    FRAUD_FOREIGN_REQUEST,
    FRAUD_ROW_MISMATCH,
    FRAUD_RUNNING_TOTAL,
    IFraudProofs
} from "../interfaces/IFraudProofs.sol";
import {BilledReceipt, Messages, UsageReceipt} from "../libraries/Messages.sol";
import {ROLE_RELAY} from "../types/Roles.sol";
import {Punishment} from "./Punishment.sol";

/// @notice Frauds of relays that one transaction shows.
abstract contract Proofs is Punishment {
    using Messages for BilledReceipt;

    /// @inheritdoc IFraudProofs
    function proveBadReceipt(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf,
        UsageReceipt calldata receipt,
        bytes calldata evidence
    ) external nonReentrant {
        Place memory place = _openBilled(row, user, leaf);
        (bool isGood, uint256 allowed) = _judge(place, leaf.leaf, receipt, evidence);
        require(!isGood, NoFraud());
        uint64 charge = leaf.leaf.charge;
        uint256 loss = charge > allowed ? charge - allowed : 0;
        _punish(place, Fraud({leafIndex: leaf.index, kind: FRAUD_BAD_RECEIPT, loss: loss}));
    }

    /// @inheritdoc IFraudProofs
    function proveForeignRequest(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf,
        UsageReceipt calldata receipt,
        RequestPreimage calldata request
    ) external nonReentrant {
        Place memory place = _openBilled(row, user, leaf);
        _openReceipt(_SETTLEMENT.domainSeparator(), leaf.leaf, receipt);
        bytes32 hash = _hashOf(request);
        require(hash == receipt.requestHash, BadReceiptOpening(hash, receipt.requestHash));
        bool isOwn = request.userId == place.userId && request.channelEpoch == user.leaf.epoch;
        require(!isOwn, NoFraud());
        _punish(place, Fraud({leafIndex: leaf.index, kind: FRAUD_FOREIGN_REQUEST, loss: leaf.leaf.charge}));
    }

    /// @inheritdoc IFraudProofs
    function proveRowMismatch(RowProof calldata row, UserProof calldata user) external nonReentrant {
        Place memory place = _openRow(row);
        _openUser(place, user);
        require(!_agrees(place, user.leaf) || !_isEpochOf(place, user.leaf.epoch), NoFraud());
        _punish(place, Fraud({leafIndex: 0, kind: FRAUD_ROW_MISMATCH, loss: place.delta}));
    }

    /// @inheritdoc IFraudProofs
    function proveDuplicate(
        RowProof calldata firstRow,
        UserProof calldata firstUser,
        LeafProof calldata firstLeaf,
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf
    ) external nonReentrant {
        Place memory first = _openAnyRow(firstRow);
        _openUser(first, firstUser);
        _openLeaf(firstUser.leaf, firstLeaf);
        Place memory place = _openBilled(row, user, leaf);
        // the later of the two is the false one, or each could be proven by the other
        uint256 firstAt = _orderOf(first, firstLeaf.index);
        require(first.relayId == place.relayId && firstAt < _orderOf(place, leaf.index), NotLater());
        require(firstLeaf.leaf.usageDigest == leaf.leaf.usageDigest, NoFraud());
        _punish(place, Fraud({leafIndex: leaf.index, kind: FRAUD_DUPLICATE, loss: leaf.leaf.charge}));
    }

    /// @inheritdoc IFraudProofs
    function proveRunningTotal(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf
    ) external nonReentrant {
        Place memory place = _openRow(row);
        _openAgreeing(place, user);
        (bool isTrue, bool isWhole, uint256 hidden) = _checkTotal(user.leaf, leaf);
        require(!isTrue || !isWhole, NoFraud());
        uint256 loss = isTrue ? hidden : hidden + leaf.leaf.charge;
        _punish(place, Fraud({leafIndex: leaf.index, kind: FRAUD_RUNNING_TOTAL, loss: loss}));
    }

    /// @inheritdoc IFraudProofs
    function proveEquivocation(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf,
        BilledReceipt calldata billed,
        bytes calldata signature
    ) external nonReentrant {
        Place memory place = _openBilled(row, user, leaf);
        require(
            billed.relayId == place.relayId &&
                billed.userId == place.userId &&
                billed.channelEpoch == user.leaf.epoch,
            OtherPlace()
        );
        _checkByRelay(billed, signature);
        bool isSame = billed.userCumulative == leaf.leaf.userCumulative &&
            billed.usageReceiptHash == leaf.leaf.usageDigest &&
            billed.charge == leaf.leaf.charge;
        // a free receipt leaves the total where it was, so it shares it with the one before
        require(!isSame && billed.charge != 0 && leaf.leaf.charge != 0, NoFraud());
        // what was told is the end of a charge, so in a true bill it falls into no other charge
        bool isWithin = billed.userCumulative <= leaf.leaf.userCumulative &&
            uint256(billed.userCumulative) + leaf.leaf.charge > leaf.leaf.userCumulative;
        require(isWithin, OtherPlace());
        _punish(place, Fraud({leafIndex: leaf.index, kind: FRAUD_EQUIVOCATION, loss: leaf.leaf.charge}));
    }

    /// @dev A leaf of a row that agrees with its user leaf, in a batch that is not final.
    function _openBilled(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf
    ) private view returns (Place memory place) {
        place = _openRow(row);
        _openAgreeing(place, user);
        _openLeaf(user.leaf, leaf);
    }

    function _checkByRelay(BilledReceipt calldata billed, bytes calldata signature) private view {
        bytes32 digest = MessageHashUtils.toTypedDataHash(_SETTLEMENT.domainSeparator(), billed.hash());
        (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signature);
        bool isSigned = problem == ECDSA.RecoverError.NoError;
        require(
            isSigned && _REGISTRY.isSignerValid(ROLE_RELAY, billed.relayId, signer, _now()),
            NotByRelay(billed.relayId, signer)
        );
    }

    /// @dev Leaves of a relay in the order in which they were billed.
    function _orderOf(Place memory place, uint32 index) private pure returns (uint256) {
        return (uint256(place.batchNo) << 64) | (uint256(place.row) << 32) | index;
    }
}
