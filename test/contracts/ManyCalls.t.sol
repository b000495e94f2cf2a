// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ManyCalls} from "../../contracts/test/ManyCalls.sol";
import {TestDollar} from "../../contracts/test/TestDollar.sol";
import {Deployed} from "./support/Deployed.sol";

contract ManyCallsTest is Deployed {
    ManyCalls private many;

    function setUp() public override {
        super.setUp();
        many = ManyCalls(create("ManyCalls", ""));
    }

    function test_callAll_makesEveryCallAsItself() public {
        (address[] memory targets, bytes[] memory data) = mintAnd(abi.encodeCall(token.transfer, (TREASURY, 2)));
        many.callAll(targets, data);
        eq(token.balanceOf(TREASURY), 2, "sent on");
        eq(token.balanceOf(address(many)), 5, "the rest");
    }

    function test_callAll_isAllOrNothing() public {
        (address[] memory targets, bytes[] memory data) = mintAnd(abi.encodeCall(token.transfer, (address(0), 2)));
        bytes memory reason = abi.encodeWithSignature("ERC20InvalidReceiver(address)", address(0));
        vm.expectRevert(abi.encodeWithSelector(ManyCalls.CallFailed.selector, 1, reason));
        many.callAll(targets, data);
        eq(token.balanceOf(address(many)), 0, "nothing");
    }

    function mintAnd(bytes memory second) private view returns (address[] memory targets, bytes[] memory data) {
        targets = new address[](2);
        data = new bytes[](2);
        (targets[0], targets[1]) = (address(token), address(token));
        (data[0], data[1]) = (abi.encodeCall(TestDollar.mint, (address(many), 7)), second);
    }
}
