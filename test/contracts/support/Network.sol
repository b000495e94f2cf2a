// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {IProtocolClock} from "../../../contracts/interfaces/IProtocolClock.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {Depth} from "../../../contracts/libraries/Depth.sol";
import {
    Messages,
    SignerProof,
    SpendAuthorization,
    Withdraw
} from "../../../contracts/libraries/Messages.sol";
import {TestDollar} from "../../../contracts/test/TestDollar.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Windows} from "../../../contracts/types/Windows.sol";
import {Check} from "./Check.sol";

/// @notice A whole deployment with the local windows, and the moves that tests are made of.
abstract contract Network is Check {
    struct Debit {
        uint32 userId;
        uint80 cumEnd;
        uint64 delta;
    }

    struct Credit {
        uint32 providerId;
        uint80 cumEnd;
    }

    uint256 internal constant USD = 1e12;
    uint256 internal constant TOKEN_USD = 1e6;
    uint256 internal constant SCALE = 1e6;
    uint96 internal constant MIN_STAKE = uint96(10 * USD);
    uint16 internal constant FEE_BPS = 100;
    uint40 internal constant START = 1_800_000_000;
    uint40 internal constant NEVER = type(uint40).max;
    uint24 internal constant TEXT = 0x010101;
    address internal constant TREASURY = address(0x7ea5);

    IProtocolClock internal clock;
    TestDollar internal token;
    IRegistry internal registry;
    ICreditVault internal vault;
    IStakeManager internal stakes;
    ISettlement internal settlement;

    function setUp() public virtual {
        vm.warp(START);
        deploy(FEE_BPS);
    }

    /// @dev From the artifacts: with `new`, every test would carry and compile all contracts.
    function deploy(uint16 feeBps) internal {
        clock = IProtocolClock(create("ProtocolClock", ""));
        token = TestDollar(create("TestDollar", ""));
        registry = IRegistry(create("Registry", abi.encode(clock, localWindows())));
        address[] memory modules = new address[](2);
        (modules[0], modules[1]) = (nextAddress(1), nextAddress(2));
        vault = ICreditVault(create("CreditVault", abi.encode(clock, token, modules)));
        stakes = IStakeManager(
            create(
                "StakeManager",
                abi.encode(clock, localWindows(), vault, registry, modules[1], MIN_STAKE, MIN_STAKE)
            )
        );
        settlement = ISettlement(
            create(
                "Settlement",
                abi.encode(clock, localWindows(), vault, registry, stakes, TREASURY, feeBps)
            )
        );
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

    // ---- Users ----

    function userKey(uint256 n) internal pure returns (uint256) {
        return 0xa11ce000 + n;
    }

    function user(uint256 n) internal pure returns (address) {
        return vm.addr(userKey(n));
    }

    function fund(address owner, uint256 tokens) internal returns (uint32 userId) {
        token.mint(address(this), tokens);
        token.approve(address(vault), tokens);
        return vault.deposit(owner, tokens);
    }

    function free(address owner) internal view returns (uint256) {
        return vault.accountOf(vault.userIdOf(owner)).free;
    }

    function open(address owner, uint32 relayId, uint256 amount) internal returns (uint32 userId) {
        uint40 expiry = clock.clock() + 1 hours;
        vm.prank(owner);
        settlement.openChannel(relayId, uint96(amount), expiry, 0, address(0));
        return vault.userIdOf(owner);
    }

    // ---- Relays and providers ----

    function relayOwner(uint256 n) internal pure returns (address) {
        return vm.addr(0x4e1a0000 + n);
    }

    function relaySignerKey(uint256 n) internal pure returns (uint256) {
        return 0x4e1a5000 + n;
    }

    function providerOwner(uint256 n) internal pure returns (address) {
        return vm.addr(0x9407000 + n);
    }

    function providerSignerKey(uint256 n) internal pure returns (uint256) {
        return 0x9407500 + n;
    }

    function addRelay(uint256 n, uint256 bond) internal returns (uint32 relayId) {
        bytes memory proof = proofBy(relaySignerKey(n), relayOwner(n), ROLE_RELAY, NEVER);
        vm.prank(relayOwner(n));
        relayId = registry.registerRelay(vm.addr(relaySignerKey(n)), 500, bytes32(n), NEVER, proof);
        if (bond != 0) addBond(relayOwner(n), ROLE_RELAY, relayId, bond);
    }

    function addProvider(uint256 n) internal returns (uint32 providerId) {
        bytes memory proof = proofBy(providerSignerKey(n), providerOwner(n), ROLE_PROVIDER, NEVER);
        vm.prank(providerOwner(n));
        return registry.registerProvider(vm.addr(providerSignerKey(n)), bytes32(n), NEVER, proof);
    }

    function addBond(address owner, uint8 role, uint32 id, uint256 amount) internal {
        fund(owner, (amount + SCALE - 1) / SCALE);
        vm.prank(owner);
        stakes.bond(role, id, uint96(amount));
    }

    // ---- Posts ----

    function post(uint32 relayId, Debit[] memory debits, Credit[] memory credits) internal {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(relayId, debits, credits);
        postAs(registry.relayOf(relayId).signer, relayId, header, rows);
    }

    function postAs(address poster, uint32 relayId, IPosts.PostHeader memory header, bytes memory rows) internal {
        vm.prank(poster);
        settlement.post(relayId, header, rows);
    }

    function batchOf(
        uint32 relayId,
        Debit[] memory debits,
        Credit[] memory credits
    ) internal view returns (IPosts.PostHeader memory header, bytes memory rows) {
        header.batchNo = settlement.relayAccountOf(relayId).batchNo;
        header.nA = uint32(debits.length);
        header.nC = uint32(credits.length);
        header.depth = uint8(Depth.forLeaves(debits.length));
        if (debits.length != 0) header.receiptsRoot = keccak256(abi.encode(relayId, header.batchNo));
        for (uint256 i = 0; i < debits.length; ++i) {
            header.receiptsSum += debits[i].delta;
            rows = bytes.concat(rows, abi.encodePacked(debits[i].userId, debits[i].cumEnd, debits[i].delta));
        }
        for (uint256 i = 0; i < credits.length; ++i) {
            rows = bytes.concat(rows, abi.encodePacked(credits[i].providerId, credits[i].cumEnd));
        }
    }

    function one(uint32 userId, uint256 cumEnd, uint256 delta) internal pure returns (Debit[] memory list) {
        list = new Debit[](1);
        list[0] = Debit(userId, uint80(cumEnd), uint64(delta));
    }

    function owed(uint32 providerId, uint256 cumEnd) internal pure returns (Credit[] memory list) {
        list = new Credit[](1);
        list[0] = Credit(providerId, uint80(cumEnd));
    }

    function none() internal pure returns (Credit[] memory) {
        return new Credit[](0);
    }

    function noDebits() internal pure returns (Debit[] memory) {
        return new Debit[](0);
    }

    // ---- Signatures ----

    function proofBy(uint256 key, address owner, uint8 role, uint40 deadline) internal view returns (bytes memory) {
        return sign(key, address(registry), Messages.hash(SignerProof(owner, role, deadline)));
    }

    function authorizationBy(uint256 key, SpendAuthorization memory message) internal view returns (bytes memory) {
        return sign(key, address(settlement), Messages.hash(message));
    }

    function withdrawalBy(uint256 key, Withdraw memory message) internal view returns (bytes memory) {
        return sign(key, address(vault), Messages.hash(message));
    }

    function sign(uint256 key, address verifier, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("AiMo"),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", separator, structHash)));
        return abi.encodePacked(r, s, v);
    }

    /// @dev Where this contract's next creation but `ahead` will be; for nonces below 128.
    function nextAddress(uint256 ahead) internal view returns (address) {
        uint256 nonce = vm.getNonce(address(this)) + ahead;
        require(nonce < 128, "nonce");
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), uint8(nonce))))));
    }

    /// @dev By the clock: the compiler takes `block.timestamp` for the same all through a transaction.
    function skip(uint256 time) internal {
        vm.warp(clock.clock() + time);
    }

    function localWindows() internal pure returns (Windows memory) {
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
                feeNotice: 10
            });
    }
}
