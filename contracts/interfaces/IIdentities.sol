// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Relays and providers: a cold owner, a hot signer, and a relay's fee. Ids are dense per role from 1.
/// An owner has at most one active id per role. A signer belongs to one id as long as it is valid for it.
interface IIdentities {
    /// @param owner Who may change this relay.
    /// @param signer Its current hot key.
    /// @param registeredAt Protocol time.
    /// @param deactivatedAt Protocol time, 0 while active.
    /// @param feeCurBps The fee now.
    /// @param feePrevBps The fee before the last change.
    /// @param feeChangedAt Protocol time of registration or of the last change.
    /// @param metadataHash Hash of a description kept elsewhere; may be 0.
    struct Relay {
        address owner;
        address signer;
        uint40 registeredAt;
        uint40 deactivatedAt;
        uint16 feeCurBps;
        uint16 feePrevBps;
        uint40 feeChangedAt;
        bytes32 metadataHash;
    }

    /// @param owner Who may change this provider.
    /// @param signer Its current hot key.
    /// @param registeredAt Protocol time.
    /// @param deactivatedAt Protocol time, 0 while active.
    /// @param metadataHash Hash of a description kept elsewhere; may be 0.
    struct Provider {
        address owner;
        address signer;
        uint40 registeredAt;
        uint40 deactivatedAt;
        bytes32 metadataHash;
    }

    /// @param key The hot key.
    /// @param validFrom First second it is valid.
    /// @param validUntil First second it is no longer valid; the highest value while nothing replaced it.
    struct Signer {
        address key;
        uint40 validFrom;
        uint40 validUntil;
    }

    /// @notice A relay registered.
    event RelayRegistered(
        uint32 indexed relayId,
        address indexed owner,
        address indexed signer,
        uint16 feeBps,
        bytes32 metadataHash
    );
    /// @notice A provider registered.
    event ProviderRegistered(
        uint32 indexed providerId,
        address indexed owner,
        address indexed signer,
        bytes32 metadataHash
    );
    /// @notice An id took a new signer; the old one stays valid until `oldValidUntil`.
    event SignerRotated(
        uint8 indexed role,
        uint32 indexed id,
        address indexed newSigner,
        address oldSigner,
        uint40 oldValidUntil
    );
    /// @notice An id changed its description.
    event MetadataChanged(uint8 indexed role, uint32 indexed id, bytes32 metadataHash);
    /// @notice An id left; its signer stays valid until `signerValidUntil` so that it can settle.
    event Deactivated(uint8 indexed role, uint32 indexed id, uint40 signerValidUntil);
    /// @notice A relay changed its fee.
    event RelayFeeChanged(uint32 indexed relayId, uint16 feeBps, uint16 previousFeeBps, uint40 changedAt);

    /// @notice Thrown when an owner registers while it has an active id in that role.
    error AlreadyRegistered(uint8 role, uint32 id);
    /// @notice Thrown when a signer is the zero address.
    error ZeroSigner();
    /// @notice Thrown when a signer is still valid for an id, or was so lately that what it signed can be judged.
    error SignerInUse(address signer, uint8 role, uint32 id);
    /// @notice Thrown when a signer is replaced while the one before it is still valid.
    error RotationPending(uint8 role, uint32 id, uint40 validUntil);
    /// @notice Thrown when an id has left.
    error NotActive(uint8 role, uint32 id);
    /// @notice Thrown when a relay's fee is above the cap.
    error FeeTooHigh(uint16 feeBps, uint16 cap);
    /// @notice Thrown when a relay changes its fee again too soon.
    error FeeChangeTooSoon(uint32 relayId, uint40 allowedFrom);

    /// @notice Registers the caller as a relay.
    /// @param signer Hot key of the node.
    /// @param feeBps What the relay adds to a provider's price, in basis points.
    /// @param metadataHash Hash of a description kept elsewhere; may be 0.
    /// @param deadline Until when `signerProof` holds, protocol time.
    /// @param signerProof Signature of `SignerProof(caller, 1, deadline)` by the signer.
    function registerRelay(
        address signer,
        uint16 feeBps,
        bytes32 metadataHash,
        uint40 deadline,
        bytes calldata signerProof
    ) external returns (uint32 relayId);

    /// @notice Registers the caller as a provider; as `registerRelay`, with role 2 in the proof.
    function registerProvider(
        address signer,
        bytes32 metadataHash,
        uint40 deadline,
        bytes calldata signerProof
    ) external returns (uint32 providerId);

    /// @notice Replaces the signer of an id. The old one stays valid for the signer thaw; one rotation at a time.
    function rotateSigner(
        uint8 role,
        uint32 id,
        address newSigner,
        uint40 deadline,
        bytes calldata signerProof
    ) external;

    /// @notice Changes the hash of an id's description.
    function setMetadata(uint8 role, uint32 id, bytes32 metadataHash) external;

    /// @notice Changes a relay's fee, at most once per fee notice.
    function setRelayFee(uint32 relayId, uint16 feeBps) external;

    /// @notice Leaves, for good: no new channels or offers under this id. What is owed can still be settled and claimed.
    function deactivate(uint8 role, uint32 id) external;

    /// @notice Highest fee a relay may set, in basis points.
    function MAX_RELAY_FEE_BPS() external view returns (uint16);

    /// @notice Number of relays; ids run from 1 to it.
    function relayCount() external view returns (uint32);

    /// @notice Number of providers; ids run from 1 to it.
    function providerCount() external view returns (uint32);

    /// @notice A relay; all zero if there is none with this id.
    function relayOf(uint32 relayId) external view returns (Relay memory);

    /// @notice A provider; all zero if there is none with this id.
    function providerOf(uint32 providerId) external view returns (Provider memory);

    /// @notice Owner of an id, 0 if there is none.
    function ownerOf(uint8 role, uint32 id) external view returns (address);

    /// @notice Whether an id is registered and has not left. Stake is the stake manager's business.
    function isActive(uint8 role, uint32 id) external view returns (bool);

    /// @notice The newest relay id of an owner, 0 if none.
    function relayIdOf(address owner) external view returns (uint32);

    /// @notice The newest provider id of an owner, 0 if none.
    function providerIdOf(address owner) external view returns (uint32);

    /// @notice The relay that a key signs for now, 0 if none.
    function relayIdBySigner(address signer) external view returns (uint32);

    /// @notice The provider that a key signs for now, 0 if none.
    function providerIdBySigner(address signer) external view returns (uint32);

    /// @notice Current and previous signer of an id.
    function signersOf(uint8 role, uint32 id) external view returns (Signer memory current, Signer memory previous);

    /// @notice Whether a key signed for an id at a protocol time. Reaches back to the previous signer only.
    function isSignerValid(uint8 role, uint32 id, address signer, uint40 time) external view returns (bool);

    /// @notice Whether an address may post for a relay: its owner or its current signer. A replaced signer may not.
    function mayPost(uint32 relayId, address caller) external view returns (bool);
}
