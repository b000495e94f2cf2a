// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentities} from "./IIdentities.sol";
import {IPrices} from "./IPrices.sol";
import {ITimed} from "./ITimed.sol";

/// @notice Who takes part, under which keys, and what they ask. Holds no money.
interface IRegistry is IIdentities, IPrices, ITimed {}
