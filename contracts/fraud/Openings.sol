// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Timed} from "../Timed.sol";
import {IChannels} from "../interfaces/IChannels.sol";
import {ICreditVault} from "../interfaces/ICreditVault.sol";
import {IFraudProofs} from "../interfaces/IFraudProofs.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStakeManager} from "../interfaces/IStakeManager.sol";
import {Batch, Batches} from "../libraries/Batches.sol";
import {Depth} from "../libraries/Depth.sol";
import {Judgement} from "../libraries/Judgement.sol";
import {Messages, UsageReceipt} from "../libraries/Messages.sol";
import {ReceiptsTree} from "../libraries/ReceiptsTree.sol";
import {Requests} from "../libraries/Requests.sol";
import {DebitRow, Rows} from "../libraries/Rows.sol";

/// @notice What proofs and demands share: from a batch's commit down to a receipt. An opening reverts when it does not
/// lead from what was posted; what was posted may still be false.
abstract contract Openings is IFraudProofs, Timed, ReentrancyGuardTransient {
    using Messages for UsageReceipt;
    using ReceiptsTree for ReceiptsTree.Leaf;
    using ReceiptsTree for ReceiptsTree.UserLeaf;
    using ReceiptsTree for ReceiptsTree.Node;

    /// @dev A row of a posted batch, and what is needed to open what stands below it.
    struct Place {
        uint32 relayId;
        uint64 batchNo;
        uint32 row;
        bytes32 receiptsRoot;
        uint8 depth;
        uint40 postedAt;
        uint32 userId;
        uint80 cumEnd;
        uint64 delta;
        bool isMetered;
    }

    /// @dev How old the state may be that a batch is made from, seconds.
    uint256 private constant _REOPENING = 10 minutes;
    uint256 private constant _BATCH_BYTES = 352;
    uint256 private constant _ID_BYTES = 4;

    ICreditVault internal immutable _VAULT;
    IRegistry internal immutable _REGISTRY;
    IStakeManager internal immutable _STAKE_MANAGER;
    ISettlement internal immutable _SETTLEMENT;
    uint32 internal immutable _POST;
    uint32 private immutable _EPOCH;

    constructor(ICreditVault vault, IRegistry registry, IStakeManager stakeManager, ISettlement settlement) {
        require(vault.moduleOf(address(this)).state != 0, WrongWiring(address(vault)));
        require(stakeManager.FRAUD_PROOFS() == address(this), WrongWiring(address(stakeManager)));
        require(stakeManager.SETTLEMENT() == address(settlement), WrongWiring(address(settlement)));
        _VAULT = vault;
        _REGISTRY = registry;
        _STAKE_MANAGER = stakeManager;
        _SETTLEMENT = settlement;
        (_POST, _EPOCH) = (CLOCK.windows().post, CLOCK.windows().epoch);
    }

    /// @dev An applied row of a batch that is not final.
    function _openRow(RowProof calldata proof) internal view returns (Place memory place) {
        place = _openAnyRow(proof);
        uint256 end = Batches.finalAt(place.postedAt, _EPOCH);
        require(_nowRunning() < end, BatchFinal(place.relayId, place.batchNo, end));
    }

    /// @dev An applied row of a batch whose commit is still known.
    function _openAnyRow(RowProof calldata proof) internal view returns (Place memory place) {
        (uint32 relayId, uint64 batchNo, uint32 row) = (proof.relayId, proof.batch.header.batchNo, proof.row);
        bytes32 commit = _commitOf(proof.batch);
        require(_SETTLEMENT.commitOf(relayId, batchNo) == commit, UnknownBatch(relayId, batchNo));
        (bool isOpen, DebitRow debit) = Rows.openUserRow(
            proof.batch.rowsHash,
            [proof.batch.header.nA, proof.batch.header.nB, proof.batch.header.nC],
            row,
            proof.chunk,
            proof.chunkHashes
        );
        require(isOpen, BadRowProof(row));
        uint32 userId = debit.userId();
        _checkNotSkipped(proof.skipped, proof.batch.skippedHash, userId);
        place = Place({
            relayId: relayId,
            batchNo: batchNo,
            row: row,
            receiptsRoot: proof.batch.header.receiptsRoot,
            depth: proof.batch.header.depth,
            postedAt: proof.batch.postedAt,
            userId: userId,
            cumEnd: debit.cumEnd(),
            delta: debit.delta(),
            isMetered: row < proof.batch.header.nA
        });
    }

    /// @dev Judges the receipt and the evidence that a leaf commits to.
    function _judge(
        Place memory place,
        ReceiptsTree.Leaf calldata leaf,
        UsageReceipt calldata receipt,
        bytes calldata evidence
    ) internal view returns (bool isGood, uint256 allowed) {
        Judgement.Law memory law = _law();
        _openReceipt(law.separator, leaf, receipt);
        bytes32 hash = keccak256(evidence);
        require(hash == leaf.evidenceHash, BadReceiptOpening(hash, leaf.evidenceHash));
        Judgement.Bill memory bill = Judgement.Bill({
            relayId: place.relayId,
            postedAt: place.postedAt,
            charge: leaf.charge
        });
        return Judgement.judge(law, bill, receipt, leaf.usageDigest, evidence);
    }

    function _law() internal view returns (Judgement.Law memory) {
        return
            Judgement.Law({
                registry: _REGISTRY,
                stakeManager: _STAKE_MANAGER,
                separator: _SETTLEMENT.domainSeparator(),
                postWindow: _POST
            });
    }

    /// @dev Whether the channel had this epoch when the row was applied, as far as can be known later. A batch may have
    /// been made just before its user opened the channel again, and a row that begins at 0 is applied all the same.
    function _isEpochOf(Place memory place, uint16 epoch) internal view returns (bool) {
        IChannels.Channel memory channel = _SETTLEMENT.channelOf(place.relayId, place.userId);
        if (channel.openedAt + _REOPENING < place.postedAt) return epoch == channel.epoch;
        bool isLater = channel.openedAt > place.postedAt;
        return epoch != 0 && (isLater ? epoch < channel.epoch : epoch <= channel.epoch);
    }

    /// @dev The receipt is the leaf's.
    function _openReceipt(
        bytes32 separator,
        ReceiptsTree.Leaf calldata leaf,
        UsageReceipt calldata receipt
    ) internal pure {
        bytes32 digest = MessageHashUtils.toTypedDataHash(separator, receipt.hash());
        require(digest == leaf.usageDigest, BadReceiptOpening(digest, leaf.usageDigest));
    }

    function _hashOf(RequestPreimage calldata request) internal pure returns (bytes32) {
        return Requests.hash(request.userId, request.channelEpoch, request.nonce, request.bodyHash);
    }

    /// @dev A leaf below a user leaf: the charges before it, and all charges that the tree adds up to. The root's hash
    /// alone decides: a false sum in the user leaf must not keep anybody from showing what is below it.
    function _openLeaf(
        ReceiptsTree.UserLeaf calldata user,
        LeafProof calldata proof
    ) internal pure returns (uint256 prefix, uint256 total) {
        require(proof.index < user.count, BadLeafProof(proof.index));
        (bool isOpen, ReceiptsTree.Node memory root, uint96 before) = proof.leaf.leaf().open(
            proof.index,
            Depth.forLeaves(user.count),
            proof.path
        );
        require(isOpen && root.hash == user.subRoot, BadLeafProof(proof.index));
        return (before, root.sum);
    }

    /// @dev The user leaf of a row. The sums above it are nobody's business: every row stands for itself.
    function _openUser(Place memory place, UserProof calldata proof) internal pure {
        (bool isOpen, ReceiptsTree.Node memory root, ) = proof.leaf.userLeaf().open(place.row, place.depth, proof.path);
        require(isOpen && root.hash == place.receiptsRoot, BadUserProof(place.row));
    }

    /// @dev The user leaf of a row that agrees with it.
    function _openAgreeing(Place memory place, UserProof calldata proof) internal pure {
        _openUser(place, proof);
        require(_agrees(place, proof.leaf), RowMismatch(place.row));
    }

    /// @dev Same user, same sum, same interval, and a sum only where there are receipts.
    function _agrees(Place memory place, ReceiptsTree.UserLeaf calldata leaf) internal pure returns (bool) {
        return
            leaf.userId == place.userId &&
            leaf.sum == place.delta &&
            uint256(leaf.cumStart) + leaf.sum == place.cumEnd &&
            (leaf.count != 0 || leaf.sum == 0);
    }

    /// @dev What a leaf hides. `isTrue` when its user and running total follow from the leaves before it; `hidden` is
    /// what the row charges beyond all leaves, which shows at the last one or in the root's sum.
    function _checkTotal(
        ReceiptsTree.UserLeaf calldata user,
        LeafProof calldata proof
    ) internal pure returns (bool isTrue, bool isWhole, uint256 hidden) {
        (uint256 prefix, uint256 shown) = _openLeaf(user, proof);
        uint256 end = prefix + proof.leaf.charge;
        isTrue = proof.leaf.userId == user.userId && user.cumStart + end == proof.leaf.userCumulative;
        // behind the last leaf there is only padding, which charges nothing
        if (proof.index + 1 == user.count) shown = end;
        isWhole = shown == user.sum;
        hidden = user.sum > shown ? user.sum - shown : 0;
    }

    /// @dev As Batches.commit: the calldata of a struct of words is its encoding. Words with bits that do not belong
    /// there only make another hash.
    function _commitOf(Batch calldata batch) private pure returns (bytes32 commit) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, batch, _BATCH_BYTES)
            commit := keccak256(free, _BATCH_BYTES)
        }
    }

    /// @dev The list is the batch's, and the user is not in it.
    function _checkNotSkipped(bytes calldata skipped, bytes32 expected, uint32 userId) private pure {
        bytes32 hash = skipped.length == 0 ? bytes32(0) : keccak256(skipped);
        require(hash == expected, BadSkippedList(hash, expected));
        for (uint256 offset = 0; offset < skipped.length; offset += _ID_BYTES) {
            uint256 word;
            // solhint-disable-next-line no-inline-assembly
            assembly ("memory-safe") {
                word := calldataload(add(skipped.offset, offset))
            }
            require(uint32(word >> 224) != userId, RowWasSkipped(userId));
        }
    }
}
