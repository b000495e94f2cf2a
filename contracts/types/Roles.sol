// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev Ids are dense per role, so whatever is kept for both roles is keyed by role and id.
uint8 constant ROLE_RELAY = 1;
uint8 constant ROLE_PROVIDER = 2;

/// @notice Thrown when a role is neither relay (1) nor provider (2).
error UnknownRole(uint8 role);
/// @notice Thrown when a role has no such id.
error UnknownId(uint8 role, uint32 id);
/// @notice Thrown when something is left to the owner of an id and somebody else asks for it.
error NotOwner(uint8 role, uint32 id, address caller);
