// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEarnings} from "../../../contracts/interfaces/IEarnings.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {ProviderVoucher} from "../../../contracts/libraries/Messages.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Actors} from "./Actors.sol";

/// @notice What relays and providers do.
abstract contract Operators is Actors {
    uint256 public applied;
    uint256 public skipped;

    /// @dev A batch in good faith or not: rows begin where channels stand, or a little off; vouchers cover the row, more,
    /// or less.
    function doPost(
        uint256 relay,
        uint64[5] calldata deltas,
        uint16 faults,
        uint64[2] calldata credits
    ) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        Debit[] memory debits = new Debit[](USERS);
        for (uint256 n = 0; n < USERS; ++n) {
            uint256 delta = bound(deltas[n], 0, 12 * USD);
            debits[n] = _row(relayId, n + 1, delta, (faults >> (2 * n)) & 3);
        }
        Credit[] memory list = new Credit[](PROVIDERS);
        for (uint32 n = 0; n < PROVIDERS; ++n) {
            uint80 paid = settlement.providerAccountOf(relayId, n + 1).paid;
            list[n] = Credit(n + 1, uint80(paid + bound(credits[n], 0, 6 * USD)));
        }
        _post(relayId, debits, list);
    }

    /// @dev Bytes that nobody meant.
    function doPostNoise(uint256 relay, bytes calldata rows, uint8 nA, uint8 nC) external watched {
        IPosts.PostHeader memory header;
        uint32 relayId = uint32(pick(relay, RELAYS));
        (header.batchNo, header.nA, header.nC) = (settlement.relayAccountOf(relayId).batchNo, nA, nC);
        vm.prank(vm.addr(relaySignerKey(relayId)));
        try settlement.post(relayId, header, rows) {} catch {}
    }

    function doClaim(uint256 who, uint256 relay) external watched {
        uint256 before = token.balanceOf(address(vault));
        uint32 relayId = uint32(pick(relay, RELAYS));
        uint32 providerId = uint32(pick(who, PROVIDERS));
        uint32[] memory relayIds = new uint32[](2);
        (relayIds[0], relayIds[1]) = (1, 2);
        vm.prank(providerOwner(providerId));
        try settlement.claimProvider(providerId, relayIds, address(0xbeef)) {} catch {}
        vm.prank(relayOwner(relayId));
        try settlement.claimRelay(relayId, address(0xbeef)) {} catch {}
        try settlement.claimProtocolFees() {} catch {}
        deposited -= before - token.balanceOf(address(vault));
    }

    function doFloat(uint256 who, uint256 relay, uint40 amount, bool back) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        vm.prank(back ? relayOwner(relayId) : user(pick(who, USERS)));
        if (back) {
            try settlement.withdrawFloat(relayId, amount) {} catch {}
        } else {
            try settlement.fundRelay(relayId, amount) {} catch {}
        }
    }

    /// @dev Relays twice as often as providers.
    function doStake(uint256 who, uint96 amount, uint8 what) external watched {
        bool isProvider = who % 3 == 0;
        uint8 role = isProvider ? ROLE_PROVIDER : ROLE_RELAY;
        uint32 id = uint32(pick(who / 3, isProvider ? PROVIDERS : RELAYS));
        uint96 part = uint96(bound(amount, 0, 60 * USD));
        vm.startPrank(isProvider ? providerOwner(id) : relayOwner(id));
        if (what % 4 == 0) try stakes.bond(role, id, part) {} catch {}
        if (what % 4 == 1) try stakes.requestUnbond(role, id, part) {} catch {}
        if (what % 4 == 2) try stakes.cancelUnbond(role, id, what % 8) {} catch {}
        if (what % 4 == 3) try stakes.withdrawUnbonded(role, id, what % 8) {} catch {}
        vm.stopPrank();
    }

    function doReserve(uint256 relay, uint256 who, uint40 amount, uint8 what) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        uint32 providerId = uint32(pick(who, PROVIDERS));
        vm.startPrank(relayOwner(relayId));
        if (what % 4 == 0) try reserves.fundReserve(relayId, providerId, amount) {} catch {}
        if (what % 4 == 1) try reserves.thawReserve(relayId, providerId, amount) {} catch {}
        if (what % 4 == 2) try reserves.cancelReserveThaw(relayId, providerId) {} catch {}
        if (what % 4 == 3) try reserves.withdrawReserve(relayId, providerId) {} catch {}
        vm.stopPrank();
    }

    /// @dev A voucher over a little more than what was paid, redeemed at once: it pays no more than it says.
    function doRedeem(uint256 relay, uint256 who, uint40 more) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        uint32 providerId = uint32(pick(who, PROVIDERS));
        uint80 paid = settlement.providerAccountOf(relayId, providerId).paid;
        ProviderVoucher memory voucher = ProviderVoucher(relayId, providerId, paid + more);
        bytes memory signature = providerVoucherBy(relaySignerKey(relayId), voucher);
        uint256 before = token.balanceOf(address(vault));
        try reserves.redeemProviderVoucher(voucher, signature, providerOwner(providerId)) {
            if (settlement.providerAccountOf(relayId, providerId).paid > voucher.cumulative) broken = 12;
            uint256 got = (before - token.balanceOf(address(vault))) * SCALE;
            if (settlement.providerAccountOf(relayId, providerId).paid - paid != got) broken = 12;
        } catch {}
        deposited -= before - token.balanceOf(address(vault));
    }

    /// @dev fault 1: begins a little off; 2: the voucher is for less than the row; 3: for more.
    function _row(uint32 relayId, uint256 n, uint256 delta, uint256 fault) private returns (Debit memory row) {
        uint32 userId = vault.userIdOf(user(n));
        IChannels.Channel memory channel = settlement.channelOf(relayId, userId);
        uint256 cumEnd = channel.spent + delta + (fault == 1 ? 1 : 0);
        row = metered(userId, cumEnd, delta);
        if (n <= METERED) return row;
        row.isSigned = true;
        row.excess = fault == 3 ? 1_000 : 0;
        uint256 voucher = cumEnd + row.excess;
        if (fault == 2 && voucher != 0) --voucher;
        (row.r, row.vs) = voucherBy(sessionSecret(n), relayId, userId, channel.epoch, voucher);
        if (voucher > signedUp[relayId][userId][channel.epoch]) signedUp[relayId][userId][channel.epoch] = voucher;
    }

    /// @dev After every post: conserved, within the bond, and never again.
    function _post(uint32 relayId, Debit[] memory debits, Credit[] memory credits) private {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(relayId, debits, credits);
        uint256 before = _owedBy(relayId);
        uint256 held = _heldIn(relayId);
        address poster = vm.addr(relaySignerKey(relayId));
        vm.prank(poster);
        try settlement.post(relayId, header, rows) {
            if (_owedBy(relayId) + _heldIn(relayId) != before + held) broken = 10;
            if (held != _heldIn(relayId)) ++applied;
            else ++skipped;
            IPosts.Inflight memory volume = settlement.inflightOf(relayId);
            uint256 bond = stakes.bondOf(ROLE_RELAY, relayId).active;
            if (held != _heldIn(relayId) && (uint256(volume.cur) + volume.prev) * 10 > bond * 8) broken = 13;
            vm.prank(poster);
            try settlement.post(relayId, header, rows) { broken = 12; } catch {}
        } catch {}
    }

    function _heldIn(uint32 relayId) private view returns (uint256 sum) {
        for (uint256 n = 1; n <= USERS; ++n) sum += settlement.channelOf(relayId, vault.userIdOf(user(n))).available;
    }

    function _owedBy(uint32 relayId) private view returns (uint256 sum) {
        IEarnings.RelayAccount memory relay = settlement.relayAccountOf(relayId);
        sum = uint256(relay.earned) + relay.pendingCur + relay.pendingPrev + relay.float + settlement.protocolFees();
        for (uint32 id = 1; id <= PROVIDERS; ++id) sum += settlement.providerAccountOf(relayId, id).claimable;
    }
}
