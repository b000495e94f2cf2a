// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {Network} from "./support/Network.sol";

/// @notice Modules that come later: announced, delayed, and only where they were let in.
contract ModulesTest is Network {
    address private constant MODULE = address(0x2a0d);
    address private _alice;
    uint32 private _id;

    function setUp() public override {
        super.setUp();
        _alice = user(1);
        _id = fund(_alice, 20 * TOKEN_USD);
        vm.etch(MODULE, hex"00");
    }

    function test_scheduleModule_takesEffectAfterTheDelay() public {
        vm.expectEmit(true, true, true, true, address(vault));
        emit ICreditVault.ModuleScheduled(MODULE, START + 100);
        schedule(MODULE);
        letIn(MODULE, true);
        skip(99);
        refusedAll(abi.encodeWithSelector(ICreditVault.NotModule.selector, MODULE));
        yes(!vault.isModuleFor(MODULE, _id), "not yet");
        skip(1);
        yes(vault.isModuleFor(MODULE, _id), "now");
        vm.startPrank(MODULE);
        vault.lock(_id, uint96(3 * USD));
        vault.useNonce(_id, 0);
        vault.release(_id, uint96(USD));
        eq(vault.payOut(_alice, uint96(USD)), USD, "pays out its own");
        vm.stopPrank();
        eq(vault.moduleOf(MODULE).balance, USD, "balance");
    }

    /// @dev Whatever the governor adds, it gets nothing from whoever did not ask for it.
    function test_laterModule_cannotTouchAccountsThatDidNotLetItIn() public {
        schedule(MODULE);
        skip(100);
        bytes memory reason = abi.encodeWithSelector(ICreditVault.ModuleNotApproved.selector, MODULE, _id);
        vm.startPrank(MODULE);
        vm.expectRevert(reason);
        vault.lock(_id, 1);
        vm.expectRevert(reason);
        vault.useNonce(_id, 0);
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.InsufficientModuleBalance.selector, MODULE, 0, SCALE)
        );
        vault.payOut(MODULE, uint96(SCALE));
        vm.stopPrank();
        yes(!vault.isModuleFor(MODULE, _id), "not asked for");
        letIn(MODULE, true);
        letIn(MODULE, false);
        vm.prank(MODULE);
        vm.expectRevert(reason);
        vault.lock(_id, 1);
    }

    function test_laterModule_neverTouchesChannelsOfTheFirst() public {
        addRelay(1, MIN_STAKE);
        open(_alice, 1, 5 * USD);
        schedule(MODULE);
        letIn(MODULE, true);
        skip(100);
        uint256 balance = vault.moduleOf(address(settlement)).balance;
        vm.prank(MODULE);
        vault.lock(_id, uint96(15 * USD));
        eq(vault.moduleOf(address(settlement)).balance, balance, "settlement");
        eq(settlement.channelOf(1, _id).available, 5 * USD, "channel");
    }

    function test_scheduleModule_reverts() public {
        bytes memory reason = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, GUARDIAN);
        vm.prank(GUARDIAN);
        vm.expectRevert(reason);
        vault.scheduleModule(MODULE);
        address[3] memory bad = [address(settlement), address(0xdead), MODULE];
        schedule(MODULE);
        for (uint256 n = 0; n < 3; ++n) {
            vm.prank(GOVERNOR);
            vm.expectRevert(abi.encodeWithSelector(ICreditVault.BadModule.selector, bad[n]));
            vault.scheduleModule(bad[n]);
        }
    }

    function test_approveModule_isForUsers() public {
        vm.prank(user(9));
        vm.expectRevert(abi.encodeWithSelector(ICreditVault.UnknownUser.selector, user(9)));
        vault.approveModule(MODULE, true);
        yes(!vault.isModuleFor(MODULE, _id), "approval alone is nothing");
        letIn(MODULE, true);
        yes(!vault.isModuleFor(MODULE, _id), "unknown module");
        yes(vault.isModuleFor(address(settlement), _id), "the first modules need none");
    }

    function schedule(address module) private {
        vm.prank(GOVERNOR);
        vault.scheduleModule(module);
    }

    function letIn(address module, bool approved) private {
        vm.prank(_alice);
        vault.approveModule(module, approved);
    }

    function refusedAll(bytes memory reason) private {
        vm.startPrank(MODULE);
        vm.expectRevert(reason);
        vault.lock(_id, 1);
        vm.expectRevert(reason);
        vault.release(_id, 1);
        vm.expectRevert(reason);
        vault.useNonce(_id, 0);
        vm.expectRevert(reason);
        vault.payOut(MODULE, uint96(SCALE));
        vm.stopPrank();
    }
}
