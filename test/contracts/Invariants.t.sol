// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {IEarnings} from "../../contracts/interfaces/IEarnings.sol";
import {IReserves} from "../../contracts/interfaces/IReserves.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../contracts/types/Roles.sol";
import {Check} from "./support/Check.sol";
import {Others} from "./support/Others.sol";

/// @dev The runner knows contracts of test files only.
contract Crowd is Others {}

/// @notice What holds whatever anybody does, in any order, at any time.
contract InvariantsTest is Check {
    uint256 private constant SCALE = 1e6;

    Others private _actors;

    function setUp() public {
        _actors = new Crowd();
    }

    function targetContracts() public view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(_actors);
    }

    /// @dev One campaign looks at all of it after every move: seven would take seven times as long.
    function invariant_whateverAnybodyDoes() public view {
        tokensBackEveryCredit();
        theSettlementsBooksMatchItsBalance();
        theBondsMatchTheirBalance();
        theReservesMatchTheirBalance();
        volumeStaysWithinTheBond();
        nothingWasSeenToBreak();
        everyChannelEnds();
    }

    /// @dev Sum of accounts = tokens: nothing is made, nothing is lost, donations belong to nobody.
    function tokensBackEveryCredit() private view {
        (ICreditVault vault, IStakeManager stakes, ISettlement settlement, IReserves reserves) = _actors.contracts();
        uint256 credits = uint256(vault.moduleOf(address(stakes)).balance) +
            vault.moduleOf(address(settlement)).balance +
            vault.moduleOf(address(reserves)).balance;
        for (uint32 id = 1; id <= vault.userCount(); ++id) credits += vault.accountOf(id).free;
        eq(_actors.tokens(), _actors.deposited() + _actors.donated(), "tokens");
        eq(credits, _actors.deposited() * SCALE, "credits");
    }

    /// @dev What is locked in the settlement is what its books say, to the last pUSD.
    function theSettlementsBooksMatchItsBalance() private view {
        (ICreditVault vault, , ISettlement settlement, ) = _actors.contracts();
        uint256 books = settlement.protocolFees();
        for (uint32 relayId = 1; relayId <= _actors.RELAYS(); ++relayId) {
            for (uint32 id = 1; id <= vault.userCount(); ++id) books += settlement.channelOf(relayId, id).available;
            for (uint32 id = 1; id <= _actors.PROVIDERS(); ++id)
                books += settlement.providerAccountOf(relayId, id).claimable;
            IEarnings.RelayAccount memory relay = settlement.relayAccountOf(relayId);
            books += uint256(relay.earned) + relay.pendingCur + relay.pendingPrev + relay.float;
        }
        eq(vault.moduleOf(address(settlement)).balance, books, "balance");
    }

    /// @dev What is locked in the stake manager is what is bonded or on its way out, request by request.
    function theBondsMatchTheirBalance() private view {
        (ICreditVault vault, IStakeManager stakes, , ) = _actors.contracts();
        uint256 books = stakes.burned();
        for (uint32 id = 1; id <= _actors.RELAYS(); ++id) {
            uint256 total = bondBalances(stakes, ROLE_RELAY, id);
            yes(stakes.frozenOf(id) <= total && stakes.finesOf(id) <= total, "no more is kept than there is");
            books += total;
        }
        for (uint32 id = 1; id <= _actors.PROVIDERS(); ++id) books += bondBalances(stakes, ROLE_PROVIDER, id);
        eq(vault.moduleOf(address(stakes)).balance, books, "balance");
    }

    function bondBalances(IStakeManager stakes, uint8 role, uint32 id) private view returns (uint256) {
        IStakeManager.Bond memory bond = stakes.bondOf(role, id);
        uint256 requests = 0;
        for (uint8 slot = 0; slot < 8; ++slot) requests += stakes.unbondOf(role, id, slot).amount;
        eq(bond.unbonding, requests, "requests");
        return uint256(bond.active) + bond.unbonding;
    }

    /// @dev What is locked in the reserves is what the pairs have, thawing included.
    function theReservesMatchTheirBalance() private view {
        (ICreditVault vault, , , IReserves reserves) = _actors.contracts();
        uint256 books = 0;
        for (uint32 relayId = 1; relayId <= _actors.RELAYS(); ++relayId) {
            for (uint32 id = 1; id <= _actors.PROVIDERS(); ++id) {
                IReserves.Reserve memory reserve = reserves.reserveOf(relayId, id);
                yes(reserve.thawing <= reserve.amount, "thawing");
                books += reserve.amount;
            }
        }
        eq(vault.moduleOf(address(reserves)).balance, books, "balance");
    }

    /// @dev Volume that is not final is always within 0.8 of the bond: neither posts nor unbonding get around it. Only
    /// a slash can take the bond from under it.
    function volumeStaysWithinTheBond() private view {
        (, IStakeManager stakes, ISettlement settlement, ) = _actors.contracts();
        if (_actors.slashed() != 0) return;
        for (uint32 id = 1; id <= _actors.RELAYS(); ++id) {
            yes(settlement.requiredBond(id) <= stakes.bondOf(ROLE_RELAY, id).active, "bond");
        }
    }

    /// @dev Counters only rise, withdrawals keep their time, strangers get nothing; the actors look at each move.
    function nothingWasSeenToBreak() private view {
        eq(_actors.broken(), 0, "rule");
    }

    /// @dev No credits are in a channel without an end. That they can be had then, and all else: ExitsFromAnywhere.
    function everyChannelEnds() private view {
        (ICreditVault vault, , ISettlement settlement, ) = _actors.contracts();
        for (uint32 relayId = 1; relayId <= _actors.RELAYS(); ++relayId) {
            for (uint32 id = 1; id <= vault.userCount(); ++id) {
                IChannels.Channel memory channel = settlement.channelOf(relayId, id);
                if (channel.available != 0) yes(channel.settleBy != 0, "a channel with credits has an end");
            }
        }
    }
}
