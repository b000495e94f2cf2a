// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPosts, SKIP_FUNDS, SKIP_MISMATCH, SKIP_OVER} from "../../contracts/interfaces/IPosts.sol";
import {Network} from "./support/Network.sol";

/// @notice Rows that carry the user's signature, alone and together with metered ones.
contract SignedPostsTest is Network {
    uint32 private _ann;
    uint32 private _bob;
    uint32 private _cleo;

    function setUp() public override {
        super.setUp();
        addRelay(1, MIN_STAKE);
        addProvider(1);
        for (uint256 n = 1; n <= 3; ++n) fund(user(n), 1_000 * TOKEN_USD);
        _ann = openSigned(user(1), 1, 100 * USD);
        _bob = openSigned(user(2), 1, 500 * USD);
        _cleo = open(user(3), 1, 100 * USD);
    }

    function test_post_collectsASignedRow() public {
        post(1, rowsOf(signedRow(_ann, 0, 3 * USD, USD)), owed(1, 2 * USD));
        eq(settlement.channelOf(1, _ann).spent, 3 * USD, "spent");
        eq(settlement.channelOf(1, _ann).available, 97 * USD, "left");
        eq(settlement.providerAccountOf(1, 1).claimable, 2 * USD, "provider");
        eq(settlement.relayAccountOf(1).pendingCur, USD - (3 * USD) / 100, "relay's residual waits");
    }

    /// @dev 500 USD of signed volume with a bond of 10 USD: a signature needs no bond behind it.
    function test_post_needsNoBondForSignedVolume() public {
        post(1, rowsOf(signedRow(_bob, 0, 500 * USD, 0)), none());
        eq(settlement.inflightOf(1).cur, 0, "in flight");
        eq(settlement.requiredBond(1), 0, "required");
    }

    function test_post_takesBothSectionsInOneBatch() public {
        Debit[] memory debits = new Debit[](3);
        debits[0] = metered(_cleo, uint80(USD), uint64(USD));
        debits[1] = signedRow(_ann, 0, 2 * USD, 5);
        debits[2] = signedRow(_bob, 0, 4 * USD, 0);
        post(1, debits, owed(1, 6 * USD));
        eq(settlement.inflightOf(1).cur, USD, "only metered volume is in flight");
        eq(settlement.channelOf(1, _bob).spent, 4 * USD, "bob");
        eq(settlement.channelOf(1, _cleo).spent, USD, "cleo");
    }

    function test_post_takesTheSameVoucherUntilItIsUsedUp() public {
        Debit memory row = signedRow(_ann, 0, 3 * USD, 2 * USD);
        post(1, rowsOf(row), none());
        row = signedRow(_ann, 3 * USD, 2 * USD, 0);
        post(1, rowsOf(row), none());
        eq(settlement.channelOf(1, _ann).spent, 5 * USD, "spent");
    }

    function testFuzz_post_neverCollectsMoreThanWasSigned(uint64 delta, uint64 signed) public {
        delta = uint64(bound(delta, 1, 90 * USD));
        signed = uint64(bound(signed, 0, 100 * USD));
        Debit memory row = signedRow(_ann, 0, delta, 0);
        (row.r, row.vs) = voucherBy(sessionSecret(1), 1, _ann, 1, signed);
        row.excess = signed > delta ? uint64(signed - delta) : 0;
        if (signed < delta) refusedVoucher(row);
        else post(1, rowsOf(row), none());
        yes(settlement.channelOf(1, _ann).spent <= signed, "spent");
    }

    function test_post_refusesVouchersThatAreNotForThisRow() public {
        Debit memory row = signedRow(_ann, 0, 3 * USD, 0);
        refusedVoucher(row, 2, 1, _ann, 1, 3 * USD);
        refusedVoucher(row, 1, 2, _ann, 1, 3 * USD);
        refusedVoucher(row, 1, 1, _bob, 1, 3 * USD);
        refusedVoucher(row, 1, 1, _ann, 2, 3 * USD);
        refusedVoucher(row, 1, 1, _ann, 1, 3 * USD + 1);
    }

    function test_post_refusesAVoucherOfAnotherDomain() public {
        Debit memory row = signedRow(_ann, 0, 3 * USD, 0);
        (row.r, row.vs) = compact(sign(sessionSecret(1), address(vault), voucherHash(1, _ann, 1, 3 * USD)));
        refusedVoucher(row);
    }

    /// @dev What the compact form leaves of the upper half of the order, and no signature at all.
    function test_post_refusesHighS() public {
        Debit memory row = signedRow(_ann, 0, 3 * USD, 0);
        row.vs = bytes32(type(uint256).max >> 1);
        refusedVoucher(row);
        (row.r, row.vs) = (0, 0);
        refusedVoucher(row);
    }

    function test_post_skipsTheHighestTotalUnlessTheChannelStandsBeforeIt() public {
        Debit memory row = signedRow(_ann, 0, 3 * USD, 0);
        (row.cumEnd, row.excess) = (type(uint80).max, 1);
        // it does not begin where the channel stands: skipped before anything is signed for
        post(1, rowsOf(row), none());
        eq(settlement.channelOf(1, _ann).spent, 0, "spent");
    }

    function test_post_refusesRowsInTheSectionOfTheOtherMode() public {
        postRefused(1, one(_ann, USD, USD), none(), abi.encodeWithSelector(IPosts.WrongMode.selector, _ann, 1));
        postRefused(1, rowsOf(signedRow(_cleo, 0, USD, 0)), none(), abi.encodeWithSelector(IPosts.WrongMode.selector, _cleo, 0));
        // a user without a channel has the mode 0
        postRefused(1, rowsOf(signedRow(77, 0, USD, 0)), none(), abi.encodeWithSelector(IPosts.WrongMode.selector, 77, 0));
    }

    /// @dev Also when it would be skipped: an id in the list of skipped ids must name one row.
    function test_post_refusesTheOtherModeEvenWhenTheChannelIsOver() public {
        skip(2 hours);
        postRefused(1, one(_ann, USD, USD), none(), abi.encodeWithSelector(IPosts.WrongMode.selector, _ann, 1));
        postRefused(1, rowsOf(signedRow(_cleo, 0, USD, 0)), none(), abi.encodeWithSelector(IPosts.WrongMode.selector, _cleo, 0));
    }

    function test_post_skipsWhatAUserMadeImpossible() public {
        skippedRow(signedRow(_ann, 1, USD, 0), SKIP_MISMATCH);
        skippedRow(signedRow(_ann, 0, 101 * USD, 0), SKIP_FUNDS);
        skip(1 hours + 61);
        skippedRow(signedRow(_ann, 0, USD, 0), SKIP_OVER);
        eq(settlement.channelOf(1, _ann).spent, 0, "spent");
    }

    /// @dev The user leaves and comes back with a new key; a row of the old epoch moves nothing.
    function test_post_doesNotTakeRowsOfAnOldEpoch() public {
        post(1, rowsOf(signedRow(_ann, 0, USD, 0)), none());
        Debit memory late = signedRow(_ann, USD, USD, 0);
        skip(1 hours + 61);
        vm.prank(user(1));
        settlement.withdrawChannel(1);
        openSigned(user(1), 1, 10 * USD);
        skippedRow(late, SKIP_MISMATCH);
        Debit memory first = signedRow(_ann, 0, USD, 0);
        (first.r, first.vs) = voucherBy(sessionSecret(1), 1, _ann, 1, USD);
        refusedVoucher(first);
    }

    function test_post_collectsAfterTheKeyWasRevokedUntilThePostWindowEnds() public {
        vm.prank(user(1));
        settlement.revokeSessionKey(1);
        skip(60);
        post(1, rowsOf(signedRow(_ann, 0, USD, 0)), none());
        eq(settlement.channelOf(1, _ann).spent, USD, "what was signed is collected");
        skip(1);
        skippedRow(signedRow(_ann, USD, USD, 0), SKIP_OVER);
    }

    function test_post_wantsSignedIdsAscending() public {
        Debit[] memory debits = new Debit[](2);
        (debits[0], debits[1]) = (signedRow(_bob, 0, USD, 0), signedRow(_ann, 0, USD, 0));
        postRefused(1, debits, none(), abi.encodeWithSignature("RowsNotAscending(uint256,uint32)", 1, _ann));
    }

    /// @dev Code on the key's account, as an EIP-7702 delegation leaves it, changes nothing.
    function test_post_takesTheSignatureOfADelegatedKey() public {
        delegate(sessionKey(1), address(clock));
        yes(sessionKey(1).code.length != 0, "it has code");
        post(1, rowsOf(signedRow(_ann, 0, USD, 0)), none());
        eq(settlement.channelOf(1, _ann).spent, USD, "spent");
    }

    /// @dev The row with a voucher over other values than its own.
    function refusedVoucher(
        Debit memory row,
        uint256 key,
        uint32 relayId,
        uint32 userId,
        uint16 epoch,
        uint256 cumulative
    ) private {
        (row.r, row.vs) = voucherBy(sessionSecret(key), relayId, userId, epoch, cumulative);
        refusedVoucher(row);
    }

    function refusedVoucher(Debit memory row) private {
        uint256 cumulative = uint256(row.cumEnd) + row.excess;
        bytes memory reason = abi.encodeWithSelector(IPosts.BadVoucherSignature.selector, row.userId, cumulative);
        postRefused(1, rowsOf(row), none(), reason);
    }

    function skippedRow(Debit memory row, uint8 reason) private {
        uint64 batchNo = settlement.relayAccountOf(1).batchNo;
        vm.expectEmit(true, true, true, true, address(settlement));
        emit IPosts.RowSkipped(1, row.userId, batchNo, row.cumEnd, row.delta, reason);
        post(1, rowsOf(row), none());
    }
}
