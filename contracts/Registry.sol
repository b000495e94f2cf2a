// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Timed} from "./Timed.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {Prices} from "./registry/Prices.sol";

/// @notice Who takes part, under which keys, and what they ask; see the interface.
contract Registry is Prices {
    constructor(IProtocolClock clock_) EIP712("AiMo", "1") Timed(clock_) {}
}
