// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ILens} from "../../../contracts/interfaces/ILens.sol";
import {IReserves} from "../../../contracts/interfaces/IReserves.sol";
import {Network} from "../support/Network.sol";

/// @notice Pages: what is in them, where they end, and that they never revert for ids that do not exist.
contract LensPagesTest is Network {
    uint32 private constant LAST = type(uint32).max;
    ILens private _lens;

    function setUp() public override {
        super.setUp();
        for (uint256 n = 1; n <= 3; ++n) {
            addRelay(n, n == 2 ? 0 : 100 * USD);
            addProvider(n);
        }
        // owners of relays are users 1 and 2
        for (uint256 n = 1; n <= 3; ++n) fund(user(n), 50 * TOKEN_USD);
        open(user(1), 1, 5 * USD);
        open(user(1), 3, 6 * USD);
        open(user(3), 3, 7 * USD);
        _lens = ILens(create("Lens", abi.encode(settlement, reserves)));
    }

    function test_constructor_wantsTheSettlementsReserves() public {
        vm.expectRevert(abi.encodeWithSelector(ILens.WrongWiring.selector, address(settlement)));
        this.lensOf(IReserves(address(vault)));
        eq(address(_lens.SETTLEMENT()), address(settlement), "settlement");
        eq(address(_lens.RESERVES()), address(reserves), "reserves");
        eq(_lens.MAX_PAGE(), 256, "page");
    }

    function test_channelsOfUser_areThoseItEverOpened() public view {
        (ILens.ChannelEntry[] memory page, uint32 next) = _lens.channelsOfUser(3, 1, 256);
        eq(page.length, 2, "channels");
        eq(next, 0, "no more");
        eq(page[0].relayId, 1, "relay");
        eq(page[1].relayId, 3, "other relay");
        eq(page[1].userId, 3, "user id");
        eq(page[1].user, user(1), "user");
        bytes32 channel = keccak256(abi.encode(settlement.channelOf(3, 3)));
        eq(keccak256(abi.encode(page[1].channel)), channel, "channel");
        (page, next) = _lens.channelsOfUser(4, 1, 256);
        eq(page.length, 0, "none");
        (page, next) = _lens.channelsOfUser(99, 1, 256);
        eq(page.length + next, 0, "no such user");
    }

    function test_channelsOfUser_goOnFromNext() public view {
        (ILens.ChannelEntry[] memory page, uint32 next) = _lens.channelsOfUser(3, 1, 1);
        eq(page.length, 1, "first");
        eq(next, 2, "second id");
        (page, next) = _lens.channelsOfUser(3, 2, 1);
        eq(page.length, 0, "not opened");
        eq(next, 3, "third id");
        (page, next) = _lens.channelsOfUser(3, 3, 1);
        eq(page[0].relayId, 3, "last");
        eq(next, 0, "the end");
    }

    function test_channelsOfRelay_areThoseOfAllUsers() public view {
        (ILens.ChannelEntry[] memory page, uint32 next) = _lens.channelsOfRelay(3, 1, 256);
        eq(page.length, 2, "channels");
        eq(page[0].userId, 3, "first user id");
        eq(page[0].user, user(1), "first user");
        eq(page[1].userId, 5, "last user id");
        eq(page[1].user, user(3), "last user");
        eq(page[1].relayId, 3, "relay");
        eq(page[1].channel.available, 7 * USD, "available");
        (page, next) = _lens.channelsOfRelay(3, 1, 4);
        eq(page.length, 1, "a part");
        eq(next, 5, "next");
        (page, next) = _lens.channelsOfRelay(2, 1, 256);
        eq(page.length, 0, "none");
    }

    /// @dev A channel that is closed stays in the pages, with its epoch.
    function test_channelsOfRelay_keepClosedOnes() public {
        skip(1 hours + localWindows().post + 1);
        vm.prank(user(1));
        settlement.withdrawChannel(1);
        (ILens.ChannelEntry[] memory page, ) = _lens.channelsOfRelay(1, 1, 256);
        eq(page.length, 1, "one");
        eq(page[0].channel.settleBy, 0, "closed");
        eq(page[0].channel.epoch, 1, "epoch");
        eq(page[0].withdrawable, 0, "nothing left");
    }

    function test_pages_areShortBeyondTheLastId() public view {
        empty(0, 0, 0);
        // id 0 does not exist
        empty(0, 1, 1);
        empty(4, 256, 0);
        empty(LAST, 256, 0);
        empty(LAST, 0, 0);
        (ILens.RelayEntry[] memory page, uint32 next) = _lens.relays(3, 256);
        eq(page.length, 1, "the last");
        eq(page[0].relayId, 3, "id");
        eq(next, 0, "the end");
        (page, next) = _lens.relays(0, 3);
        eq(page.length, 2, "from id 0");
        eq(next, 3, "next");
    }

    function test_pages_areBounded() public {
        bytes memory reason = abi.encodeWithSelector(ILens.PageTooLong.selector, 257, 256);
        vm.expectRevert(reason);
        _lens.channelsOfUser(1, 1, 257);
        vm.expectRevert(reason);
        _lens.channelsOfRelay(1, 1, 257);
        vm.expectRevert(reason);
        _lens.relays(1, 257);
        vm.expectRevert(reason);
        _lens.providers(1, 257);
        vm.expectRevert(reason);
        _lens.models(1, 1, 257);
        vm.expectRevert(reason);
        _lens.pairsOfRelay(1, 1, 257);
        vm.expectRevert(reason);
        _lens.pairsOfProvider(1, 1, 257);
        vm.expectRevert(reason);
        _lens.dueToProvider(1, 1, 257);
        vm.expectRevert(abi.encodeWithSelector(ILens.PageTooLong.selector, LAST, 256));
        _lens.relays(LAST, LAST);
    }

    /// @dev Whoever follows `next` sees every id once, in order, whatever the size of the pages.
    function testFuzz_pages_meetEndToEnd(uint8 more, uint8 size) public {
        uint32 last = 3 + (more % 6);
        for (uint256 n = 4; n <= last; ++n) addRelay(n, 0);
        uint32 count = 1 + (size % 12);
        uint32 seen = 0;
        uint32 next = 1;
        while (next != 0) {
            ILens.RelayEntry[] memory page;
            (page, next) = _lens.relays(next, count);
            for (uint256 i = 0; i < page.length; ++i) {
                ++seen;
                eq(page[i].relayId, seen, "in order");
            }
        }
        eq(seen, last, "all of them");
    }

    function testFuzz_pages_neverRevert(uint32 id, uint32 first, uint16 size) public view {
        uint32 count = size % 257;
        _lens.channelsOfUser(id, first, count);
        _lens.channelsOfRelay(id, first, count);
        _lens.relays(first, count);
        _lens.providers(first, count);
        _lens.models(id, first, count);
        _lens.pairsOfRelay(id, first, count);
        _lens.pairsOfProvider(id, first, count);
        _lens.dueToProvider(id, first, count);
        _lens.dueToUser(id);
        _lens.dueToRelay(id);
        _lens.unbondsOf(uint8(size), id);
    }

    function lensOf(IReserves other) external returns (address) {
        return create("Lens", abi.encode(settlement, other));
    }

    /// @dev There are three relays and three providers, and five users.
    function empty(uint32 first, uint32 count, uint32 expected) private view {
        (ILens.RelayEntry[] memory relays, uint32 next) = _lens.relays(first, count);
        eq(relays.length, 0, "relays");
        eq(next, expected, "next relay");
        ILens.ProviderEntry[] memory providers;
        (providers, next) = _lens.providers(first, count);
        eq(providers.length, 0, "providers");
        eq(next, expected, "next provider");
        ILens.PairEntry[] memory pairs;
        (pairs, next) = _lens.pairsOfRelay(1, first, count);
        eq(pairs.length, 0, "pairs");
        eq(next, expected, "next pair");
        ILens.ChannelEntry[] memory channels;
        (channels, next) = _lens.channelsOfUser(3, first, count);
        eq(channels.length, 0, "channels");
        eq(next, expected, "next channel");
    }
}
