// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What providers, relays and the protocol are owed, and how they get it. All of it is pulled.
interface IEarnings {
    /// @param claimable What the provider can claim now, pUSD.
    /// @param paid All credits so far: the cumulative that the next row starts from, pUSD.
    /// @param enlisted Whether the pair has its place in storage.
    struct ProviderAccount {
        uint96 claimable;
        uint80 paid;
        bool enlisted;
    }

    /// @param batchNo The next batch.
    /// @param earned What the relay can claim now, pUSD.
    /// @param pendingCur What it earned in this bucket, pUSD.
    /// @param pendingPrev What it earned in the bucket before.
    /// @param float What it set aside for posts whose credits exceed their debits, pUSD.
    struct RelayAccount {
        uint64 batchNo;
        uint96 earned;
        uint96 pendingCur;
        uint96 pendingPrev;
        uint96 float;
    }

    /// @notice A provider got its place in a relay's books.
    event ProviderEnlisted(uint32 indexed relayId, uint32 indexed providerId);
    /// @notice A provider claimed what it earned at some relays.
    event ProviderClaimed(uint32 indexed providerId, address indexed to, uint96 amount);
    /// @notice A relay claimed its earnings.
    event RelayClaimed(uint32 indexed relayId, address indexed to, uint96 amount);
    /// @notice The protocol's fees went to the treasury.
    event ProtocolFeesClaimed(address indexed to, uint96 amount);
    /// @notice Somebody added to a relay's float.
    event RelayFunded(uint32 indexed relayId, address indexed payer, uint96 amount);
    /// @notice A relay took part of its float back.
    event FloatWithdrawn(uint32 indexed relayId, uint96 amount);

    /// @notice A reserve paid part of what a relay owes a provider: the relay's books know of it.
    event PaidByReserve(uint32 indexed relayId, uint32 indexed providerId, uint80 amount, uint80 paid);

    /// @notice Thrown when somebody other than the reserves says what they paid.
    error NotReserves(address caller);
    /// @notice Thrown when an address has no credits account.
    error UnknownPayer(address payer);
    /// @notice Thrown when an amount is zero.
    error ZeroFloat();
    /// @notice Thrown when a relay takes back more than its float.
    error InsufficientFloat(uint32 relayId, uint96 float, uint96 wanted);

    /// @notice Gives a provider its place in a relay's books, so that its first row costs no more than others. Anyone
    /// may; doing it again changes nothing.
    function enlist(uint32 relayId, uint32 providerId) external;

    /// @notice Pays a provider's claimable credits at these relays as tokens to `to`. Only its owner. What is below one
    /// token unit stays.
    /// @return amount What was paid, pUSD.
    function claimProvider(
        uint32 providerId,
        uint32[] calldata relayIds,
        address to
    ) external returns (uint96 amount);

    /// @notice Pays a relay's earnings that are no longer pending as tokens to `to`. Only its owner.
    /// @return amount What was paid, pUSD.
    function claimRelay(uint32 relayId, address to) external returns (uint96 amount);

    /// @notice Pays the protocol's fees as tokens to the treasury. Anyone may.
    /// @return amount What was paid, pUSD.
    function claimProtocolFees() external returns (uint96 amount);

    /// @notice Counts what a reserve paid a provider. The counter is the one of provider rows, so that nothing is paid
    /// twice. Only the reserves.
    function notePaid(uint32 relayId, uint32 providerId, uint80 amount) external;

    /// @notice Adds free credits of the caller to a relay's float.
    function fundRelay(uint32 relayId, uint96 amount) external;

    /// @notice Returns part of a relay's float to its owner's free credits. Only its owner.
    function withdrawFloat(uint32 relayId, uint96 amount) external;

    /// @notice Account of a provider at a relay.
    function providerAccountOf(uint32 relayId, uint32 providerId) external view returns (ProviderAccount memory);

    /// @notice Account of a relay, as of now.
    function relayAccountOf(uint32 relayId) external view returns (RelayAccount memory);

    /// @notice Fees not yet claimed, pUSD.
    function protocolFees() external view returns (uint96);
}
