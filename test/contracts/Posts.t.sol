// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {IEarnings} from "../../contracts/interfaces/IEarnings.sol";
import {
    IPosts,
    SKIP_FUNDS,
    SKIP_MISMATCH,
    SKIP_OVER
} from "../../contracts/interfaces/IPosts.sol";
import {Rows} from "../../contracts/libraries/Rows.sol";
import {ROLE_PROVIDER, ROLE_RELAY, UnknownId} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

contract PostsTest is Network {
    address private immutable POSTER = vm.addr(relaySignerKey(1));
    uint32 private _alice;

    function setUp() public override {
        super.setUp();
        addRelay(1, 100 * USD);
        addProvider(1);
        fund(user(1), 50 * TOKEN_USD);
        _alice = open(user(1), 1, 20 * USD);
    }

    function test_post_movesWhatIsOwed() public {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, one(_alice, 10 * USD, 10 * USD), owed(1, 8 * USD));
        bytes32 rowsHash = keccak256(
            abi.encodePacked(keccak256(slice(rows, 0, 22)), keccak256(slice(rows, 22, 14)))
        );
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IPosts.Posted(
            1,
            0,
            header.receiptsRoot,
            uint96(10 * USD),
            rowsHash,
            0,
            START,
            uint96(10 * USD),
            0,
            uint96(8 * USD),
            uint96(USD / 10)
        );
        postAs(POSTER, 1, header, rows);
        IChannels.Channel memory channel = settlement.channelOf(1, _alice);
        eq(channel.available, 10 * USD, "available");
        eq(channel.spent, 10 * USD, "spent");
        eq(settlement.providerAccountOf(1, 1).claimable, 8 * USD, "claimable");
        eq(settlement.providerAccountOf(1, 1).paid, 8 * USD, "paid");
        IEarnings.RelayAccount memory relay = settlement.relayAccountOf(1);
        eq(relay.batchNo, 1, "next batch");
        eq(relay.earned, 0, "nothing yet");
        eq(relay.pendingCur, 10 * USD - 8 * USD - USD / 10, "residual");
        eq(settlement.protocolFees(), USD / 10, "fee");
        eq(settlement.inflightOf(1).cur, 10 * USD, "in flight");
        bytes32 commit = keccak256(abi.encode(header, rowsHash, bytes32(0), START, uint96(10 * USD)));
        eq(settlement.commitOf(1, 0), commit, "commit");
        eq(settlement.commitOf(1, 1), 0, "not posted");
    }

    function test_post_isForOwnerAndSignerOnly() public {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, noDebits(), none());
        vm.expectRevert(abi.encodeWithSelector(IPosts.NotPoster.selector, 1, address(this)));
        settlement.post(1, header, rows);
        vm.expectRevert(abi.encodeWithSelector(IPosts.NotPoster.selector, 2, POSTER));
        postAs(POSTER, 2, header, rows);
        postAs(relayOwner(1), 1, header, rows);
        header.batchNo = 1;
        postAs(POSTER, 1, header, rows);
    }

    function test_post_takesEachBatchOnce() public {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, one(_alice, USD, USD), none());
        postAs(POSTER, 1, header, rows);
        vm.expectRevert(abi.encodeWithSelector(IPosts.WrongBatchNo.selector, 0, 1));
        postAs(POSTER, 1, header, rows);
        header.batchNo = 2;
        vm.expectRevert(abi.encodeWithSelector(IPosts.WrongBatchNo.selector, 2, 1));
        postAs(POSTER, 1, header, rows);
    }

    function test_post_refusesFalseHeaders() public {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, one(_alice, USD, USD), owed(1, 1));
        header.depth = 1;
        refused(header, rows, abi.encodeWithSelector(IPosts.WrongDepth.selector, 1, 0));
        header.depth = 0;
        header.receiptsSum += 1;
        refused(header, rows, abi.encodeWithSelector(IPosts.WrongReceiptsSum.selector, USD + 1, USD));
        header.receiptsSum -= 1;
        header.receiptsRoot = 0;
        refused(header, rows, abi.encodeWithSelector(IPosts.WrongReceiptsRoot.selector, 0, 1));
        header.receiptsRoot = bytes32("root");
        refused(header, bytes.concat(rows, hex"00"), abi.encodeWithSelector(Rows.WrongRowsLength.selector, 37, 36));
        refused(header, slice(rows, 0, 35), abi.encodeWithSelector(Rows.WrongRowsLength.selector, 35, 36));
        (header, rows) = batchOf(1, noDebits(), owed(1, 0));
        header.receiptsRoot = bytes32("root");
        refused(header, rows, abi.encodeWithSelector(IPosts.WrongReceiptsRoot.selector, header.receiptsRoot, 0));
    }

    function test_post_refusesIdsThatDoNotAscend() public {
        Debit[] memory debits = new Debit[](2);
        (debits[0], debits[1]) = (metered(_alice, 1, 1), metered(_alice, 2, 1));
        refusedBatch(debits, none(), abi.encodeWithSelector(Rows.RowsNotAscending.selector, 1, _alice));
        debits[1].userId = 0;
        refusedBatch(debits, none(), abi.encodeWithSelector(Rows.RowsNotAscending.selector, 1, 0));
        refusedBatch(one(0, 1, 1), none(), abi.encodeWithSelector(Rows.RowsNotAscending.selector, 0, 0));
        Credit[] memory credits = new Credit[](2);
        (credits[0], credits[1]) = (Credit(2, 1), Credit(1, 1));
        addProvider(2);
        refusedBatch(noDebits(), credits, abi.encodeWithSelector(Rows.RowsNotAscending.selector, 1, 1));
        refusedBatch(noDebits(), owed(0, 1), abi.encodeWithSelector(Rows.RowsNotAscending.selector, 0, 0));
    }

    function test_post_skipsWhatAUserCanCause() public {
        fund(user(2), 50 * TOKEN_USD);
        fund(user(3), 50 * TOKEN_USD);
        uint32 bob = open(user(2), 1, USD);
        uint32 carol = vault.userIdOf(user(3));
        Debit[] memory debits = new Debit[](3);
        debits[0] = metered(_alice, uint80(2 * USD), uint64(USD));
        debits[1] = metered(bob, uint80(USD + 1), uint64(USD + 1));
        debits[2] = metered(carol, uint80(USD), uint64(USD));
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, debits, none());
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IPosts.RowSkipped(1, _alice, 0, uint80(2 * USD), uint64(USD), SKIP_MISMATCH);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IPosts.RowSkipped(1, bob, 0, uint80(USD + 1), uint64(USD + 1), SKIP_FUNDS);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IPosts.RowSkipped(1, carol, 0, uint80(USD), uint64(USD), SKIP_OVER);
        postAs(POSTER, 1, header, rows);
        eq(settlement.channelOf(1, _alice).available, 20 * USD, "alice");
        eq(settlement.channelOf(1, bob).available, USD, "bob");
        eq(settlement.channelOf(1, carol).epoch, 0, "carol");
        eq(settlement.inflightOf(1).cur, 0, "in flight");
        bytes32 skippedHash = keccak256(abi.encodePacked(_alice, bob, carol));
        bytes32 rowsHash = keccak256(abi.encodePacked(keccak256(rows)));
        bytes32 commit = keccak256(abi.encode(header, rowsHash, skippedHash, START, uint96(0)));
        eq(settlement.commitOf(1, 0), commit, "commit");
    }

    function test_post_skipsAfterSettleByAndAfterReopening() public {
        post(1, one(_alice, USD, USD), none());
        uint40 settleBy = settlement.channelOf(1, _alice).settleBy;
        vm.warp(settleBy);
        post(1, one(_alice, 2 * USD, USD), none());
        eq(settlement.channelOf(1, _alice).spent, 2 * USD, "in the last second");
        skip(1);
        post(1, one(_alice, 3 * USD, USD), none());
        eq(settlement.channelOf(1, _alice).spent, 2 * USD, "not after it");
        vm.prank(user(1));
        settlement.withdrawChannel(1);
        open(user(1), 1, 5 * USD);
        post(1, one(_alice, 3 * USD, USD), none());
        eq(settlement.channelOf(1, _alice).available, 5 * USD, "the old epoch's cumulative does not fit");
    }

    function test_post_debitsWhatIsThawing() public {
        vm.prank(user(1));
        settlement.thawChannel(1, uint96(20 * USD));
        post(1, one(_alice, 15 * USD, 15 * USD), none());
        eq(settlement.channelOf(1, _alice).available, 5 * USD, "available");
    }

    function test_post_creditsOnlyWhatIsNew() public {
        post(1, one(_alice, 10 * USD, 10 * USD), owed(1, 5 * USD));
        post(1, noDebits(), owed(1, 5 * USD));
        post(1, noDebits(), owed(1, 3 * USD));
        post(1, noDebits(), owed(1, 6 * USD));
        eq(settlement.providerAccountOf(1, 1).paid, 6 * USD, "paid");
        eq(settlement.providerAccountOf(1, 1).claimable, 6 * USD, "claimable");
    }

    function test_post_enlistsAndRefusesUnknownProviders() public {
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IEarnings.ProviderEnlisted(1, 1);
        post(1, noDebits(), owed(1, 0));
        refusedBatch(noDebits(), owed(2, 0), abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 2));
        vm.prank(providerOwner(1));
        registry.deactivate(ROLE_PROVIDER, 1);
        post(1, one(_alice, USD, USD), owed(1, USD / 2));
        eq(settlement.providerAccountOf(1, 1).paid, USD / 2, "a provider that left is still paid");
    }

    function test_post_withAPostersOldSignerIsRefused() public {
        bytes memory proof = proofBy(9, relayOwner(1), ROLE_RELAY, NEVER);
        vm.prank(relayOwner(1));
        registry.rotateSigner(ROLE_RELAY, 1, vm.addr(9), NEVER, proof);
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, noDebits(), none());
        refused(header, rows, abi.encodeWithSelector(IPosts.NotPoster.selector, 1, POSTER));
        postAs(vm.addr(9), 1, header, rows);
    }

    /// @dev debits == credits + residual + fee, to the last pUSD, whatever the split.
    function testFuzz_post_conserves(uint64 delta, uint80 cumEnd) public {
        delta = uint64(bound(delta, 0, 20 * USD));
        uint256 fee = (uint256(delta) * FEE_BPS) / 10_000;
        uint80 credit = uint80(bound(cumEnd, 0, delta - fee));
        post(1, one(_alice, delta, delta), owed(1, credit));
        uint256 residual = settlement.relayAccountOf(1).pendingCur;
        eq(credit + residual + settlement.protocolFees(), delta, "conserved");
        eq(settlement.channelOf(1, _alice).available, 20 * USD - delta, "available");
        eq(settlement.providerAccountOf(1, 1).claimable, credit, "claimable");
    }

    /// @dev A row that does not fit leaves its channel as it is, to the last bit.
    function testFuzz_post_skippedRowsChangeNothing(uint80 cumEnd, uint64 delta) public {
        post(1, one(_alice, USD, USD), none());
        bool applies = USD + delta == cumEnd && delta <= 19 * USD;
        vm.assume(!applies);
        bytes32 before = keccak256(abi.encode(settlement.channelOf(1, _alice)));
        uint256 pending = settlement.relayAccountOf(1).pendingCur;
        post(1, one(_alice, cumEnd, delta), none());
        eq(keccak256(abi.encode(settlement.channelOf(1, _alice))), before, "channel");
        eq(settlement.relayAccountOf(1).pendingCur, pending, "residual");
    }

    function refusedBatch(Debit[] memory debits, Credit[] memory credits, bytes memory reason) private {
        (IPosts.PostHeader memory header, bytes memory rows) = batchOf(1, debits, credits);
        refused(header, rows, reason);
    }

    function refused(IPosts.PostHeader memory header, bytes memory rows, bytes memory reason) private {
        vm.expectRevert(reason);
        postAs(POSTER, 1, header, rows);
    }

    function slice(bytes memory data, uint256 from, uint256 length) private pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) part[i] = data[from + i];
    }
}
