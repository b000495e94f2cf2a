// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {Network} from "./support/Network.sol";

/// @notice Contracts that do not belong together are not deployed together, whichever part is wrong.
contract WiringTest is Network {
    address private constant STRANGER = address(0xbad);

    function test_stakeManager_wantsModulesOfItsVault() public {
        isRefused("StakeManager", stakeArguments(address(settlement), address(frauds), 1, 1), address(vault));
        vaultKnowsNext();
        isRefused("StakeManager", stakeArguments(STRANGER, address(frauds), 1, 1), STRANGER);
        isRefused("StakeManager", stakeArguments(address(settlement), STRANGER, 1, 1), STRANGER);
        this.made("StakeManager", stakeArguments(address(settlement), address(frauds), 1, 1));
    }

    function test_stakeManager_wantsStakes() public {
        vaultKnowsNext();
        bytes memory reason = abi.encodeWithSelector(IStakeManager.ZeroStake.selector);
        vm.expectRevert(reason);
        this.made("StakeManager", stakeArguments(address(settlement), address(frauds), 0, 1));
        vm.expectRevert(reason);
        this.made("StakeManager", stakeArguments(address(settlement), address(frauds), 1, 0));
    }

    function test_settlement_wantsWhatKnowsIt() public {
        isRefused("Settlement", settlementArguments(address(reserves), TREASURY), address(vault));
        vaultKnowsNext();
        isRefused("Settlement", settlementArguments(address(reserves), TREASURY), address(stakes));
        says(address(stakes), abi.encodeCall(stakes.SETTLEMENT, ()), abi.encode(nextAddress(0)));
        isRefused("Settlement", settlementArguments(STRANGER, TREASURY), STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ZeroTreasury.selector));
        this.made("Settlement", settlementArguments(address(reserves), address(0)));
        this.made("Settlement", settlementArguments(address(reserves), TREASURY));
    }

    function test_reserves_wantWhatKnowsThem() public {
        bytes memory arguments = abi.encode(clock, vault, registry, settlement);
        isRefused("Reserves", arguments, address(vault));
        vaultKnowsNext();
        isRefused("Reserves", arguments, address(settlement));
        says(address(settlement), abi.encodeCall(settlement.RESERVES, ()), abi.encode(nextAddress(0)));
        this.made("Reserves", arguments);
    }

    function test_fraudProofs_wantWhatKnowsThem() public {
        bytes memory arguments = abi.encode(clock, vault, registry, stakes, settlement);
        isRefused("FraudProofs", arguments, address(vault));
        vaultKnowsNext();
        isRefused("FraudProofs", arguments, address(stakes));
        says(address(stakes), abi.encodeCall(stakes.FRAUD_PROOFS, ()), abi.encode(nextAddress(0)));
        isRefused("FraudProofs", abi.encode(clock, vault, registry, stakes, STRANGER), STRANGER);
        this.made("FraudProofs", arguments);
    }

    function made(string calldata name, bytes calldata arguments) external {
        create(name, arguments);
    }

    /// @dev Every contract has the error by the same name.
    function isRefused(string memory name, bytes memory arguments, address wrong) private {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongWiring.selector, wrong));
        this.made(name, arguments);
    }

    /// @dev As if the vault had been deployed for what this contract makes next.
    function vaultKnowsNext() private {
        ICreditVault.Module memory module = vault.moduleOf(address(settlement));
        says(address(vault), abi.encodeCall(vault.moduleOf, (nextAddress(0))), abi.encode(module));
    }

    function says(address target, bytes memory call, bytes memory answer) private {
        vm.mockCall(target, call, answer);
    }

    function stakeArguments(
        address settlement_,
        address frauds_,
        uint96 relayStake,
        uint96 providerStake
    ) private view returns (bytes memory) {
        return abi.encode(clock, vault, registry, settlement_, frauds_, relayStake, providerStake);
    }

    function settlementArguments(address reserves_, address treasury) private view returns (bytes memory) {
        return abi.encode(clock, vault, registry, stakes, reserves_, treasury, 0);
    }
}
