// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Batch} from "../libraries/Batches.sol";
import {BilledReceipt, UsageReceipt} from "../libraries/Messages.sol";
import {ReceiptsTree} from "../libraries/ReceiptsTree.sol";
import {ITimed} from "./ITimed.sol";

/// @dev What was proven. Numbers are in events; never reuse one.
uint8 constant FRAUD_BAD_RECEIPT = 1; // a billed receipt is false, or charged above the bound
uint8 constant FRAUD_ROW_MISMATCH = 2; // a row and the receipts under it do not agree
uint8 constant FRAUD_DUPLICATE = 3; // one receipt was billed twice
uint8 constant FRAUD_RUNNING_TOTAL = 4; // a leaf's running total, or what is charged beyond all leaves, is false
uint8 constant FRAUD_EQUIVOCATION = 5; // the relay signed something else to the user
uint8 constant FRAUD_NO_ANSWER = 6; // the relay did not answer a demand
uint8 constant FRAUD_PROVIDER_PRICE = 7; // a provider signed a cost or price version it was not entitled to
uint8 constant FRAUD_FOREIGN_REQUEST = 8; // a billed receipt is for another user's request, or another epoch's

/// @notice Proofs of fraud, each in one transaction or one demand, by anyone who has a credits account: its owner gets
/// the bounty. A proof is taken until the batch is final, and once per place and kind; a demand must be made before.
/// Proofs of rows that were skipped are refused: nobody paid for them.
interface IFraudProofs is ITimed {
    /// @notice Where a row of a user stands in a posted batch. Enough to know what its user paid.
    /// @param row Index among the user rows: metered rows, then signed rows.
    /// @param chunk The rows of its chunk (see Rows).
    /// @param chunkHashes Hashes of all chunks of the batch.
    /// @param skipped Ids of the skipped rows in row order, u32 each; empty if there are none.
    struct RowProof {
        uint32 relayId;
        Batch batch;
        uint32 row;
        bytes chunk;
        bytes32[] chunkHashes;
        bytes skipped;
    }

    /// @notice Opening of the user leaf of a row.
    struct UserProof {
        ReceiptsTree.UserLeaf leaf;
        ReceiptsTree.Node[] path;
    }

    /// @notice Opening of a receipt below a user leaf.
    struct LeafProof {
        uint32 index;
        ReceiptsTree.Leaf leaf;
        ReceiptsTree.Node[] path;
    }

    /// @notice What the hash of a request is made of.
    struct RequestPreimage {
        uint32 userId;
        uint16 channelEpoch;
        bytes16 nonce;
        bytes32 bodyHash;
    }

    /// @notice An open demand. The contract keeps its hash only; the event has it whole.
    /// @param userId, cumEnd, delta The row.
    /// @param challenger User id.
    /// @param bond What the challenger put up, pUSD.
    /// @param deadline Last second of an answer.
    struct Demand {
        uint32 relayId;
        uint64 batchNo;
        uint32 row;
        uint32 leafIndex;
        bytes32 receiptsRoot;
        uint8 depth;
        uint40 postedAt;
        uint32 userId;
        uint80 cumEnd;
        uint64 delta;
        uint32 challenger;
        uint96 bond;
        uint40 deadline;
    }

    /// @notice A relay's fraud was proven.
    event FraudProven(
        uint32 indexed relayId,
        uint64 indexed batchNo,
        uint32 indexed userId,
        uint32 row,
        uint32 leafIndex,
        uint8 kind,
        uint64 loss
    );
    /// @notice A provider's fraud was proven.
    event ProviderFraudProven(uint32 indexed providerId, bytes32 indexed usageDigest, uint64 excess);
    /// @notice Somebody demands to see a receipt.
    event Demanded(bytes32 indexed demandId, uint32 indexed relayId, Demand demand);
    /// @notice The relay showed it. Its owner gets the challenger's bond.
    event Answered(bytes32 indexed demandId, uint32 indexed relayId, uint96 bond);
    /// @notice The relay did not, and paid.
    event Defaulted(bytes32 indexed demandId, uint32 indexed relayId, uint32 indexed userId, uint64 loss);

    /// @notice Thrown when a batch is not the one that was posted, or its commit is gone.
    error UnknownBatch(uint32 relayId, uint64 batchNo);
    /// @notice Thrown when a batch is final.
    error BatchFinal(uint32 relayId, uint64 batchNo, uint256 finalAt);
    /// @notice Thrown when the batch has no such user row, or the chunk is not the batch's.
    error BadRowProof(uint32 row);
    /// @notice Thrown when a list of skipped ids is not the batch's.
    error BadSkippedList(bytes32 hash, bytes32 expected);
    /// @notice Thrown when a row was skipped.
    error RowWasSkipped(uint32 userId);
    /// @notice Thrown when a user leaf is not at its place below the batch's root.
    error BadUserProof(uint32 row);
    /// @notice Thrown when a leaf is not at its place below the user leaf.
    error BadLeafProof(uint32 index);
    /// @notice Thrown when the user leaf contradicts the row: that is for `proveRowMismatch`.
    error RowMismatch(uint32 row);
    /// @notice Thrown when a receipt or its evidence is not what the leaf commits to.
    error BadReceiptOpening(bytes32 digest, bytes32 expected);
    /// @notice Thrown when what was shown is as it should be.
    error NoFraud();
    /// @notice Thrown when the second leaf of a duplicate was not billed after the first, by the same relay.
    error NotLater();
    /// @notice Thrown when this was proven before, or was demanded before.
    error AlreadyProven(bytes32 key);
    /// @notice Thrown when a signed receipt is not the relay's.
    error NotByRelay(uint32 relayId, address signer);
    /// @notice Thrown when a signed receipt is not for the same place as the leaf.
    error OtherPlace();
    /// @notice Thrown when a provider did not sign a receipt, or not with a key and at a time that count.
    error NotByProvider(uint32 providerId);
    /// @notice Thrown when a receipt is too old for its signer to be known for sure.
    error ReceiptTooOld(uint40 issuedAt, uint256 latest);
    /// @notice Thrown when the caller has no credits account for bounty and bond.
    error UnknownChallenger(address challenger);
    /// @notice Thrown when a demand is not open.
    error UnknownDemand(bytes32 demandId);
    /// @notice Thrown when an answer comes too late, or a demand is resolved too early.
    error WrongTime(uint40 deadline, uint40 clock);
    /// @notice Thrown when an answer shows a fraud, or does not show what was asked for.
    error BadAnswer();
    /// @notice Thrown at deployment when a contract does not know this one.
    error WrongWiring(address contractAddress);

    /// @notice Proves that a billed receipt is false: its evidence does not verify, its times or relay are wrong, its
    /// price version was not in force or its cost is above it, its provider was not registered, active or staked, or
    /// the charge is above cost and fee. The user gets back what was too much, or the whole charge.
    function proveBadReceipt(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf,
        UsageReceipt calldata receipt,
        bytes calldata evidence
    ) external;

    /// @notice Proves that a billed receipt is for another user's request, or another epoch's: `request` hashes to the
    /// receipt's requestHash and names somebody else. The user gets back the charge.
    function proveForeignRequest(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf,
        UsageReceipt calldata receipt,
        RequestPreimage calldata request
    ) external;

    /// @notice Proves that a row and its user leaf disagree: user, sum or interval, a sum without receipts, or the
    /// epoch, as far as it can still be known. The user gets back the row's delta.
    function proveRowMismatch(RowProof calldata row, UserProof calldata user) external;

    /// @notice Proves that one receipt was billed in two leaves of applied rows. The first may be final, and need not
    /// agree with its row. The user of the second, later in batch, row or leaf, gets back its charge.
    function proveDuplicate(
        RowProof calldata firstRow,
        UserProof calldata firstUser,
        LeafProof calldata firstLeaf,
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf
    ) external;

    /// @notice Proves that a leaf's running total is not the row's start plus all charges up to it, or that the leaf
    /// names another user: the user gets back the charge. Or that the row's sum is not that of its leaves, which the
    /// last leaf shows, or any of them if the sum is not the tree's: the user gets back what no leaf accounts for.
    function proveRunningTotal(RowProof calldata row, UserProof calldata user, LeafProof calldata leaf) external;

    /// @notice Proves that the relay signed a receipt to the user which differs from the leaf at the same running
    /// total, where both charge something. The user gets back the charge.
    function proveEquivocation(
        RowProof calldata row,
        UserProof calldata user,
        LeafProof calldata leaf,
        BilledReceipt calldata billed,
        bytes calldata signature
    ) external;

    /// @notice Proves that a provider signed a cost above its price, or a version that was not in force. Nobody lost
    /// anything yet, so the stake pays the challenger and is burned.
    function proveProviderFraud(UsageReceipt calldata receipt, bytes calldata evidence) external;

    /// @notice Demands that the relay shows the receipt at `leafIndex` of a row; each can be demanded once. Others of
    /// the row can be demanded meanwhile, or the relay could keep it busy by a friend until it is final. Locks a bond
    /// of the caller, which the relay's owner gets for an answer: 5 % of the row's delta, at least 2 USD. Freezes what a
    /// default would cost, once for all open demands of the row.
    function demand(RowProof calldata row, uint32 leafIndex) external returns (bytes32 demandId);

    /// @notice Answers a demand: the user leaf agrees with the row, and either has no receipt at that index or the
    /// receipt is good in every respect, down to the hash of the request. Anyone may.
    function answer(
        Demand calldata open,
        UserProof calldata user,
        LeafProof calldata leaf,
        UsageReceipt calldata receipt,
        bytes calldata evidence,
        RequestPreimage calldata request
    ) external;

    /// @notice Closes a demand that was not answered in time: the bond goes back, the user gets back the row's delta,
    /// and the relay pays the penalty. Anyone may.
    function resolve(Demand calldata open) external;

    /// @notice Whether a demand waits for its answer; its id is keccak(abi.encode(demand)).
    function isOpen(bytes32 demandId) external view returns (bool);

    /// @notice Whether something was proven or demanded: key of (relayId, batchNo, row, leafIndex, kind).
    function isProven(bytes32 key) external view returns (bool);

    /// @notice What the user of a row has got back so far, pUSD: never more than the row's delta.
    function refundedOf(uint32 relayId, uint64 batchNo, uint32 row) external view returns (uint64);
}
