// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ILens} from "../../../contracts/interfaces/ILens.sol";
import {Network} from "../support/Network.sol";

/// @notice What pages cost.
contract LensGasTest is Network {
    ILens private _lens;

    function setUp() public override {
        super.setUp();
        for (uint256 n = 1; n <= 3; ++n) {
            addRelay(n, 100 * USD);
            addProvider(n);
            fund(user(n), 50 * TOKEN_USD);
            open(user(n), uint32(n), 5 * USD);
        }
        _lens = ILens(create("Lens", abi.encode(settlement, reserves)));
    }

    /// @dev Nodes allow a call some tens of millions of gas: the longest page must stay well below.
    function test_pages_fitACall() public {
        uint256 longest = _lens.MAX_PAGE();
        bytes[4] memory calls = [
            abi.encodeCall(_lens.relays, (1, 3)),
            abi.encodeCall(_lens.providers, (1, 3)),
            abi.encodeCall(_lens.pairsOfRelay, (1, 1, 3)),
            abi.encodeCall(_lens.channelsOfUser, (3, 1, 3))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            // a page of one call alone: nothing was read before
            address[5] memory targets = [
                address(settlement),
                address(vault),
                address(registry),
                address(stakes),
                address(reserves)
            ];
            for (uint256 n = 0; n < 5; ++n) vm.cool(targets[n]);
            uint256 before = gasleft();
            (bool ok, ) = address(_lens).staticcall(calls[i]);
            uint256 used = before - gasleft();
            yes(ok && (used * longest) / 3 < 20_000_000, "the longest page fits");
        }
    }
}
