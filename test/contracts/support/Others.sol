// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Operators} from "./Operators.sol";

/// @notice Strangers, a hostile guardian, proven frauds, and time.
abstract contract Others is Operators {
    /// @dev What slashes took, and what became of it.
    uint256 public slashed;

    /// @dev A stranger asks for everything that is not its own; nothing of it may work.
    function doSteal(uint256 relay) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        uint32[] memory relayIds = new uint32[](1);
        relayIds[0] = relayId;
        IPosts.PostHeader memory header;
        vm.startPrank(address(0xbad));
        try settlement.claimRelay(relayId, address(0xbad)) { broken = 9; } catch {}
        try settlement.claimProvider(1, relayIds, address(0xbad)) { broken = 9; } catch {}
        try settlement.withdrawFloat(relayId, 1) { broken = 9; } catch {}
        try settlement.post(relayId, header, "") { broken = 9; } catch {}
        try settlement.withdrawChannel(relayId) { broken = 9; } catch {}
        try stakes.requestUnbond(ROLE_PROVIDER, 1, 1) { broken = 9; } catch {}
        try vault.lock(1, 1) { broken = 9; } catch {}
        try vault.release(1, 1) { broken = 9; } catch {}
        try vault.payOut(address(0xbad), 1e6) { broken = 9; } catch {}
        try vault.scheduleModule(address(this)) { broken = 9; } catch {}
        try stakes.slash(ROLE_RELAY, relayId, 1, 1, 1, true) { broken = 9; } catch {}
        try stakes.freeze(relayId, 1, true) { broken = 9; } catch {}
        try settlement.notePaid(relayId, 1, 1) { broken = 9; } catch {}
        try settlement.revokeSessionKey(relayId) { broken = 9; } catch {}
        try reserves.thawReserve(relayId, 1, 1) { broken = 9; } catch {}
        try reserves.withdrawReserve(relayId, 1) { broken = 9; } catch {}
        try clock.pause() { broken = 9; } catch {}
        try vault.withdraw(1e6, address(0xbad)) { broken = 9; } catch {}
        vm.stopPrank();
    }

    function doWait(uint16 time) external watched {
        skip(time % 90);
    }

    /// @dev A guardian that pauses and unpauses as often as it can.
    function doPause(bool end) external watched {
        uint40 time = clock.clock();
        vm.prank(GUARDIAN);
        if (end) try clock.unpause() {} catch {}
        else try clock.pause() {} catch {}
        if (clock.clock() != time) broken = 25;
    }

    /// @dev As a proof against a provider would.
    function doSlashProvider(uint256 who, uint48 excess) external watched {
        uint32 id = uint32(pick(who, PROVIDERS));
        uint256 total = _staked(ROLE_PROVIDER, id);
        vm.prank(address(frauds));
        (uint96 a, uint96 b, uint96 c) = stakes.slash(ROLE_PROVIDER, id, excess, 0, 1, false);
        if (a != 0 || uint256(b) + c > total || _staked(ROLE_PROVIDER, id) != total - b - c) broken = 19;
    }

    /// @dev As a proof would: the fraud proofs themselves have tests of their own.
    function doSlash(uint256 relay, uint256 who, uint48 loss, bool freeze) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        uint32 victim = vault.userIdOf(user(pick(who, USERS)));
        uint256 total = _staked(ROLE_RELAY, relayId);
        vm.startPrank(address(frauds));
        if (freeze) stakes.unfreeze(relayId, stakes.freeze(relayId, loss, true));
        (uint96 a, uint96 b, uint96 c) = stakes.slash(ROLE_RELAY, relayId, loss, victim, 1, freeze);
        vm.stopPrank();
        uint256 got = uint256(a) + b + c;
        if (got > total || a > loss) broken = 19;
        slashed += got;
    }

    function _staked(uint8 role, uint32 id) private view returns (uint256) {
        return uint256(stakes.bondOf(role, id).active) + stakes.bondOf(role, id).unbonding;
    }
}
