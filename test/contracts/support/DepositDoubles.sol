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

/// @notice Moves nothing when it is told so, in one of the two ways in which tokens say that.
contract RefusingDollar is TestDollar {
    enum Refusal {
        None,
        Revert,
        False
    }

    Refusal private _refusal;

    error Frozen();

    function refuse(Refusal refusal) external {
        _refusal = refusal;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return _lets() && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return _lets() && super.transferFrom(from, to, value);
    }

    function _lets() private view returns (bool) {
        require(_refusal != Refusal.Revert, Frozen());
        return _refusal == Refusal.None;
    }
}
