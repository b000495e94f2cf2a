// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ILens} from "../../../contracts/interfaces/ILens.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Network} from "../support/Network.sol";

/// @notice What the entries say is what the contracts say and do.
contract LensTest is Network {
    ILens private _lens;
    uint32 private _user;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addRelay(2, 100 * USD);
        addProvider(1);
        addProvider(2);
        _user = fund(user(1), 50 * TOKEN_USD);
        fund(relayOwner(1), 20 * TOKEN_USD);
        open(user(1), 1, 20 * USD);
        _lens = ILens(create("Lens", abi.encode(settlement, reserves)));
    }

    // ---- Entries ----

    function test_relays_sayWhoTheyAreAndWhatTheyCanCarry() public {
        post(1, one(_user, 8 * USD, 8 * USD), none());
        addRelay(3, USD);
        vm.prank(address(frauds));
        stakes.freeze(1, uint96(3 * USD), true);
        (ILens.RelayEntry[] memory page, ) = _lens.relays(1, 256);
        eq(page.length, 3, "relays");
        eq(keccak256(abi.encode(page[0].relay)), keccak256(abi.encode(registry.relayOf(1))), "relay");
        eq(page[0].relay.owner, relayOwner(1), "owner");
        eq(page[0].relay.feeCurBps, 500, "fee");
        eq(page[0].bond.active, 100 * USD, "bond");
        eq(page[0].backing, 67 * USD, "what is not kept for demands");
        eq(page[0].inflight, 8 * USD, "in flight");
        eq(page[0].requiredBond, 10 * USD, "required");
        yes(page[0].isActive && page[1].isActive, "active");
        yes(!page[2].isActive, "too little stake");
        vm.prank(relayOwner(2));
        registry.deactivate(ROLE_RELAY, 2);
        (page, ) = _lens.relays(2, 1);
        yes(!page[0].isActive, "has left");
        eq(page[0].relay.deactivatedAt, clock.clock(), "when");
    }

    function test_providers_sayWhatTheyServeAboveAReserve() public {
        addBond(providerOwner(2), ROLE_PROVIDER, 2, 10 * USD);
        vm.prank(providerOwner(2));
        reserves.setCreditLimit(2, uint96(3 * USD));
        (ILens.ProviderEntry[] memory page, uint32 next) = _lens.providers(1, 256);
        eq(page.length, 2, "providers");
        eq(next, 0, "no more");
        eq(page[0].creditLimit, USD / 2, "unless it says otherwise");
        yes(!page[0].isActive, "no stake");
        eq(page[1].providerId, 2, "id");
        eq(page[1].creditLimit, 3 * USD, "what it said");
        yes(page[1].isActive, "active");
        eq(page[1].bond.active, 10 * USD, "stake");
        eq(keccak256(abi.encode(page[1].provider)), keccak256(abi.encode(registry.providerOf(2))), "provider");
    }

    function test_models_carryThePriceInForce() public {
        registry.registerModel("aimo/a");
        registry.registerModel("aimo/b");
        registry.registerModel("aimo/c");
        vm.startPrank(providerOwner(1));
        registry.setPrice(1, 2, 10, 5, 20, TEXT);
        registry.setPrice(1, 3, 7, 7, 7, TEXT);
        skip(1);
        registry.setPrice(1, 2, 11, 5, 20, TEXT);
        vm.stopPrank();
        (ILens.ModelEntry[] memory page, ) = _lens.models(1, 1, 256);
        eq(page.length, 3, "models");
        eq(keccak256(bytes(page[0].slug)), keccak256("aimo/a"), "slug");
        eq(page[0].version + page[0].latestVersion + page[0].price.effectiveFrom, 0, "not offered");
        eq(page[1].modelId, 2, "id");
        eq(page[1].price.p0, 10, "in force");
        eq(page[1].version, 1, "version");
        eq(page[1].latestVersion, 2, "a rise waits");
        skip(localWindows().priceNotice);
        (page, ) = _lens.models(1, 2, 1);
        eq(page[0].price.p0, 11, "after the notice");
        eq(page[0].version, 2, "its version");
        (page, ) = _lens.models(0, 1, 2);
        eq(page.length, 2, "without a provider");
    }

    function test_pairsOfRelay_showWhatAProviderCanCountOn() public {
        addBond(providerOwner(1), ROLE_PROVIDER, 1, 10 * USD);
        post(1, one(_user, 8 * USD, 8 * USD), owed(1, 3 * USD));
        reserve(1, 6 * USD);
        (ILens.PairEntry[] memory page, uint32 next) = _lens.pairsOfRelay(1, 1, 256);
        eq(page.length, 2, "all providers");
        eq(next, 0, "no more");
        ILens.PairEntry memory pair = page[0];
        eq(pair.relayId, 1, "relay");
        eq(pair.providerId, 1, "provider");
        eq(pair.signer, vm.addr(providerSignerKey(1)), "signer");
        yes(pair.isActive && !page[1].isActive, "active");
        eq(pair.creditLimit, USD / 2, "credit limit");
        eq(pair.account.claimable, 3 * USD, "claimable");
        eq(pair.account.paid, 3 * USD, "paid");
        yes(pair.account.enlisted && !page[1].account.enlisted, "enlisted");
        eq(pair.reserve.amount, 6 * USD, "reserve");
        eq(pair.withdrawable, 0, "no thaw");
        eq(page[1].reserve.amount, 0, "another's");
    }

    function test_pairsOfRelay_knowWhatAThawWouldReturn() public {
        reserve(1, 6 * USD);
        vm.prank(relayOwner(1));
        reserves.thawReserve(1, 1, uint96(4 * USD));
        (ILens.PairEntry[] memory page, ) = _lens.pairsOfRelay(1, 1, 1);
        eq(page[0].reserve.thawing, 4 * USD, "thawing");
        eq(page[0].reserve.thawEnd, START + localWindows().channelThaw, "until");
        eq(page[0].withdrawable, 0, "not yet");
        skip(localWindows().channelThaw);
        (page, ) = _lens.pairsOfRelay(1, 1, 1);
        eq(page[0].withdrawable, 4 * USD, "now");
        vm.prank(relayOwner(1));
        eq(reserves.withdrawReserve(1, 1), page[0].withdrawable, "as it said");
    }

    function test_pairsOfProvider_areTheRelaysThatKnowIt() public {
        (ILens.PairEntry[] memory page, uint32 next) = _lens.pairsOfProvider(1, 1, 256);
        eq(page.length + next, 0, "none");
        settlement.enlist(2, 1);
        (page, next) = _lens.pairsOfProvider(1, 1, 256);
        eq(page.length, 1, "enlisted");
        eq(page[0].relayId, 2, "relay");
        reserve(1, USD);
        (page, next) = _lens.pairsOfProvider(1, 1, 256);
        eq(page.length, 2, "and one with a reserve");
        eq(page[0].reserve.amount, USD, "reserve");
        (page, next) = _lens.pairsOfProvider(1, 1, 1);
        eq(page.length, 1, "a part");
        eq(next, 2, "next");
    }

    // ---- What can be had now ----

    function test_channels_sayWhatWithdrawingWouldReturn() public {
        eq(withdrawable(), 0, "running");
        vm.prank(user(1));
        settlement.thawChannel(1, uint96(15 * USD));
        skip(localWindows().channelThaw - 1);
        eq(withdrawable(), 0, "thawing");
        skip(1);
        eq(withdrawable(), 15 * USD, "thawed");
        post(1, one(_user, 8 * USD, 8 * USD), none());
        eq(withdrawable(), 12 * USD, "as far as it is there");
        withdraws(12 * USD);
        eq(withdrawable(), 0, "had");
    }

    function test_channels_areAllTheirsAfterTheEnd() public {
        skip(1 hours + localWindows().post);
        eq(withdrawable(), 0, "until the last second");
        // protocol time stands still
        vm.prank(GUARDIAN);
        clock.pause();
        skip(10);
        eq(withdrawable(), 0, "paused");
        skip(localWindows().pauseMax - 10 + 1);
        eq(withdrawable(), 20 * USD, "after settleBy");
        withdraws(20 * USD);
    }

    function test_dueToUser_isInWholeTokens() public {
        post(1, one(_user, USD + 7, USD + 7), none());
        skip(1 hours + localWindows().post + 1);
        withdraws(19 * USD - 7);
        ILens.UserDue memory due = _lens.dueToUser(_user);
        eq(due.owner, user(1), "owner");
        eq(due.free, 49 * USD - 7, "free");
        eq(due.nonce, 0, "nonce");
        eq(due.tokens, 49 * TOKEN_USD - 1, "tokens");
        vm.prank(user(1));
        eq(vault.withdraw(due.free, user(1)), due.tokens, "as it said");
        due = _lens.dueToUser(99);
        eq(uint160(due.owner) + due.tokens, 0, "no such user");
    }

    function test_dueToRelay_isWhatClaimingPays() public {
        post(1, one(_user, 8 * USD + 9, 8 * USD + 9), none());
        ILens.RelayDue memory due = _lens.dueToRelay(1);
        eq(due.tokens, 0, "pending");
        uint256 pending = uint256(due.account.pendingCur) + due.account.pendingPrev;
        yes(pending != 0, "something is pending");
        skip(2 * localWindows().relayBucket);
        due = _lens.dueToRelay(1);
        eq(due.account.earned, pending, "earned");
        eq(due.tokens, pending / SCALE, "tokens");
        vm.prank(relayOwner(1));
        eq(settlement.claimRelay(1, relayOwner(1)), due.tokens * SCALE, "as it said");
        eq(_lens.dueToRelay(1).tokens, 0, "claimed");
    }

    function test_dueToProvider_namesTheRelaysToClaimAt() public {
        open(user(1), 2, 5 * USD);
        post(1, one(_user, 8 * USD, 8 * USD), owed(1, 3 * USD + 600_000));
        post(2, one(_user, 4 * USD, 4 * USD), owed(1, USD + 600_000));
        (ILens.ProviderDue memory due, uint32 next) = _lens.dueToProvider(1, 1, 256);
        eq(next, 0, "no more");
        eq(due.claimable, 4 * USD + 1_200_000, "claimable");
        eq(due.relayIds.length, 2, "relays");
        // what is below one token at each of them makes one together
        eq(due.tokens, 4 * TOKEN_USD + 1, "tokens");
        vm.prank(providerOwner(1));
        eq(settlement.claimProvider(1, due.relayIds, providerOwner(1)), due.tokens * SCALE, "as it said");
        (due, next) = _lens.dueToProvider(1, 1, 1);
        eq(due.claimable + due.relayIds.length, 0, "claimed");
        eq(next, 2, "next");
        (due, ) = _lens.dueToProvider(2, 1, 256);
        eq(due.relayIds.length, 0, "another provider");
    }

    function test_unbonds_areReadyInTimeAndUnlessKept() public {
        vm.startPrank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(40 * USD));
        skip(1);
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(30 * USD));
        vm.stopPrank();
        eq(_lens.unbondsOf(ROLE_RELAY, 1).length, 2, "requests");
        eq(_lens.dueToRelay(1).unbonded, 0, "too early");
        skip(localWindows().unbondRelay - 1);
        ILens.UnbondEntry[] memory requests = _lens.unbondsOf(ROLE_RELAY, 1);
        yes(requests[0].isReady && !requests[1].isReady, "the first");
        eq(requests[1].releaseAt, START + 1 + localWindows().unbondRelay, "when");
        eq(requests[1].amount, 30 * USD, "amount");
        skip(1);
        eq(_lens.dueToRelay(1).unbonded, 70 * USD, "both");
        // 66 of 100 must stay: the first cannot go, the second can
        vm.prank(address(frauds));
        stakes.freeze(1, uint96(6 * USD), true);
        requests = _lens.unbondsOf(ROLE_RELAY, 1);
        yes(!requests[0].isReady && requests[1].isReady, "the second");
        eq(_lens.dueToRelay(1).unbonded, 30 * USD, "as much as may go");
        vm.prank(relayOwner(1));
        stakes.withdrawUnbonded(ROLE_RELAY, 1, requests[1].slot);
        requests = _lens.unbondsOf(ROLE_RELAY, 1);
        eq(requests.length, 1, "one left");
        eq(requests[0].slot, 0, "its slot");
    }

    function test_dueToProvider_countsItsStake() public {
        addBond(providerOwner(1), ROLE_PROVIDER, 1, 10 * USD);
        vm.prank(providerOwner(1));
        stakes.requestUnbond(ROLE_PROVIDER, 1, uint96(4 * USD));
        skip(localWindows().unbondProvider);
        (ILens.ProviderDue memory due, ) = _lens.dueToProvider(1, 1, 256);
        eq(due.unbonded, 4 * USD, "unbonded");
    }

    function reserve(uint32 providerId, uint256 amount) private {
        vm.prank(relayOwner(1));
        reserves.fundReserve(1, providerId, uint96(amount));
    }

    function withdrawable() private view returns (uint256) {
        (ILens.ChannelEntry[] memory page, ) = _lens.channelsOfUser(_user, 1, 256);
        return page[0].withdrawable;
    }

    function withdraws(uint256 amount) private {
        vm.prank(user(1));
        eq(settlement.withdrawChannel(1), amount, "as it said");
    }
}
