// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentities} from "../../contracts/interfaces/IIdentities.sol";
import {IPrices} from "../../contracts/interfaces/IPrices.sol";
import {NotOwner, ROLE_PROVIDER} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

contract PricesTest is Network {
    address private immutable OWNER = providerOwner(1);

    function setUp() public override {
        super.setUp();
        addProvider(1);
        registry.registerModel("demo-text");
    }

    function test_registerModel_givesOneIdPerSlug() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit IPrices.ModelRegistered(2, keccak256("meta-llama/llama-3.1:8b_q4@x+y"), "meta-llama/llama-3.1:8b_q4@x+y");
        eq(registry.registerModel("meta-llama/llama-3.1:8b_q4@x+y"), 2, "id");
        eq(registry.modelCount(), 2, "count");
        eq(registry.modelIdOf("demo-text"), 1, "by slug");
        eq(registry.modelIdOf("other"), 0, "unknown");
        eq(keccak256(bytes(registry.slugOf(1))), keccak256("demo-text"), "slug");
        vm.expectRevert(abi.encodeWithSelector(IPrices.ModelExists.selector, 1));
        registry.registerModel("demo-text");
    }

    function test_registerModel_refusesSlugsThatAreNotPlain() public {
        string[6] memory slugs = ["", "Demo", "a b", "a\n", unicode"modèle", string(new bytes(97))];
        for (uint256 i = 0; i < slugs.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IPrices.InvalidSlug.selector, slugs[i]));
            registry.registerModel(slugs[i]);
        }
        bytes memory longest = new bytes(96);
        for (uint256 i = 0; i < 96; ++i) longest[i] = "a";
        eq(registry.registerModel(string(longest)), 2, "96 bytes are fine");
    }

    function testFuzz_registerModel_acceptsExactlyTheListedBytes(bytes1 letter) public {
        uint8 c = uint8(letter);
        bool isListed = (c >= 97 && c <= 122) || (c >= 48 && c <= 57) || c == 45 || c == 46 || c == 95;
        isListed = isListed || c == 58 || c == 47 || c == 64 || c == 43;
        string memory slug = string(abi.encodePacked(letter));
        if (!isListed) vm.expectRevert(abi.encodeWithSelector(IPrices.InvalidSlug.selector, slug));
        registry.registerModel(slug);
    }

    function test_setPrice_keepsVersions() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit IPrices.PriceSet(1, 1, 1, 100, 50, 200, TEXT, START);
        eq(set(100, 50, 200, TEXT), 1, "first, at once");
        skip(5);
        eq(set(90, 50, 200, TEXT), 2, "a fall, at once");
        eq(registry.priceOf(1, 1, 2).effectiveFrom, START + 5, "fall");
        eq(registry.priceOf(1, 1, 1).p0, 100, "the first stays");
        eq(registry.latestVersion(1, 1), 2, "latest");
        eq(registry.priceOf(1, 1, 3).effectiveFrom, 0, "no such version");
        eq(registry.priceOf(1, 2, 1).effectiveFrom, 0, "no such model");
    }

    function test_setPrice_givesNoticeOfEveryKindOfRise() public {
        set(100, 50, 200, TEXT);
        uint64[3][3] memory rises = [[uint64(101), 50, 200], [uint64(100), 51, 200], [uint64(100), 50, 201]];
        uint32 version = 1;
        uint40 time = START;
        for (uint256 i = 0; i < 3; ++i) {
            version = set(rises[i][0], rises[i][1], rises[i][2], TEXT);
            eq(registry.priceOf(1, 1, version).effectiveFrom, time + 10, "rise");
            (uint32 current, ) = registry.currentPriceOf(1, 1);
            eq(current, version - 1, "the one before is in force");
            skip(10);
            (current, ) = registry.currentPriceOf(1, 1);
            eq(current, version, "now it is");
            set(100, 50, 200, TEXT);
            skip(10);
            time = clock.clock();
        }
        // another kind at a lower price
        version = set(100, 50, 1, 0x010102);
        eq(registry.priceOf(1, 1, version).effectiveFrom, time + 10, "kind");
    }

    function test_setPrice_refusesAnythingWhileARiseWaits() public {
        set(100, 50, 200, TEXT);
        set(101, 50, 200, TEXT);
        skip(9);
        vm.expectRevert(abi.encodeWithSelector(IPrices.PricePending.selector, 2, START + 10));
        set(1, 1, 1, TEXT);
        skip(1);
        eq(set(1, 1, 1, TEXT), 3, "then it goes");
        eq(registry.priceOf(1, 1, 3).effectiveFrom, START + 11, "after the second in which the rise took effect");
    }

    /// @dev What is cached costs no more than what is read; other kinds have prices of their own.
    function test_setPrice_takesModelsOfOneUnitAndOfAnyKinds() public {
        eq(set(0, 0, 5e12, 0x000004), 1, "images");
        eq(set(1, 9, 2, 0x010201), 2, "the second unit is no cached token");
        skip(10);
        eq(set(1, 9, 2, 0x020101), 3, "the first is no token");
    }

    function test_setPrice_refusesWhatMakesNoSense() public {
        uint24[3] memory kinds = [0x000000, 0x060000, 0x010106];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IPrices.InvalidKinds.selector, kinds[i]));
            set(0, 0, 0, kinds[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(IPrices.PriceWithoutKind.selector, 1, 5));
        set(9, 5, 9, 0x010001);
        vm.expectRevert(abi.encodeWithSelector(IPrices.CachedPriceTooHigh.selector, 101, 100));
        set(100, 101, 200, TEXT);
        vm.expectRevert(abi.encodeWithSelector(IPrices.UnknownModel.selector, 2));
        vm.prank(OWNER);
        registry.setPrice(1, 2, 1, 1, 1, TEXT);
        vm.expectRevert(abi.encodeWithSelector(IPrices.UnknownModel.selector, 0));
        vm.prank(OWNER);
        registry.setPrice(1, 0, 1, 1, 1, TEXT);
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, ROLE_PROVIDER, 1, address(this)));
        registry.setPrice(1, 1, 1, 1, 1, TEXT);
    }

    function test_setPrice_refusesAProviderThatLeft() public {
        vm.prank(OWNER);
        registry.deactivate(ROLE_PROVIDER, 1);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.NotActive.selector, ROLE_PROVIDER, 1));
        set(1, 1, 1, TEXT);
    }

    /// @dev However prices move, versions begin strictly one after the other, and a rise is never sudden.
    function testFuzz_setPrice_versionsAscendAndRisesHaveNotice(uint64[3][12] memory prices, uint8[12] memory waits) public {
        for (uint256 i = 0; i < 12; ++i) {
            skip(waits[i] % 12);
            (uint64 p0, uint64 p2) = (prices[i][0], prices[i][2]);
            uint64 p1 = uint64(bound(prices[i][1], 0, p0));
            uint32 last = registry.latestVersion(1, 1);
            IPrices.Price memory before = registry.priceOf(1, 1, last);
            if (last != 0 && before.effectiveFrom > clock.clock()) continue;
            IPrices.Price memory next = registry.priceOf(1, 1, set(p0, p1, p2, TEXT));
            yes(next.effectiveFrom > before.effectiveFrom, "ascends");
            yes(next.effectiveFrom >= clock.clock(), "is never set in the past");
            bool isRise = p0 > before.p0 || p1 > before.p1 || p2 > before.p2;
            if (last != 0 && isRise) eq(next.effectiveFrom, clock.clock() + 10, "notice");
        }
    }

    function set(uint64 p0, uint64 p1, uint64 p2, uint24 kinds) private returns (uint32) {
        vm.prank(OWNER);
        return registry.setPrice(1, 1, p0, p1, p2, kinds);
    }
}
