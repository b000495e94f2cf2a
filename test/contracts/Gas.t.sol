// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPosts} from "../../contracts/interfaces/IPosts.sol";
import {Network} from "./support/Network.sol";

/// @notice What a row costs: cold storage that is not zero, calldata included, as on a chain.
contract GasTest is Network {
    uint256 private constant USERS = 60;
    uint256 private constant PROVIDERS = 30;
    uint64 private constant DELTA = 1_234_567_891;
    uint80 private constant CREDIT = 1_000_003_331;

    uint32 private _firstUser;

    function setUp() public override {
        super.setUp();
        addRelay(1, 1_000 * USD);
        for (uint256 n = 1; n <= PROVIDERS; ++n) addProvider(n);
        for (uint256 n = 1; n <= USERS; ++n) {
            fund(user(n), 10 * TOKEN_USD);
            uint32 userId = open(user(n), 1, 10 * USD);
            if (n == 1) _firstUser = userId;
        }
        post(USERS, PROVIDERS, 1);
        skip(5);
    }

    function test_post_costsLittlePerMeteredRow() public {
        post(USERS, PROVIDERS, 2);
        uint256 most = post(USERS, PROVIDERS, 3);
        uint256 least = post(USERS / 2, PROVIDERS, 4);
        atMost((most - least) / (USERS / 2), 5_800, "gas per metered row");
    }

    function test_post_costsLittlePerProviderRow() public {
        post(USERS, PROVIDERS, 2);
        uint256 most = post(USERS, PROVIDERS, 3);
        uint256 least = post(USERS, PROVIDERS / 2, 4);
        atMost((most - least) / (PROVIDERS / 2), 6_000, "gas per provider row");
    }

    function test_post_costsLittleForItself() public {
        atMost(post(0, 0, 2), 110_000, "gas of an empty post");
    }

    /// @return used What the whole transaction would use.
    function post(uint256 users, uint256 providers, uint256 round) private returns (uint256 used) {
        Debit[] memory debits = new Debit[](users);
        for (uint256 i = 0; i < users; ++i)
            debits[i] = metered(uint32(_firstUser + i), uint80(round * DELTA), DELTA);
        Credit[] memory credits = new Credit[](providers);
        for (uint256 i = 0; i < providers; ++i) credits[i] = Credit(uint32(i + 1), uint80(round * CREDIT));
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, debits, credits);
        bytes memory data = abi.encodeCall(IPosts.post, (1, header, rows));
        address target = address(settlement);
        address[4] memory all = [target, address(registry), address(stakes), address(clock)];
        for (uint256 i = 0; i < 4; ++i) vm.cool(all[i]);
        vm.prank(vm.addr(relaySignerKey(1)));
        bool ok;
        uint256 before;
        assembly ("memory-safe") {
            before := gas()
            ok := call(gas(), target, 0, add(data, 32), mload(data), 0, 0)
            used := sub(before, gas())
        }
        yes(ok, "posts");
        used += 21_000;
        for (uint256 i = 0; i < data.length; ++i) used += data[i] == 0 ? 4 : 16;
    }

    function atMost(uint256 got, uint256 most, string memory what) private pure {
        require(got <= most, NotEqual(what, got, most));
    }
}
