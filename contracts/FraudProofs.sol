// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Timed} from "./Timed.sol";
import {Demands} from "./fraud/Demands.sol";
import {Openings} from "./fraud/Openings.sol";
import {ProviderProofs} from "./fraud/ProviderProofs.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakeManager} from "./interfaces/IStakeManager.sol";

/// @notice Fraud proofs and demands; see the interface.
contract FraudProofs is Demands, ProviderProofs {
    constructor(
        IProtocolClock clock_,
        ICreditVault vault,
        IRegistry registry,
        IStakeManager stakeManager,
        ISettlement settlement
    ) Timed(clock_) Openings(vault, registry, stakeManager, settlement) {}
}
