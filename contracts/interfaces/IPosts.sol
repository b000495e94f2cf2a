// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev Why a user's row was skipped. Numbers are in events; never reuse one.
uint8 constant SKIP_OVER = 1; // the channel is closed, was never opened, or is past its settleBy
uint8 constant SKIP_MISMATCH = 2; // the row does not begin where the channel's spending stands
uint8 constant SKIP_FUNDS = 3; // the channel holds less than the delta

/// @notice Batches of a relay: what users owe, what providers get, and the root of the receipts.
interface IPosts {
    /// @param batchNo Sequential per relay from 0.
    /// @param nA Number of metered rows.
    /// @param nB Number of signed rows.
    /// @param nC Number of provider rows.
    /// @param depth Depth of the receipts tree: ceil(log2(nA + nB)).
    /// @param receiptsSum Sum of the deltas of all rows, skipped ones included, pUSD.
    /// @param receiptsRoot Root of the receipts tree, 0 without user rows.
    struct PostHeader {
        uint64 batchNo;
        uint32 nA;
        uint32 nB;
        uint32 nC;
        uint8 depth;
        uint96 receiptsSum;
        bytes32 receiptsRoot;
    }

    /// @param cur Metered debits posted in this epoch, pUSD.
    /// @param prev Metered debits posted in the epoch before.
    /// @param epoch Protocol time / epoch length.
    struct Inflight {
        uint96 cur;
        uint96 prev;
        uint32 epoch;
    }

    /// @param cur Batches posted in this period, which is as long as a commit must be kept at least.
    /// @param prev Batches posted in the period before.
    /// @param period Protocol time / length of a period.
    struct Commits {
        uint16 cur;
        uint16 prev;
        uint32 period;
    }

    /// @notice A batch was posted. `rows` are in the calldata.
    event Posted(
        uint32 indexed relayId,
        uint64 indexed batchNo,
        bytes32 receiptsRoot,
        uint96 receiptsSum,
        bytes32 rowsHash,
        bytes32 skippedHash,
        uint40 postedAt,
        uint96 debitA,
        uint96 debitB,
        uint96 credit,
        uint96 protocolFee
    );
    /// @notice A row was not applied, for something its user did or let happen.
    event RowSkipped(
        uint32 indexed relayId,
        uint32 indexed userId,
        uint64 indexed batchNo,
        uint80 cumEnd,
        uint64 delta,
        uint8 reason
    );

    /// @notice Thrown when somebody other than the relay's owner or current signer posts.
    error NotPoster(uint32 relayId, address caller);
    /// @notice Thrown when a batch is not the relay's next.
    error WrongBatchNo(uint64 given, uint64 expected);
    /// @notice Thrown when a row is in the section of the other mode.
    error WrongMode(uint32 userId, uint8 mode);
    /// @notice Thrown when a signed row's voucher is not by the channel's session key for this epoch and amount, or not
    /// in the lower half of the curve's order.
    error BadVoucherSignature(uint32 userId, uint256 voucherCumulative);
    /// @notice Thrown when the depth is not that of a tree over the user rows.
    error WrongDepth(uint8 given, uint256 expected);
    /// @notice Thrown when there is a root without user rows, or none with some.
    error WrongReceiptsRoot(bytes32 receiptsRoot, uint256 userRows);
    /// @notice Thrown when the header's sum is not that of the rows.
    error WrongReceiptsSum(uint96 given, uint256 expected);
    /// @notice Thrown when credits and fee exceed the debits by more than the relay's earnings and float.
    error Shortfall(uint32 relayId, uint256 missing);
    /// @notice Thrown when the relay's volume that is not final would exceed 0.8 of its bond.
    error InflightAboveBond(uint32 relayId, uint256 inflight, uint256 limit);
    /// @notice Thrown when a commit would be overwritten that may still be needed: a receipt can be billed again until the
    /// post window ends, and be proven a duplicate until that batch is final.
    error RingFull(uint32 relayId, uint64 batchNo, uint256 kept);

    /// @notice Posts the relay's next batch. Ids ascend strictly within each section, or it reverts.
    /// @param rows Metered rows (22 B: userId u32 | cumEnd u80 | delta u64), signed rows (94 B: the same, then
    /// excess u64 | r 32 | vs 32; the voucher's cumulative is cumEnd + excess), provider rows (14 B: providerId u32 |
    /// cumEnd u80).
    function post(uint32 relayId, PostHeader calldata header, bytes calldata rows) external;

    /// @notice Metered volume of a relay that is not final, as of now.
    function inflightOf(uint32 relayId) external view returns (Inflight memory);

    /// @notice How many commits of a relay must be kept, as of now; 1,024 is the most.
    function commitsOf(uint32 relayId) external view returns (Commits memory);

    /// @notice Bond that a relay needs for its volume that is not final, pUSD.
    function requiredBond(uint32 relayId) external view returns (uint256);

    /// @notice Commit of a batch (see Batches); 0 if it was not posted or its place has been used again.
    function commitOf(uint32 relayId, uint64 batchNo) external view returns (bytes32);
}
