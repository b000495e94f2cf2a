// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IReserves} from "../../../contracts/interfaces/IReserves.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IStakeManager} from "../../../contracts/interfaces/IStakeManager.sol";
import {Network} from "./Network.sol";

/// @notice Users, relays and providers that do anything at any time, and what has been seen of them. Calls that are
/// refused change nothing; the invariants look at what the others left behind.
abstract contract Actors is Network {
    /// @dev The first three have plain channels; the last two sign.
    uint256 public constant USERS = 5;
    uint256 internal constant METERED = 3;
    uint256 public constant RELAYS = 2;
    uint256 public constant PROVIDERS = 2;

    /// @dev Tokens that came in by deposits and went out, and those given to the vault for nothing.
    uint256 public deposited;
    uint256 public donated;
    /// @dev What was seen to go wrong while acting: 0, or the number of the rule.
    uint256 public broken;

    /// @dev The highest voucher made for an epoch of a signed channel.
    mapping(uint32 relayId => mapping(uint32 userId => mapping(uint16 epoch => uint256))) internal signedUp;
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
        // owners first: so users have ids 3 to 7
        for (uint256 n = 1; n <= USERS; ++n) fund(user(n), 100 * TOKEN_USD);
        for (uint256 n = 1; n <= RELAYS; ++n) {
            for (uint256 m = 1; m <= METERED; ++m) open(user(m), uint32(n), 20 * USD);
            for (uint256 m = METERED + 1; m <= USERS; ++m) openSigned(user(m), uint32(n), 20 * USD);
            fund(relayOwner(n), 50 * TOKEN_USD);
        }
        for (uint256 n = 1; n <= PROVIDERS; ++n) fund(providerOwner(n), 50 * TOKEN_USD);
        deposited = token.balanceOf(address(vault));
    }

    /// @dev Once: the runner calls it like any other move.
    function setUp() public override {
        if (address(vault) == address(0)) super.setUp();
    }

    function contracts()
        external
        view
        returns (ICreditVault vault_, IStakeManager stakes_, ISettlement settlement_, IReserves reserves_)
    {
        return (vault, stakes, settlement, reserves);
    }

    function tokens() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    // ---- Users ----

    function doDeposit(uint256 who, uint32 amount) external watched {
        if (amount == 0) return;
        fund(user(pick(who, USERS)), amount);
        deposited += amount;
    }

    function doDonate(uint16 amount) external watched {
        token.mint(address(vault), amount);
        donated += amount;
    }

    function doWithdraw(uint256 who, uint96 amount) external watched {
        uint256 before = token.balanceOf(address(vault));
        vm.prank(user(pick(who, USERS)));
        try vault.withdraw(uint96(bound(amount, 0, 10 * USD)), address(0xbeef)) {} catch {}
        deposited -= before - token.balanceOf(address(vault));
    }

    function doOpen(uint256 who, uint256 relay, uint64 amount, uint16 time) external watched {
        uint40 expiry = clock.clock() + time;
        uint256 n = pick(who, USERS);
        (uint8 mode, address key) = n > METERED ? (1, sessionKey(n)) : (0, address(0));
        vm.prank(user(n));
        try settlement.openChannel(uint32(pick(relay, RELAYS)), amount, expiry, mode, key) {} catch {}
    }

    function doRevoke(uint256 who, uint256 relay) external watched {
        vm.prank(user(pick(who, USERS)));
        try settlement.revokeSessionKey(uint32(pick(relay, RELAYS))) {} catch {}
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

    function _lookAtChannel(uint32 relayId, uint32 userId) private {
        IChannels.Channel memory now_ = settlement.channelOf(relayId, userId);
        IChannels.Channel memory seen = _seenChannels[relayId][userId];
        // the highest voucher that was ever made bounds what a signed channel has spent
        uint256 most = signedUp[relayId][userId][now_.epoch];
        if (now_.mode == 1 && now_.spent > most) broken = 7;
        if (now_.epoch < seen.epoch || (now_.epoch == seen.epoch && now_.spent < seen.spent)) broken = 5;
        if (now_.epoch == seen.epoch && now_.spent != seen.spent && clock.clock() > seen.settleBy) broken = 6;
        _seenChannels[relayId][userId] = now_;
    }

    function pick(uint256 seed, uint256 count) internal pure returns (uint256) {
        return 1 + (seed % count);
    }
}
