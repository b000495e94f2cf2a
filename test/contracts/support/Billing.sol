// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {IPrices} from "../../../contracts/interfaces/IPrices.sol";
import {Messages, ReceiptGroup, UsageReceipt} from "../../../contracts/libraries/Messages.sol";
import {Pricing} from "../../../contracts/libraries/Pricing.sol";
import {ReceiptsTree} from "../../../contracts/libraries/ReceiptsTree.sol";
import {Requests} from "../../../contracts/libraries/Requests.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// @dev A request that was served: all that is known of it, and how it is billed.
struct Served {
    IFraudProofs.RequestPreimage request;
    UsageReceipt receipt;
    bytes evidence;
    ReceiptsTree.Leaf leaf;
}

/// @dev All of one user in one batch: its receipts, its user leaf, and its row (the last five).
struct Bill {
    Served[] served;
    ReceiptsTree.UserLeaf leaf;
    uint32 userId;
    uint80 cumEnd;
    uint64 delta;
    bool isSigned;
    uint64 excess;
}

/// @notice How an honest provider and an honest relay make bills. What a step made can be changed before the next step
/// builds on it: that is how the frauds of these tests are made.
abstract contract Billing is Network {
    uint64 internal constant P0 = 2e6;
    uint64 internal constant P1 = 1e6;
    uint64 internal constant P2 = 8e6;
    uint32 internal constant MODEL = 1;
    uint256 private _drawn;

    // ---- The provider ----

    /// @dev A request of a user to relay 1, served now by provider 1: `units` prompt and as many completion tokens, so
    /// 100,000 of each cost 1 USD.
    function serve(uint32 userId, uint32 units) internal returns (Served memory served) {
        served.request = IFraudProofs.RequestPreimage({
            userId: userId,
            channelEpoch: settlement.channelOf(1, userId).epoch,
            nonce: bytes16(keccak256(abi.encode("nonce", ++_drawn))),
            bodyHash: keccak256(abi.encode("body", _drawn))
        });
        UsageReceipt memory receipt = served.receipt;
        (receipt.relayId, receipt.providerId, receipt.modelId, receipt.priceVersion) = (1, 1, MODEL, 1);
        receipt.issuedAt = clock.clock();
        (receipt.units0, receipt.units2) = (units, units);
        receipt.cost = costOf(receipt);
        receipt.requestHash = hashOf(served.request);
        receipt.responseHash = keccak256(abi.encode("response", _drawn));
    }

    /// @dev What the price of the receipt's version allows.
    function costOf(UsageReceipt memory receipt) internal view returns (uint64) {
        IPrices.Price memory price = registry.priceOf(receipt.providerId, receipt.modelId, receipt.priceVersion);
        uint256 cost = Pricing.cost([receipt.units0, receipt.units1, receipt.units2], [price.p0, price.p1, price.p2]);
        yes(cost <= type(uint64).max, "what a receipt can say");
        return uint64(cost);
    }

    function hashOf(IFraudProofs.RequestPreimage memory request) internal pure returns (bytes32) {
        return Requests.hash(request.userId, request.channelEpoch, request.nonce, request.bodyHash);
    }

    /// @dev Provider 1 signs these receipts as one group, closed now.
    function signGroup(Served[] memory list) internal view {
        signGroupAs(providerSignerKey(1), groupFor(list), list);
    }

    /// @dev What provider 1 would sign.
    function groupFor(Served[] memory list) internal view returns (ReceiptGroup memory) {
        return
            ReceiptGroup({
                relayId: 1,
                providerId: 1,
                count: uint32(list.length),
                closedAt: clock.clock(),
                root: Trees.groupRoot(digestsOf(list))
            });
    }

    function signGroupAs(uint256 key, ReceiptGroup memory group, Served[] memory list) internal view {
        attach(sign(key, address(settlement), Messages.hash(group)), group, list);
    }

    /// @dev Evidence for each receipt of a group, with a signature of whatever.
    function attach(bytes memory signature, ReceiptGroup memory group, Served[] memory list) internal view {
        bytes32[] memory digests = digestsOf(list);
        bytes memory head = abi.encodePacked(group.relayId, group.providerId, group.count, group.closedAt, group.root);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i].evidence = bytes.concat(head, bytes1(uint8(i)), Trees.groupPath(digests, i), signature);
        }
    }

    function digestOf(UsageReceipt memory receipt) internal view returns (bytes32) {
        return typedHash(Messages.hash(receipt));
    }

    function typedHash(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", settlement.domainSeparator(), structHash));
    }

    // ---- The relay: a user's bill, from the receipts upwards ----

    /// @dev Charges cost and fee, and goes on from where the channel stands.
    function billOf(uint32 userId, Served[] memory list) internal view returns (Bill memory bill) {
        (bill.served, bill.userId) = (list, userId);
        (bill.leaf.userId, bill.leaf.epoch) = (userId, settlement.channelOf(1, userId).epoch);
        bill.leaf.cumStart = settlement.channelOf(1, userId).spent;
        bill.isSigned = settlement.channelOf(1, userId).mode == 1;
        if (bill.isSigned) bill.excess = uint64(USD / 2);
        uint80 total = bill.leaf.cumStart;
        for (uint256 i = 0; i < list.length; ++i) {
            uint64 charge = uint64(Pricing.chargeBound(list[i].receipt.cost, registry.relayOf(1).feeCurBps));
            total += charge;
            list[i].leaf = ReceiptsTree.Leaf({
                usageDigest: digestOf(list[i].receipt),
                evidenceHash: keccak256(list[i].evidence),
                userId: userId,
                charge: charge,
                userCumulative: total
            });
        }
        addUp(bill);
    }

    /// @dev User leaf and row from the leaves as they are.
    function addUp(Bill memory bill) internal pure {
        bill.leaf.sum = 0;
        for (uint256 i = 0; i < bill.served.length; ++i) bill.leaf.sum += bill.served[i].leaf.charge;
        bill.leaf.count = uint32(bill.served.length);
        graft(bill);
        (bill.cumEnd, bill.delta) = (bill.leaf.cumStart + bill.leaf.sum, bill.leaf.sum);
    }

    /// @dev The sub-tree of the leaves as they are; sums and row stay.
    function graft(Bill memory bill) internal pure {
        bill.leaf.subRoot = bill.served.length == 0 ? bytes32(0) : Trees.root(nodesOf(bill)).hash;
    }

    /// @dev The leaf follows a receipt, a request or evidence that was changed.
    function commitTo(Served memory served) internal view {
        served.leaf.usageDigest = digestOf(served.receipt);
        served.leaf.evidenceHash = keccak256(served.evidence);
    }

    /// @dev The running totals follow charges that were changed.
    function runOn(Bill memory bill) internal pure {
        uint80 total = bill.leaf.cumStart;
        for (uint256 i = 0; i < bill.served.length; ++i) {
            total += bill.served[i].leaf.charge;
            bill.served[i].leaf.userCumulative = total;
        }
        addUp(bill);
    }

    function nodesOf(Bill memory bill) internal pure returns (ReceiptsTree.Node[] memory nodes) {
        nodes = new ReceiptsTree.Node[](bill.served.length);
        for (uint256 i = 0; i < nodes.length; ++i) nodes[i] = ReceiptsTree.leaf(bill.served[i].leaf);
    }

    /// @dev The row as it is posted; a signed one with a voucher for half a dollar more than it collects.
    function rowOf(Bill memory bill) internal view returns (bytes memory row) {
        row = abi.encodePacked(bill.userId, bill.cumEnd, bill.delta);
        if (!bill.isSigned) return row;
        uint16 epoch = settlement.channelOf(1, bill.userId).epoch;
        (bytes32 r, bytes32 vs) = voucherBy(voucherKey(bill.userId), 1, bill.userId, epoch, bill.cumEnd + bill.excess);
        return bytes.concat(row, abi.encodePacked(bill.excess, r, vs));
    }

    /// @dev Signs the vouchers of a user with a SIGNED channel.
    function voucherKey(uint32 userId) internal pure returns (uint256) {
        return 0x70c4e700 + userId;
    }

    function digestsOf(Served[] memory list) internal view returns (bytes32[] memory digests) {
        digests = new bytes32[](list.length);
        for (uint256 i = 0; i < list.length; ++i) digests[i] = digestOf(list[i].receipt);
    }
}
