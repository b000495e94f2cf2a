// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITimed} from "./ITimed.sol";

/// @notice Bonds of relays and stakes of providers, in credits that the vault keeps. Only `active` backs new volume;
/// what is unbonding can still be slashed. Slashed credits that go to nobody stay here for good: they are burned.
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

    /// @notice Part of a bond is kept for an open demand.
    event Frozen(uint32 indexed relayId, uint96 amount, uint96 frozen);
    /// @notice A demand was closed: what was kept for it is free again.
    event Unfrozen(uint32 indexed relayId, uint96 amount, uint96 frozen);
    /// @notice A slash could not take all of a fine, or the bond no longer has what was held back: `fines` stays in it.
    event FinesHeldBack(uint32 indexed relayId, uint96 fines);
    /// @notice A bond or stake was slashed. `toVictim + toChallenger + burned` is what was taken.
    event Slashed(uint8 indexed role, uint32 indexed id, uint96 toVictim, uint96 toChallenger, uint96 burned);

    /// @notice Thrown when an amount is zero.
    error ZeroStake();
    /// @notice Thrown when the owner of an id has no credits account.
    error OwnerWithoutCredits(address owner);
    /// @notice Thrown when more is asked back than is active.
    error InsufficientBond(uint8 role, uint32 id, uint96 active, uint96 wanted);
    /// @notice Thrown when what stays would not cover the relay's volume that is not final, its open demands, and the
    /// fines that it still owes.
    error BondInUse(uint32 relayId, uint256 remaining, uint256 required);
    /// @notice Thrown when all requests of an id are taken.
    error TooManyUnbonds(uint8 role, uint32 id);
    /// @notice Thrown when a slot holds no request.
    error NoUnbond(uint8 role, uint32 id, uint8 slot);
    /// @notice Thrown when a request is withdrawn too early.
    error StillBonded(uint40 releaseAt, uint40 clock);
    /// @notice Thrown when somebody other than the fraud proofs freezes or slashes.
    error NotFraudProofs(address caller);
    /// @notice Thrown at deployment when the vault or the settlement does not know this contract.
    error WrongWiring(address contractAddress);

    /// @notice Bonds free credits of the caller, who must own the id.
    function bond(uint8 role, uint32 id, uint96 amount) external;

    /// @notice Asks for part of a bond back. It stops backing volume now and can be withdrawn after the unbonding time.
    /// @return slot Where the request is kept; there are 8 per id.
    function requestUnbond(uint8 role, uint32 id, uint96 amount) external returns (uint8 slot);

    /// @notice Takes a request back: the amount is active again.
    function cancelUnbond(uint8 role, uint32 id, uint8 slot) external;

    /// @notice Pays a request whose time has come to the free credits of the owner. What stays must cover a relay's
    /// metered volume that is not final, its open demands, and the fines that no slash could take.
    function withdrawUnbonded(uint8 role, uint32 id, uint8 slot) external;

    /// @notice Keeps what `slash` would take for a loss, to be taken by `slashFrozen` or given back by `unfreeze`. Only
    /// the fraud proofs.
    /// @return kept What was kept: less when there is less, or when others may need it.
    function freeze(uint32 relayId, uint96 loss, bool isMetered) external returns (uint96 kept);

    /// @notice Ends what `freeze` began. Only the fraud proofs.
    function unfreeze(uint32 relayId, uint96 kept) external;

    /// @notice Takes `penaltyOf(role, id, loss)` from a bond: the victim gets its loss, the challenger at most a fifth
    /// of the rest and at most 1,000 USD, what remains is burned. Never reverts for anything the offender did: it takes
    /// what there is. What is kept for demands is left alone, and so is what covers the relay's other metered volume that
    /// is not final: fines do not eat what victims may need, and a relay cannot empty its bond by a signed row of its
    /// own. What cannot be taken from a relay for that is held back. Only the fraud proofs.
    /// @param victim User id, 0 if nobody lost anything.
    /// @param challenger User id.
    /// @param isMetered Whether the loss is part of the metered volume.
    function slash(
        uint8 role,
        uint32 id,
        uint96 loss,
        uint32 victim,
        uint32 challenger,
        bool isMetered
    ) external returns (uint96 toVictim, uint96 toChallenger, uint96 burned);

    /// @notice `slash` of a relay, out of what was kept for it; what is not taken stays kept. Only the fraud proofs.
    function slashFrozen(
        uint32 relayId,
        uint96 kept,
        uint96 loss,
        uint32 victim,
        uint32 challenger
    ) external returns (uint96 toVictim, uint96 toChallenger, uint96 burned);

    /// @notice What a proven loss costs: loss + max(10 x loss, 1 % of the bond), at most active + unbonding, pUSD.
    function penaltyOf(uint8 role, uint32 id, uint96 loss) external view returns (uint96);

    /// @notice Active bond of a relay that is not kept for demands, pUSD: what its volume can be measured against.
    function backingOf(uint32 relayId) external view returns (uint96);

    /// @notice What is kept of a relay's bond for open demands, pUSD.
    function frozenOf(uint32 relayId) external view returns (uint96);

    /// @notice Fines of a relay that no slash could take, as others might have needed the credits, pUSD: at most its bond.
    /// They back volume and can be slashed like the rest, but are never paid out.
    function finesOf(uint32 relayId) external view returns (uint96);

    /// @notice What a withdrawal must leave in a relay's bond, pUSD: its metered volume that is not final, what is kept for
    /// open demands, and fines that no slash could take.
    function heldOf(uint32 relayId) external view returns (uint256);

    /// @notice Whether an id had the minimum stake at some time between the two, both included. Protocol time.
    function wasStaked(uint8 role, uint32 id, uint40 from, uint40 to) external view returns (bool);

    /// @notice All that was slashed and went to nobody, pUSD.
    function burned() external view returns (uint128);

    /// @notice The contract that may freeze and slash.
    function FRAUD_PROOFS() external view returns (address);

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
