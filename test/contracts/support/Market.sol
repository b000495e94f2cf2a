// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Batch} from "../../../contracts/libraries/Batches.sol";
import {BilledReceipt, Messages} from "../../../contracts/libraries/Messages.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Batching, Posted} from "./Batching.sol";
import {Bill, Served} from "./Billing.sol";

/// @notice The market in which the stories of fraud play. Relay 1 takes 5 % and has a bond of 1,000 USD; provider 1 has
/// a stake of 100 USD and one price. Ann and Bob have METERED channels, Cyd a SIGNED one, 100 USD each. Wim watches:
/// he proves what he sees and has 100 USD for the bonds of demands.
abstract contract Market is Batching {
    /// @dev What the parties have, pUSD.
    struct Purses {
        uint256 victim;
        uint256 challenger;
        uint256 bond;
        uint256 stake;
        uint256 burned;
    }

    uint96 internal constant BOND = uint96(1_000 * USD);
    uint96 internal constant STAKE = uint96(100 * USD);
    uint32 internal constant UNITS = 100_000;
    uint64 internal constant COST = uint64(USD);
    uint64 internal constant CHARGE = 1.05e12;
    uint32 internal ann;
    uint32 internal bob;
    uint32 internal cyd;
    uint32 internal wim;

    function setUp() public virtual override {
        super.setUp();
        if (address(frauds).code.length == 0) {
            create("FraudProofs", abi.encode(clock, vault, registry, stakes, settlement));
        }
        addRelay(1, BOND);
        addProvider(1);
        addBond(providerOwner(1), ROLE_PROVIDER, 1, STAKE);
        registry.registerModel("story-teller");
        vm.prank(providerOwner(1));
        registry.setPrice(1, MODEL, P0, P1, P2, TEXT);
        (ann, bob, cyd) = (settleIn(1, false), settleIn(2, false), settleIn(3, true));
        wim = fund(watcher(), 100 * TOKEN_USD);
        skip(1_000);
    }

    function watcher() internal pure returns (address) {
        return user(99);
    }

    /// @dev User `n` deposits 100 USD and puts all of it into a channel to relay 1, for 10 hours.
    function settleIn(uint256 n, bool isSigned) internal returns (uint32 userId) {
        userId = fund(user(n), 100 * TOKEN_USD);
        address key = isSigned ? vm.addr(voucherKey(userId)) : address(0);
        uint40 expiry = clock.clock() + 10 hours;
        vm.prank(user(n));
        settlement.openChannel(1, uint96(100 * USD), expiry, isSigned ? 1 : 0, key);
    }

    /// @dev `count` requests of 1 USD each, signed as one group.
    function serveMany(uint32 userId, uint256 count) internal returns (Served[] memory list) {
        list = new Served[](count);
        for (uint256 i = 0; i < count; ++i) list[i] = serve(userId, UNITS);
        signGroup(list);
    }

    function honestBill(uint32 userId, uint256 count) internal returns (Bill memory) {
        return billOf(userId, serveMany(userId, count));
    }

    /// @dev Three receipts for Ann, one for Bob, two for Cyd.
    function honestDay() internal returns (Bill[] memory bills) {
        bills = new Bill[](3);
        (bills[0], bills[1], bills[2]) = (honestBill(ann, 3), honestBill(bob, 1), honestBill(cyd, 2));
    }

    function alone(Bill memory bill) internal pure returns (Bill[] memory bills) {
        bills = new Bill[](1);
        bills[0] = bill;
    }

    function single(Served memory served) internal pure returns (Served[] memory list) {
        list = new Served[](1);
        list[0] = served;
    }

    // ---- Wim proves ----

    function proveBadReceipt(Posted memory posted, uint256 row, uint256 index) internal {
        IFraudProofs.RowProof memory rows = rowProof(posted, row);
        Served memory served = posted.bills[row].served[index];
        vm.prank(watcher());
        frauds.proveBadReceipt(
            rows,
            userProof(posted, row),
            leafProof(posted, row, index),
            served.receipt,
            served.evidence
        );
    }

    function proveForeignRequest(Posted memory posted, uint256 row, uint256 index) internal {
        IFraudProofs.RowProof memory rows = rowProof(posted, row);
        Served memory served = posted.bills[row].served[index];
        vm.prank(watcher());
        frauds.proveForeignRequest(
            rows,
            userProof(posted, row),
            leafProof(posted, row, index),
            served.receipt,
            served.request
        );
    }

    function proveRowMismatch(Posted memory posted, uint256 row) internal {
        vm.prank(watcher());
        frauds.proveRowMismatch(rowProof(posted, row), userProof(posted, row));
    }

    function proveRunningTotal(Posted memory posted, uint256 row, uint256 index) internal {
        vm.prank(watcher());
        frauds.proveRunningTotal(rowProof(posted, row), userProof(posted, row), leafProof(posted, row, index));
    }

    /// @dev The receipt at (row, index) was billed in `first` already, at (firstRow, firstIndex).
    function proveDuplicate(
        Posted memory first,
        uint256[2] memory firstPlace,
        Posted memory posted,
        uint256[2] memory place
    ) internal {
        IFraudProofs.RowProof memory firstRow = rowProof(first, firstPlace[0]);
        IFraudProofs.LeafProof memory firstLeaf = leafProof(first, firstPlace[0], firstPlace[1]);
        vm.prank(watcher());
        frauds.proveDuplicate(
            firstRow,
            userProof(first, firstPlace[0]),
            firstLeaf,
            rowProof(posted, place[0]),
            userProof(posted, place[0]),
            leafProof(posted, place[0], place[1])
        );
    }

    /// @dev What relay 1 tells a user that it charged.
    function billedOf(
        Posted memory posted,
        uint256 row,
        uint256 index
    ) internal pure returns (BilledReceipt memory billed) {
        Bill memory bill = posted.bills[row];
        (billed.relayId, billed.userId, billed.channelEpoch) = (1, bill.userId, bill.leaf.epoch);
        billed.usageReceiptHash = bill.served[index].leaf.usageDigest;
        billed.charge = bill.served[index].leaf.charge;
        billed.userCumulative = bill.served[index].leaf.userCumulative;
    }

    function proveEquivocation(
        Posted memory posted,
        uint256 row,
        uint256 index,
        BilledReceipt memory billed
    ) internal {
        proveEquivocationBy(relaySignerKey(1), posted, row, index, billed);
    }

    function proveEquivocationBy(
        uint256 key,
        Posted memory posted,
        uint256 row,
        uint256 index,
        BilledReceipt memory billed
    ) internal {
        bytes memory signature = sign(key, address(settlement), Messages.hash(billed));
        vm.prank(watcher());
        frauds.proveEquivocation(
            rowProof(posted, row),
            userProof(posted, row),
            leafProof(posted, row, index),
            billed,
            signature
        );
    }

    function demand(Posted memory posted, uint256 row, uint32 index) internal returns (bytes32 demandId) {
        IFraudProofs.RowProof memory rows = rowProof(posted, row);
        vm.prank(watcher());
        return frauds.demand(rows, index);
    }

    /// @dev The demand that `demand` makes, known before it is made.
    function expectedDemand(
        Posted memory posted,
        uint256 row,
        uint32 index
    ) internal view returns (IFraudProofs.Demand memory made) {
        Bill memory bill = posted.bills[row];
        Batch memory batch = posted.batch;
        (made.relayId, made.batchNo, made.row, made.leafIndex) = (1, batch.header.batchNo, uint32(row), index);
        (made.receiptsRoot, made.depth) = (batch.header.receiptsRoot, batch.header.depth);
        (made.postedAt, made.userId, made.cumEnd, made.delta) = (batch.postedAt, bill.userId, bill.cumEnd, bill.delta);
        (made.challenger, made.bond) = (wim, bill.delta < 40 * USD ? uint96(2 * USD) : bill.delta / 20);
        made.deadline = clock.clock() + 5;
    }

    /// @dev Wim demands to see a receipt.
    function demanded(
        Posted memory posted,
        uint256 row,
        uint32 index
    ) internal returns (IFraudProofs.Demand memory made) {
        made = expectedDemand(posted, row, index);
        eq(demand(posted, row, index), keccak256(abi.encode(made)), "the demand that was expected");
    }

    /// @dev What relay 1 shows of a place.
    function answerCall(
        Posted memory posted,
        uint256[2] memory place,
        IFraudProofs.Demand memory made
    ) internal pure returns (bytes memory) {
        Served memory served = posted.bills[place[0]].served[place[1]];
        return
            abi.encodeCall(
                IFraudProofs.answer,
                (
                    made,
                    userProof(posted, place[0]),
                    leafProof(posted, place[0], place[1]),
                    served.receipt,
                    served.evidence,
                    served.request
                )
            );
    }

    // ---- Who has what ----

    function pursesOf(uint32 victim) internal view returns (Purses memory purses) {
        purses.victim = vault.accountOf(victim).free;
        purses.challenger = free(watcher());
        purses.bond = bondOf(ROLE_RELAY, 1);
        purses.stake = bondOf(ROLE_PROVIDER, 1);
        purses.burned = stakes.burned();
    }

    /// @dev Since `before` the victim and the challenger got this from the relay's bond, and this much was burned.
    function paidByRelay(
        Purses memory before,
        uint32 victim,
        uint256 toVictim,
        uint256 toChallenger,
        uint256 burned
    ) internal view {
        Purses memory now_ = pursesOf(victim);
        eq(now_.victim, before.victim + toVictim, "the victim has its loss back");
        eq(now_.challenger, before.challenger + toChallenger, "the challenger's bounty");
        eq(now_.burned, before.burned + burned, "burned");
        eq(now_.bond, before.bond - toVictim - toChallenger - burned, "what is left of the bond");
        eq(now_.stake, before.stake, "the provider's stake is as it was");
        booksBalance();
    }

    function paidByProvider(Purses memory before, uint256 toChallenger, uint256 burned) internal view {
        Purses memory now_ = pursesOf(ann);
        eq(now_.challenger, before.challenger + toChallenger, "the challenger's bounty");
        eq(now_.burned, before.burned + burned, "burned");
        eq(now_.stake, before.stake - toChallenger - burned, "what is left of the stake");
        eq(now_.bond, before.bond, "the relay's bond is as it was");
        booksBalance();
    }

    /// @dev What is locked in the stake manager is what its books say, and the vault has the tokens for everything.
    function booksBalance() internal view {
        uint256 bonds = 0;
        for (uint32 id = 1; id <= registry.relayCount(); ++id) bonds += bondOf(ROLE_RELAY, id);
        for (uint32 id = 1; id <= registry.providerCount(); ++id) bonds += bondOf(ROLE_PROVIDER, id);
        uint256 locked = vault.moduleOf(address(stakes)).balance;
        eq(locked, bonds + stakes.burned(), "bonds and what was burned");
        locked += vault.moduleOf(address(settlement)).balance;
        locked += vault.moduleOf(address(reserves)).balance + vault.moduleOf(address(frauds)).balance;
        for (uint32 id = 1; id <= vault.userCount(); ++id) locked += vault.accountOf(id).free;
        eq(token.balanceOf(address(vault)) * SCALE, locked, "tokens for all credits");
    }

    function bondOf(uint8 role, uint32 id) internal view returns (uint256) {
        return uint256(stakes.bondOf(role, id).active) + stakes.bondOf(role, id).unbonding;
    }
}
