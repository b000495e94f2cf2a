// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITimed} from "./ITimed.sol";

/// @notice Bonds of relays and stakes of providers, in credits that the vault keeps. Only `active` backs new volume.
interface IStakeManager is ITimed {
    /// @param active What backs the id, pUSD.
    /// @param unbonding What is on its way out, pUSD.
    struct Bond {
        uint96 active;
        uint96 unbonding;
    }

    /// @param amount pUSD; 0 if the slot is empty.
    /// @param releaseAt Protocol time from which it can be withdrawn, fixed when it was requested.
    struct Unbond {
        uint96 amount;
        uint40 releaseAt;
    }

    /// @notice An owner bonded credits.
    event Bonded(uint8 indexed role, uint32 indexed id, uint96 amount, uint96 active);
    /// @notice An owner asked for part of a bond back.
    event UnbondRequested(uint8 indexed role, uint32 indexed id, uint8 slot, uint96 amount, uint40 releaseAt);
    /// @notice An owner took a request back.
    event UnbondCancelled(uint8 indexed role, uint32 indexed id, uint8 slot, uint96 amount);
    /// @notice An owner got part of a bond back as free credits.
    event Unbonded(uint8 indexed role, uint32 indexed id, uint8 slot, uint96 amount);

    /// @notice Thrown when an amount is zero.
    error ZeroStake();
    /// @notice Thrown when the owner of an id has no credits account.
    error OwnerWithoutCredits(address owner);
    /// @notice Thrown when more is asked back than is active.
    error InsufficientBond(uint8 role, uint32 id, uint96 active, uint96 wanted);
    /// @notice Thrown when what stays would not cover the relay's volume that is not final.
    error BondInUse(uint32 relayId, uint256 remaining, uint256 required);
    /// @notice Thrown when all requests of an id are taken.
    error TooManyUnbonds(uint8 role, uint32 id);
    /// @notice Thrown when a slot holds no request.
    error NoUnbond(uint8 role, uint32 id, uint8 slot);
    /// @notice Thrown when a request is withdrawn too early.
    error StillBonded(uint40 releaseAt, uint40 clock);
    /// @notice Thrown at deployment when the vault or the settlement does not know this contract.
    error WrongWiring(address contractAddress);

    /// @notice Bonds free credits of the caller, who must own the id.
    function bond(uint8 role, uint32 id, uint96 amount) external;

    /// @notice Asks for part of a bond back. It stops backing volume now and can be withdrawn after the unbonding time.
    /// @return slot Where the request is kept; there are 8 per id.
    function requestUnbond(uint8 role, uint32 id, uint96 amount) external returns (uint8 slot);

    /// @notice Takes a request back: the amount is active again.
    function cancelUnbond(uint8 role, uint32 id, uint8 slot) external;

    /// @notice Pays a request whose time has come to the free credits of the owner.
    function withdrawUnbonded(uint8 role, uint32 id, uint8 slot) external;

    /// @notice What a relay needs at least to be active, pUSD.
    function MIN_RELAY_STAKE() external view returns (uint96);

    /// @notice What a provider needs at least to be active, pUSD.
    function MIN_PROVIDER_STAKE() external view returns (uint96);

    /// @notice The settlement whose volume the relays' bonds back.
    function SETTLEMENT() external view returns (address);

    /// @notice Bond of an id.
    function bondOf(uint8 role, uint32 id) external view returns (Bond memory);

    /// @notice One of the 8 unbonding requests of an id.
    function unbondOf(uint8 role, uint32 id, uint8 slot) external view returns (Unbond memory);

    /// @notice Whether an id is registered, has not left, and has at least the minimum stake.
    function isActive(uint8 role, uint32 id) external view returns (bool);
}
