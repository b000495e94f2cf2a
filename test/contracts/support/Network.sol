// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Windows} from "../../../contracts/types/Windows.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {Depth} from "../../../contracts/libraries/Depth.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Signing} from "./Signing.sol";

/// @notice The moves that tests are made of.
abstract contract Network is Signing {
    /// @dev A row of a user.
    struct Debit {
        uint32 userId;
        uint80 cumEnd;
        uint64 delta;
        bool isSigned;
        uint64 excess;
        bytes32 r;
        bytes32 vs;
    }

    struct Credit {
        uint32 providerId;
        uint80 cumEnd;
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

    /// @dev Signed by the session key of the same number as the user.
    function openSigned(address owner, uint32 relayId, uint256 amount) internal returns (uint32 userId) {
        uint40 expiry = clock.clock() + 1 hours;
        userId = vault.userIdOf(owner);
        address key = vm.addr(secretOf(userId));
        vm.prank(owner);
        settlement.openChannel(relayId, uint96(amount), expiry, 1, key);
    }

    function sessionSecret(uint256 n) internal pure returns (uint256) {
        return 0x5e55000 + n;
    }

    function sessionKey(uint256 n) internal pure returns (address) {
        return vm.addr(sessionSecret(n));
    }

    function secretOf(uint32 userId) internal view returns (uint256) {
        address owner = vault.ownerOf(userId);
        for (uint256 n = 1; n <= 64; ++n) if (user(n) == owner) return sessionSecret(n);
        return sessionSecret(0);
    }

    /// @dev As an EIP-7702 authorization leaves the account: a designation, by which it runs the other's code.
    function delegate(address account, address to) internal {
        vm.etch(account, abi.encodePacked(hex"ef0100", to));
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

    function postRefused(
        uint32 relayId,
        Debit[] memory debits,
        Credit[] memory credits,
        bytes memory reason
    ) internal {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(relayId, debits, credits);
        address poster = registry.relayOf(relayId).signer;
        vm.expectRevert(reason);
        postAs(poster, relayId, header, rows);
    }

    function postAs(address poster, uint32 relayId, IPosts.PostHeader memory header, bytes memory rows) internal {
        vm.prank(poster);
        settlement.post(relayId, header, rows);
    }

    /// @dev Metered rows come first.
    function batchOf(
        uint32 relayId,
        Debit[] memory debits,
        Credit[] memory credits
    ) internal view returns (IPosts.PostHeader memory header, bytes memory rows) {
        header.batchNo = settlement.relayAccountOf(relayId).batchNo;
        header.nC = uint32(credits.length);
        header.depth = uint8(Depth.forLeaves(debits.length));
        if (debits.length != 0) header.receiptsRoot = keccak256(abi.encode(relayId, header.batchNo));
        for (uint256 i = 0; i < debits.length; ++i) {
            Debit memory debit = debits[i];
            header.receiptsSum += debit.delta;
            rows = bytes.concat(rows, abi.encodePacked(debit.userId, debit.cumEnd, debit.delta));
            if (!debit.isSigned) {
                ++header.nA;
            } else {
                ++header.nB;
                rows = bytes.concat(rows, abi.encodePacked(debit.excess, debit.r, debit.vs));
            }
        }
        for (uint256 i = 0; i < credits.length; ++i) {
            rows = bytes.concat(rows, abi.encodePacked(credits[i].providerId, credits[i].cumEnd));
        }
    }

    function one(uint32 userId, uint256 cumEnd, uint256 delta) internal pure returns (Debit[] memory list) {
        list = new Debit[](1);
        list[0] = metered(userId, cumEnd, delta);
    }

    function metered(uint32 userId, uint256 cumEnd, uint256 delta) internal pure returns (Debit memory) {
        return Debit(userId, uint80(cumEnd), uint64(delta), false, 0, 0, 0);
    }

    /// @dev A row of the user's present epoch with the voucher that goes with it.
    function signedRow(
        uint32 userId,
        uint256 start,
        uint256 delta,
        uint256 excess
    ) internal view returns (Debit memory row) {
        row = Debit(userId, uint80(start + delta), uint64(delta), true, uint64(excess), 0, 0);
        uint16 epoch = settlement.channelOf(1, userId).epoch;
        (row.r, row.vs) = voucherBy(secretOf(userId), 1, userId, epoch, start + delta + excess);
    }

    function rowsOf(Debit memory row) internal pure returns (Debit[] memory list) {
        list = new Debit[](1);
        list[0] = row;
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

    /// @dev Until protocol time is `time`, with as many pauses in between as the clock allows; each takes its length.
    function waitFor(uint256 time) internal {
        Windows memory windows = clock.windows();
        uint256 started = vm.getBlockTimestamp();
        uint256 wait = time - clock.clock();
        while (clock.clock() < time) {
            vm.prank(GUARDIAN);
            try clock.pause() {} catch {}
            skip(1);
        }
        // the one that runs, one at once, and one after each cool-down
        uint256 pauses = 2 + wait / windows.pauseCooldown;
        yes(vm.getBlockTimestamp() - started <= wait + pauses * windows.pauseMax, "in the stated time");
    }
}
