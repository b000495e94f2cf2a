// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Timed} from "./Timed.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IStakeManager} from "./interfaces/IStakeManager.sol";
import {Books} from "./settlement/Books.sol";
import {Channels} from "./settlement/Channels.sol";
import {Posts} from "./settlement/Posts.sol";

/// @notice Channels, batches and earnings; see the interface.
contract Settlement is Channels, Posts {
    constructor(
        IProtocolClock clock_,
        ICreditVault vault,
        IRegistry registry,
        IStakeManager stakeManager,
        address reserves,
        address treasury,
        uint16 protocolFeeBps
    )
        EIP712("AiMo", "1")
        Timed(clock_)
        Books(vault, registry, stakeManager, reserves, treasury, protocolFeeBps)
    {}
}
