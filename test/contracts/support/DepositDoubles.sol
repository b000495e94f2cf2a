// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IProtocolClock} from "../../../contracts/interfaces/IProtocolClock.sol";
import {TestDollar} from "../../../contracts/test/TestDollar.sol";

/// @notice As much of a settlement as a router without channels needs, over another vault.
contract SettlementDouble {
    ICreditVault public immutable VAULT;
    IProtocolClock public immutable CLOCK;

    constructor(ICreditVault vault, IProtocolClock clock) {
        VAULT = vault;
        CLOCK = clock;
    }
}

/// @notice Takes every permit for good and does nothing, as tokens with a fallback function do.
contract PhantomDollar is TestDollar {
    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) public override {}
}

/// @notice Calls somebody back in the middle of a transfer.
contract CallbackDollar is TestDollar {
    address private _target;
    bytes private _call;

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0) || from == address(0)) return;
        (bool ok, bytes memory answer) = _target.call(_call);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }
}
