// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Windows} from "../types/Windows.sol";

/// @notice The one source of protocol time and of the windows, read by every contract and every node.
/// Protocol time is the time of the block less all pauses: while the protocol is paused it stands still, so nobody's
/// right runs out, and what was due before stays due.
interface IProtocolClock {
    /// @notice The guardian stopped the protocol.
    event Paused(uint40 pausedAt, uint40 until);
    /// @notice The pause ended before its time.
    event Unpaused(uint40 paused);

    /// @notice Thrown where nothing new may begin during a pause.
    error ProtocolPaused(uint40 until);
    /// @notice Thrown when a pause is asked for during another, or too soon after one.
    error PauseTooSoon(uint40 allowedFrom);
    /// @notice Thrown when there is no pause to end.
    error NotPaused();

    /// @notice Stops protocol time for at most the pause window. Only the guardian; again only after the cool-down.
    function pause() external;

    /// @notice Ends a pause early. Only the guardian.
    function unpause() external;

    /// @notice Protocol time in seconds.
    function clock() external view returns (uint40);

    /// @notice Protocol time in seconds; reverts with `ProtocolPaused` during a pause.
    function running() external view returns (uint40);

    /// @notice All pauses so far in seconds, the present one included: block time less protocol time.
    function totalPaused() external view returns (uint40);

    /// @notice Block time at which the present pause ends by itself; 0 when the protocol runs.
    function pausedUntil() external view returns (uint40);

    /// @notice The windows of this deployment.
    function windows() external view returns (Windows memory);
}
