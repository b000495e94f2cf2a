// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IProtocolClock} from "../../../contracts/interfaces/IProtocolClock.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IReserves} from "../../../contracts/interfaces/IReserves.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {TestDollar} from "../../../contracts/test/TestDollar.sol";
import {Windows} from "../../../contracts/types/Windows.sol";
import {Check} from "./Check.sol";

/// @notice A whole deployment with the local windows.
abstract contract Deployed is Check {
    uint256 internal constant USD = 1e12;
    uint256 internal constant TOKEN_USD = 1e6;
    uint256 internal constant SCALE = 1e6;
    uint96 internal constant MIN_STAKE = uint96(10 * USD);
    uint16 internal constant FEE_BPS = 100;
    uint40 internal constant START = 1_800_000_000;
    uint40 internal constant NEVER = type(uint40).max;
    uint24 internal constant TEXT = 0x010101;
    address internal constant TREASURY = address(0x7ea5);

    address internal constant GUARDIAN = address(0x9a4d);
    address internal constant GOVERNOR = address(0x907e);
    uint64 internal constant GUARDIAN_ROLE = 1;
    uint64 internal constant GOVERNOR_ROLE = 2;

    IAccessManager internal manager;
    IProtocolClock internal clock;
    TestDollar internal token;
    IRegistry internal registry;
    ICreditVault internal vault;
    IStakeManager internal stakes;
    ISettlement internal settlement;
    IReserves internal reserves;
    IFraudProofs internal frauds;

    function setUp() public virtual {
        vm.warp(START);
        deploy(FEE_BPS);
    }

    /// @dev From the artifacts: with `new`, every test would carry and compile all contracts.
    function deploy(uint16 feeBps) internal {
        manager = IAccessManager(create("AccessManager", abi.encode(address(this))));
        clock = IProtocolClock(create("ProtocolClock", abi.encode(manager, localWindows())));
        token = makeToken();
        registry = IRegistry(create("Registry", abi.encode(clock)));
        address[] memory modules = new address[](4);
        for (uint256 n = 0; n < 4; ++n) modules[n] = nextAddress(n + 1);
        vault = ICreditVault(create("CreditVault", abi.encode(clock, manager, token, modules)));
        stakes = IStakeManager(
            create("StakeManager", abi.encode(clock, vault, registry, modules[1], modules[3], MIN_STAKE, MIN_STAKE))
        );
        settlement = ISettlement(
            create("Settlement", abi.encode(clock, vault, registry, stakes, modules[2], TREASURY, feeBps))
        );
        reserves = IReserves(create("Reserves", abi.encode(clock, vault, registry, settlement)));
        frauds = IFraudProofs(create("FraudProofs", abi.encode(clock, vault, registry, stakes, settlement)));
        allow(address(clock), IProtocolClock.pause.selector, GUARDIAN_ROLE, GUARDIAN);
        allow(address(clock), IProtocolClock.unpause.selector, GUARDIAN_ROLE, GUARDIAN);
        allow(address(vault), ICreditVault.scheduleModule.selector, GOVERNOR_ROLE, GOVERNOR);
    }

    /// @dev The token that all credits are of; stories of other tokens bring their own.
    function makeToken() internal virtual returns (TestDollar) {
        return TestDollar(create("TestDollar", ""));
    }

    function allow(address target, bytes4 selector, uint64 role, address account) private {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        manager.setTargetFunctionRole(target, selectors, role);
        manager.grantRole(role, account, 0);
    }

    /// @dev Deploys an artifact; reverts with what its constructor reverted with.
    function create(string memory name, bytes memory arguments) internal returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(name), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    /// @dev Where this contract's next creation but `ahead` will be; for nonces below 128.
    function nextAddress(uint256 ahead) internal view returns (address) {
        uint256 nonce = vm.getNonce(address(this)) + ahead;
        require(nonce < 128, "nonce");
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), uint8(nonce))))));
    }

    /// @dev By the cheatcode: the compiler takes `block.timestamp` for the same all through a transaction.
    function skip(uint256 time) internal {
        vm.warp(vm.getBlockTimestamp() + time);
    }

    function localWindows() internal pure virtual returns (Windows memory) {
        return
            Windows({
                epoch: 5,
                response: 5,
                post: 60,
                channelThaw: 70,
                relayBucket: 70,
                signerThaw: 80,
                unbondProvider: 90,
                unbondRelay: 100,
                priceNotice: 10,
                feeNotice: 80,
                pauseMax: 20,
                pauseCooldown: 60,
                moduleDelay: 100
            });
    }
}
