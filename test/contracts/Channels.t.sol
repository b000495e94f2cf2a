// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {ICreditVault} from "../../contracts/interfaces/ICreditVault.sol";
import {ROLE_RELAY} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

contract ChannelsTest is Network {
    address private immutable ALICE = user(1);
    uint40 private constant EXPIRY = START + 1 hours;
    uint40 private constant SETTLE_BY = EXPIRY + 60;
    uint96 private constant FIVE = uint96(5 * USD);

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        fund(ALICE, 20 * TOKEN_USD);
    }

    function test_openChannel_reservesCredits() public {
        uint32 id = vault.userIdOf(ALICE);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelOpened(1, id, 1, FIVE, EXPIRY, SETTLE_BY, 0, address(0));
        open(ALICE, 1, FIVE);
        IChannels.Channel memory channel = settlement.channelOf(1, id);
        eq(channel.available, FIVE, "available");
        eq(channel.spent, 0, "spent");
        eq(channel.settleBy, SETTLE_BY, "settleBy");
        eq(channel.expiry, EXPIRY, "expiry");
        eq(channel.epoch, 1, "epoch");
        eq(channel.mode, 0, "mode");
        eq(free(ALICE), 15 * USD, "free");
    }

    function test_openChannel_reverts() public {
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IChannels.UnknownMode.selector, 2));
        settlement.openChannel(1, FIVE, EXPIRY, 2, address(0));
        vm.expectRevert(abi.encodeWithSelector(IChannels.WrongSessionKey.selector, 1, address(0)));
        settlement.openChannel(1, FIVE, EXPIRY, 1, address(0));
        vm.expectRevert(abi.encodeWithSelector(IChannels.WrongSessionKey.selector, 0, ALICE));
        settlement.openChannel(1, FIVE, EXPIRY, 0, ALICE);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ZeroChannelAmount.selector));
        settlement.openChannel(1, 0, EXPIRY, 0, address(0));
        vm.expectRevert(abi.encodeWithSelector(IChannels.RelayNotActive.selector, 2));
        settlement.openChannel(2, FIVE, EXPIRY, 0, address(0));
        vm.expectRevert(abi.encodeWithSelector(IChannels.ExpiryTooEarly.selector, START, START + 1));
        settlement.openChannel(1, FIVE, START, 0, address(0));
        vm.expectRevert(
            abi.encodeWithSignature("SafeCastOverflowedUintDowncast(uint8,uint256)", uint8(40), uint256(NEVER) + 60)
        );
        settlement.openChannel(1, FIVE, NEVER, 0, address(0));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditVault.InsufficientCredits.selector, vault.userIdOf(ALICE), 20 * USD, 21 * USD)
        );
        settlement.openChannel(1, uint96(21 * USD), EXPIRY, 0, address(0));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IChannels.UnknownChannelUser.selector, user(9)));
        vm.prank(user(9));
        settlement.openChannel(1, FIVE, EXPIRY, 0, address(0));
    }

    function test_openChannel_refusesARelayBelowTheMinimumStake() public {
        vm.prank(relayOwner(1));
        stakes.requestUnbond(ROLE_RELAY, 1, uint96(100 * USD - MIN_STAKE + 1));
        vm.expectRevert(abi.encodeWithSelector(IChannels.RelayNotActive.selector, 1));
        vm.prank(ALICE);
        settlement.openChannel(1, FIVE, EXPIRY, 0, address(0));
    }

    function test_openChannel_againOnlyWhenItIsOver() public {
        uint32 id = open(ALICE, 1, FIVE);
        againRefused(id, FIVE, SETTLE_BY);
        // empty, but debits may still be on their way
        post(1, one(id, FIVE, FIVE), none());
        againRefused(id, 0, SETTLE_BY);
        vm.warp(SETTLE_BY);
        againRefused(id, 0, SETTLE_BY);
        vm.warp(SETTLE_BY + 1);
        open(ALICE, 1, FIVE);
        IChannels.Channel memory channel = settlement.channelOf(1, id);
        eq(channel.epoch, 2, "a new epoch");
        eq(channel.spent, 0, "with nothing spent");
    }

    function test_openChannel_againNotWhileItHoldsCredits() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.warp(SETTLE_BY + 1);
        againRefused(id, FIVE, SETTLE_BY);
        vm.prank(ALICE);
        settlement.withdrawChannel(1);
        open(ALICE, 1, FIVE);
        eq(settlement.channelOf(1, id).epoch, 2, "epoch");
    }

    function test_openChannel_againAfterAFullThaw() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.startPrank(ALICE);
        settlement.thawChannel(1, type(uint96).max);
        skip(70);
        eq(settlement.withdrawChannel(1), FIVE, "all");
        vm.stopPrank();
        eq(settlement.channelOf(1, id).settleBy, 0, "closed");
        open(ALICE, 1, FIVE);
        eq(settlement.channelOf(1, id).epoch, 2, "epoch");
        eq(settlement.channelOf(1, id).thawEnd, 0, "no thaw");
    }

    function test_openChannel_dropsAThawThatDebitsOvertook() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.prank(ALICE);
        settlement.thawChannel(1, FIVE);
        post(1, one(id, FIVE, FIVE), none());
        vm.warp(SETTLE_BY + 1);
        open(ALICE, 1, FIVE);
        eq(settlement.channelOf(1, id).thawAmount, 0, "amount");
        vm.expectRevert(
            abi.encodeWithSelector(IChannels.NotWithdrawable.selector, 0, SETTLE_BY + 1 + 1 hours + 60, SETTLE_BY + 1)
        );
        vm.prank(ALICE);
        settlement.withdrawChannel(1);
    }

    function test_topUpChannel_changesNeitherEpochNorExpiry() public {
        uint32 id = open(ALICE, 1, FIVE);
        skip(10);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelToppedUp(1, id, 7, FIVE + 7);
        vm.prank(ALICE);
        settlement.topUpChannel(1, 7);
        IChannels.Channel memory channel = settlement.channelOf(1, id);
        eq(channel.available, FIVE + 7, "available");
        eq(channel.epoch, 1, "epoch");
        eq(channel.settleBy, SETTLE_BY, "settleBy");
    }

    function test_topUpChannel_reverts() public {
        uint32 id = vault.userIdOf(ALICE);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelOver.selector, 1, id, 0));
        settlement.topUpChannel(1, 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ZeroChannelAmount.selector));
        settlement.topUpChannel(1, 0);
        settlement.openChannel(1, FIVE, EXPIRY, 0, address(0));
        vm.warp(SETTLE_BY + 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelOver.selector, 1, id, SETTLE_BY));
        settlement.topUpChannel(1, 1);
        vm.stopPrank();
    }

    function test_extendChannel_movesTheExpiryForwardOnly() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.startPrank(ALICE);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelExtended(1, id, EXPIRY + 5, SETTLE_BY + 5);
        settlement.extendChannel(1, EXPIRY + 5);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ExpiryTooEarly.selector, EXPIRY + 4, EXPIRY + 5));
        settlement.extendChannel(1, EXPIRY + 4);
        // past its expiry, before settleBy
        vm.warp(EXPIRY + 10);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ExpiryTooEarly.selector, EXPIRY + 10, EXPIRY + 11));
        settlement.extendChannel(1, EXPIRY + 10);
        settlement.extendChannel(1, EXPIRY + 11);
        vm.warp(SETTLE_BY + 12);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelOver.selector, 1, id, SETTLE_BY + 11));
        settlement.extendChannel(1, EXPIRY + 1 days);
        vm.stopPrank();
        eq(settlement.channelOf(1, id).available, FIVE, "available");
    }

    function test_extendChannel_refusesARelayThatLeft() public {
        open(ALICE, 1, FIVE);
        vm.prank(relayOwner(1));
        registry.deactivate(ROLE_RELAY, 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.RelayNotActive.selector, 1));
        vm.prank(ALICE);
        settlement.extendChannel(1, EXPIRY + 1);
    }

    function test_thawChannel_waitsAndReturnsWhatDebitsLeft() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelThawStarted(1, id, uint96(4 * USD), START + 70);
        vm.startPrank(ALICE);
        settlement.thawChannel(1, uint96(4 * USD));
        skip(69);
        vm.expectRevert(
            abi.encodeWithSelector(IChannels.NotWithdrawable.selector, START + 70, SETTLE_BY, START + 69)
        );
        settlement.withdrawChannel(1);
        vm.stopPrank();
        post(1, one(id, 2 * USD, 2 * USD), none());
        skip(1);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelWithdrawn(1, id, uint96(3 * USD), 0);
        vm.prank(ALICE);
        settlement.withdrawChannel(1);
        eq(free(ALICE), 18 * USD, "free");
        eq(settlement.channelOf(1, id).thawEnd, 0, "the thaw is over");
    }

    /// @dev Everything was debited meanwhile: the thaw ends, and there is nothing to pay.
    function test_thawChannel_ofWhatDebitsTookReturnsNothing() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.prank(ALICE);
        settlement.thawChannel(1, FIVE);
        post(1, one(id, FIVE, FIVE), none());
        skip(70);
        vm.prank(ALICE);
        eq(settlement.withdrawChannel(1), 0, "nothing");
        eq(settlement.channelOf(1, id).thawEnd, 0, "the thaw is over");
    }

    /// @dev After 65,535 channels of one pair there is no further epoch. Nobody can make so many in a test: the last one's
    /// epoch is written where the channel is kept.
    function test_openChannel_refusesAnEpochThatThereIsNot() public {
        vm.record();
        uint32 id = open(ALICE, 1, FIVE);
        (, bytes32[] memory writes) = vm.accesses(address(settlement));
        for (uint256 n = 0; n < writes.length; ++n) {
            uint256 word = uint256(vm.load(address(settlement), writes[n]));
            if (uint96(word) != FIVE) continue;
            vm.store(address(settlement), writes[n], bytes32(word | (uint256(0xffff) << 216)));
        }
        eq(settlement.channelOf(1, id).epoch, type(uint16).max, "the last");
        skip(2 hours);
        vm.prank(ALICE);
        settlement.withdrawChannel(1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.EpochsUsedUp.selector, 1, id));
        vm.prank(ALICE);
        settlement.openChannel(1, FIVE, START + 3 hours, 0, address(0));
    }

    function test_thawChannel_ofAPartLeavesTheRestRunning() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.startPrank(ALICE);
        settlement.thawChannel(1, uint96(USD));
        skip(70);
        eq(settlement.withdrawChannel(1), USD, "part");
        vm.stopPrank();
        eq(settlement.channelOf(1, id).available, 4 * USD, "rest");
        eq(settlement.channelOf(1, id).settleBy, SETTLE_BY, "runs on");
        post(1, one(id, USD, USD), none());
    }

    function test_thawChannel_reverts() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NothingToThaw.selector, 1, id));
        settlement.thawChannel(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NoThaw.selector, 1, id));
        settlement.cancelThaw(1);
        settlement.thawChannel(1, 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ThawActive.selector, START + 70));
        settlement.thawChannel(1, 2);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IChannels.ChannelThawCancelled(1, id, 1);
        settlement.cancelThaw(1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotWithdrawable.selector, 0, SETTLE_BY, START));
        settlement.withdrawChannel(1);
        vm.stopPrank();
    }

    function test_thaw_isOutOfReachForOthers() public {
        uint32 id = open(ALICE, 1, FIVE);
        vm.prank(ALICE);
        settlement.thawChannel(1, FIVE);
        fund(user(2), TOKEN_USD);
        vm.startPrank(user(2));
        uint32 other = vault.userIdOf(user(2));
        vm.expectRevert(abi.encodeWithSelector(IChannels.NoThaw.selector, 1, other));
        settlement.cancelThaw(1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelOver.selector, 1, other, 0));
        settlement.topUpChannel(1, 1);
        vm.stopPrank();
        eq(settlement.channelOf(1, id).thawEnd, START + 70, "unmoved");
    }

    function test_withdrawChannel_afterSettleByReturnsAllAtOnce() public {
        open(ALICE, 1, FIVE);
        vm.startPrank(ALICE);
        settlement.thawChannel(1, 1);
        vm.warp(SETTLE_BY);
        // thawed long ago, but not over yet
        eq(settlement.withdrawChannel(1), 1, "the thawed part");
        vm.warp(SETTLE_BY + 1);
        eq(settlement.withdrawChannel(1), FIVE - 1, "the rest");
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotWithdrawable.selector, 0, 0, SETTLE_BY + 1));
        settlement.withdrawChannel(1);
        vm.stopPrank();
        eq(free(ALICE), 20 * USD, "free");
    }

    function againRefused(uint32 id, uint96 available, uint40 settleBy) private {
        vm.expectRevert(abi.encodeWithSelector(IChannels.ChannelInUse.selector, 1, id, available, settleBy));
        vm.prank(ALICE);
        settlement.openChannel(1, 1, settleBy + 1 days, 0, address(0));
    }
}
