// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEarnings} from "../../contracts/interfaces/IEarnings.sol";
import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {ROLE_RELAY} from "../../contracts/types/Roles.sol";
import {Others} from "./support/Others.sol";

/// @notice Whatever happened before, everyone gets out what the books say is theirs, within the stated time and with the
/// guardian pausing as often as it can.
contract ExitsFromAnywhereTest is Others {
    uint256 private constant THAW = 70;

    function testFuzz_usersGetTheirChannelsBack(uint256[24] calldata moves) public {
        wander(moves);
        uint256 asked = clock.clock();
        for (uint32 relayId = 1; relayId <= RELAYS; ++relayId) {
            for (uint256 n = 1; n <= USERS; ++n) {
                vm.startPrank(user(n));
                try settlement.cancelThaw(relayId) {} catch {}
                try settlement.thawChannel(relayId, type(uint96).max) {} catch {}
                vm.stopPrank();
            }
        }
        waitFor(asked + THAW);
        for (uint32 relayId = 1; relayId <= RELAYS; ++relayId) {
            for (uint256 n = 1; n <= USERS; ++n) getOut(relayId, n);
        }
    }

    function testFuzz_relaysGetBondReserveFloatAndEarningsBack(uint256[24] calldata moves) public {
        wander(moves);
        waitFor(clock.clock() + 15);
        for (uint32 id = 1; id <= RELAYS; ++id) ask(id);
        waitFor(clock.clock() + 140);
        for (uint32 id = 1; id <= RELAYS; ++id) take(id);
    }

    /// @dev A random walk over everything the actors can do.
    function wander(uint256[24] calldata moves) private {
        for (uint256 i = 0; i < moves.length; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(moves[i], i)));
            (bool ok, ) = address(this).call(callOf(seed % 16, seed >> 8));
            // a move that is refused changes nothing
            ok;
        }
    }

    function callOf(uint256 which, uint256 seed) private view returns (bytes memory) {
        (uint256 a, uint256 b, uint64 c) = (seed, seed >> 16, uint64(seed >> 32));
        if (which == 0) return abi.encodeCall(this.doDeposit, (a, uint32(c)));
        if (which == 1) return abi.encodeCall(this.doOpen, (a, b, c % 1e13, uint16(c)));
        if (which == 2) return abi.encodeCall(this.doTopUp, (a, b, uint40(c)));
        if (which == 3) return abi.encodeCall(this.doThaw, (a, b, uint96(c)));
        if (which == 4) return abi.encodeCall(this.doWithdrawChannel, (a, b));
        if (which == 5) return abi.encodeCall(this.doRevoke, (a, b));
        if (which < 9) {
            uint64[5] memory deltas = [c, c >> 3, c >> 5, c >> 7, c >> 9];
            return abi.encodeCall(this.doPost, (a, deltas, uint16(seed >> 200) & 0x155, [c, c >> 11]));
        }
        if (which == 9) return abi.encodeCall(this.doReserve, (a, b, uint40(c), uint8(c)));
        if (which == 10) return abi.encodeCall(this.doRedeem, (a, b, uint40(c)));
        if (which == 11) return abi.encodeCall(this.doStake, (a, uint96(c), uint8(c)));
        if (which == 12) return abi.encodeCall(this.doPause, (c % 2 == 0));
        if (which == 13) return abi.encodeCall(this.doSlash, (a, b, uint48(c), c % 2 == 0));
        if (which == 14) return abi.encodeCall(this.doFloat, (a, b, uint40(c), c % 2 == 0));
        return abi.encodeCall(this.doWait, (uint16(c)));
    }

    function getOut(uint32 relayId, uint256 n) private {
        uint32 userId = vault.userIdOf(user(n));
        uint256 held = settlement.channelOf(relayId, userId).available;
        if (held == 0) return;
        uint256 before = free(user(n));
        vm.prank(user(n));
        eq(settlement.withdrawChannel(relayId), held, "all of it");
        eq(free(user(n)) - before, held, "free");
    }

    /// @dev After two epochs nothing is in flight, so nothing but fines keeps the bond.
    function ask(uint32 id) private {
        IStakeManager.Bond memory bond = stakes.bondOf(ROLE_RELAY, id);
        vm.startPrank(relayOwner(id));
        for (uint8 slot = 0; slot < 8; ++slot) try stakes.cancelUnbond(ROLE_RELAY, id, slot) {} catch {}
        bond = stakes.bondOf(ROLE_RELAY, id);
        uint96 own = bond.active - stakes.finesOf(id);
        if (own != 0) stakes.requestUnbond(ROLE_RELAY, id, own);
        for (uint32 n = 1; n <= PROVIDERS; ++n) {
            try reserves.cancelReserveThaw(id, n) {} catch {}
            if (reserves.reserveOf(id, n).amount != 0) reserves.thawReserve(id, n, type(uint96).max);
        }
        vm.stopPrank();
    }

    function take(uint32 id) private {
        vm.startPrank(relayOwner(id));
        if (stakes.bondOf(ROLE_RELAY, id).unbonding != 0) stakes.withdrawUnbonded(ROLE_RELAY, id, 0);
        for (uint32 n = 1; n <= PROVIDERS; ++n) {
            if (reserves.reserveOf(id, n).amount != 0) reserves.withdrawReserve(id, n);
        }
        IEarnings.RelayAccount memory account = settlement.relayAccountOf(id);
        if (account.float != 0) settlement.withdrawFloat(id, account.float);
        if (account.earned >= SCALE) settlement.claimRelay(id, address(0xbeef));
        vm.stopPrank();
        account = settlement.relayAccountOf(id);
        uint256 left = uint256(account.earned) + account.pendingCur + account.pendingPrev + account.float;
        yes(left < SCALE, "less than a token unit stays");
        IStakeManager.Bond memory bond = stakes.bondOf(ROLE_RELAY, id);
        eq(uint256(bond.active) + bond.unbonding, stakes.finesOf(id), "nothing stays but fines");
    }
}
