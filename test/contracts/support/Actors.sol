// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IEarnings} from "../../../contracts/interfaces/IEarnings.sol";
import {IPosts} from "../../../contracts/interfaces/IPosts.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Network} from "./Network.sol";

/// @notice Users, relays and providers that do anything at any time, and what has been seen of them. Calls that are
/// refused change nothing; the invariants look at what the others left behind.
abstract contract Actors is Network {
    uint256 public constant USERS = 3;
    uint256 public constant RELAYS = 2;
    uint256 public constant PROVIDERS = 2;

    /// @dev Tokens that came in by deposits and went out, and those given to the vault for nothing.
    uint256 public deposited;
    uint256 public donated;
    /// @dev What was seen to go wrong while acting: 0, or the number of the rule.
    uint256 public broken;
    uint256 public applied;
    uint256 public skipped;

    mapping(uint32 relayId => mapping(uint32 userId => IChannels.Channel)) private _seenChannels;
    mapping(uint32 relayId => mapping(uint32 providerId => uint80 paid)) private _seenPaid;
    mapping(uint32 relayId => uint64 batchNo) private _seenBatch;

    modifier watched() {
        _;
        _look();
    }

    constructor() {
        setUp();
        for (uint256 n = 1; n <= RELAYS; ++n) addRelay(n, 100 * USD);
        for (uint256 n = 1; n <= PROVIDERS; ++n) addProvider(n);
        // owners first: so users have ids 3 to 5
        for (uint256 n = 1; n <= USERS; ++n) fund(user(n), 100 * TOKEN_USD);
        for (uint256 n = 1; n <= RELAYS; ++n) {
            for (uint256 m = 1; m <= USERS; ++m) open(user(m), uint32(n), 20 * USD);
        }
        deposited = token.balanceOf(address(vault));
    }

    /// @dev Once: the runner calls it like any other move.
    function setUp() public override {
        if (address(vault) == address(0)) super.setUp();
    }

    function contracts()
        external
        view
        returns (ICreditVault vault_, IStakeManager stakes_, ISettlement settlement_, uint256 tokens)
    {
        return (vault, stakes, settlement, token.balanceOf(address(vault)));
    }

    // ---- Users ----

    function doDeposit(uint256 who, uint32 tokens) external watched {
        if (tokens == 0) return;
        fund(user(pick(who, USERS)), tokens);
        deposited += tokens;
    }

    function doDonate(uint16 tokens) external watched {
        token.mint(address(vault), tokens);
        donated += tokens;
    }

    function doWithdraw(uint256 who, uint96 amount) external watched {
        uint256 before = token.balanceOf(address(vault));
        vm.prank(user(pick(who, USERS)));
        try vault.withdraw(uint96(bound(amount, 0, 10 * USD)), address(0xbeef)) {} catch {}
        deposited -= before - token.balanceOf(address(vault));
    }

    function doOpen(uint256 who, uint256 relay, uint64 amount, uint16 time) external watched {
        uint40 expiry = clock.clock() + time;
        vm.prank(user(pick(who, USERS)));
        try settlement.openChannel(uint32(pick(relay, RELAYS)), amount, expiry, 0, address(0)) {} catch {}
    }

    function doTopUp(uint256 who, uint256 relay, uint40 amount) external watched {
        vm.prank(user(pick(who, USERS)));
        try settlement.topUpChannel(uint32(pick(relay, RELAYS)), amount) {} catch {}
    }

    function doThaw(uint256 who, uint256 relay, uint96 amount) external watched {
        vm.prank(user(pick(who, USERS)));
        try settlement.thawChannel(uint32(pick(relay, RELAYS)), amount) {} catch {}
    }

    function doCancelThaw(uint256 who, uint256 relay) external watched {
        vm.prank(user(pick(who, USERS)));
        try settlement.cancelThaw(uint32(pick(relay, RELAYS))) {} catch {}
    }

    function doWithdrawChannel(uint256 who, uint256 relay) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        address owner = user(pick(who, USERS));
        IChannels.Channel memory before = settlement.channelOf(relayId, vault.userIdOf(owner));
        uint40 time = clock.clock();
        vm.prank(owner);
        try settlement.withdrawChannel(relayId) {
            bool isThawed = before.thawEnd != 0 && time >= before.thawEnd;
            if (!isThawed && time <= before.settleBy) broken = 8;
        } catch {}
    }

    // ---- Relays and providers ----

    /// @dev A batch in good faith or not: rows begin where channels stand, or a little off.
    function doPost(uint256 relay, uint64[3] calldata deltas, uint8 faults, uint64[2] calldata credits) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        Debit[] memory debits = new Debit[](USERS);
        for (uint256 n = 0; n < USERS; ++n) {
            uint32 userId = vault.userIdOf(user(n + 1));
            uint256 delta = bound(deltas[n], 0, 12 * USD);
            uint256 fault = (faults >> n) & 1;
            debits[n] = Debit(userId, uint80(settlement.channelOf(relayId, userId).spent + delta + fault), uint64(delta));
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

    function doStake(uint256 relay, uint96 amount, uint8 what) external watched {
        uint32 relayId = uint32(pick(relay, RELAYS));
        uint96 part = uint96(bound(amount, 0, 60 * USD));
        vm.startPrank(relayOwner(relayId));
        if (what % 4 == 0) try stakes.bond(ROLE_RELAY, relayId, part) {} catch {}
        if (what % 4 == 1) try stakes.requestUnbond(ROLE_RELAY, relayId, part) {} catch {}
        if (what % 4 == 2) try stakes.cancelUnbond(ROLE_RELAY, relayId, what % 8) {} catch {}
        if (what % 4 == 3) try stakes.withdrawUnbonded(ROLE_RELAY, relayId, what % 8) {} catch {}
        vm.stopPrank();
    }

    // ---- Somebody else, and time ----

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
        try vault.withdraw(1e6, address(0xbad)) { broken = 9; } catch {}
        vm.stopPrank();
    }

    function doWait(uint16 time) external watched {
        skip(time % 90);
    }

    // ---- What is looked at after every move ----

    /// @dev spent never falls within an epoch, epochs never fall, paid never falls, batch numbers go up by one at most.
    function _look() private {
        for (uint32 relayId = 1; relayId <= RELAYS; ++relayId) {
            for (uint256 n = 1; n <= USERS; ++n) _lookAtChannel(relayId, vault.userIdOf(user(n)));
            for (uint32 id = 1; id <= PROVIDERS; ++id) {
                uint80 paid = settlement.providerAccountOf(relayId, id).paid;
                if (paid < _seenPaid[relayId][id]) broken = 12;
                _seenPaid[relayId][id] = paid;
            }
            uint64 batchNo = settlement.relayAccountOf(relayId).batchNo;
            if (batchNo < _seenBatch[relayId] || batchNo > _seenBatch[relayId] + 1) broken = 10;
            _seenBatch[relayId] = batchNo;
        }
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

    function _lookAtChannel(uint32 relayId, uint32 userId) private {
        IChannels.Channel memory now_ = settlement.channelOf(relayId, userId);
        IChannels.Channel memory seen = _seenChannels[relayId][userId];
        if (now_.epoch < seen.epoch || (now_.epoch == seen.epoch && now_.spent < seen.spent)) broken = 5;
        if (now_.epoch == seen.epoch && now_.spent != seen.spent && clock.clock() > seen.settleBy) broken = 6;
        _seenChannels[relayId][userId] = now_;
    }

    function _heldIn(uint32 relayId) private view returns (uint256 sum) {
        for (uint256 n = 1; n <= USERS; ++n) sum += settlement.channelOf(relayId, vault.userIdOf(user(n))).available;
    }

    function _owedBy(uint32 relayId) private view returns (uint256 sum) {
        IEarnings.RelayAccount memory relay = settlement.relayAccountOf(relayId);
        sum = uint256(relay.earned) + relay.pendingCur + relay.pendingPrev + relay.float + settlement.protocolFees();
        for (uint32 id = 1; id <= PROVIDERS; ++id) sum += settlement.providerAccountOf(relayId, id).claimable;
    }

    function pick(uint256 seed, uint256 count) private pure returns (uint256) {
        return 1 + (seed % count);
    }
}
