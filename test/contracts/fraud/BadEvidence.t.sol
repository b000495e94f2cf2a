// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Messages, ReceiptGroup} from "../../../contracts/libraries/Messages.sol";
import {Bill, Served} from "../support/Billing.sol";
import {Posted} from "../support/Batching.sol";
import {Story} from "../support/Story.sol";
import {ROLE_PROVIDER} from "../../../contracts/types/Roles.sol";

/// @notice Stories of receipts that a relay billed and no provider stands for: false signatures, other signers, other
/// relays, impossible times. Every story bills Ann three receipts of 1.05 USD, of which the second is false.
contract BadEvidenceTest is Story {
    function test_honestReceipts_costNobodyAnything() public {
        Posted memory posted = submit(honestDay());
        Purses memory before = pursesOf(ann);
        isHonest(posted);
        paidByRelay(before, ann, 0, 0, 0);
    }

    /// @dev The relay wants more than Ann used, so it writes a receipt and signs it itself.
    function test_falseSignature_paysAnnBackAndWimHisBounty() public {
        Served[] memory list = serveMany(ann, 3);
        Served[] memory forged = single(list[FALSE]);
        signGroupAs(relaySignerKey(1), groupFor(forged), forged);
        Posted memory posted = postAnn(list);
        eq(settlement.channelOf(1, ann).spent, 3.15e12, "Ann has paid for three");
        isPunished(posted);
        eq(stakes.bondOf(1, 1).active, 988.45e12, "the relay has paid for it");
    }

    function test_flippedBitInASignature_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence[list[FALSE].evidence.length - 40] ^= 0x01;
        isPunished(postAnn(list));
    }

    /// @dev A second form of the provider's own signature: the first is the only one there is.
    function test_mirroredSignature_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence = mirror(list[FALSE].evidence);
        isPunished(postAnn(list));
    }

    /// @dev The provider signed this very group, for another contract's domain.
    function test_signatureOfAnotherDomain_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        Served[] memory foreign = single(list[FALSE]);
        ReceiptGroup memory group = groupFor(foreign);
        attach(sign(providerSignerKey(1), address(frauds), Messages.hash(group)), group, foreign);
        isPunished(postAnn(list));
    }

    /// @dev Provider 2 is as good as any, but it did not serve this request.
    function test_signerOfAnotherProvider_isPunished() public {
        addProvider(2);
        addBond(providerOwner(2), ROLE_PROVIDER, 2, STAKE);
        Served[] memory list = serveMany(ann, 3);
        Served[] memory other = single(list[FALSE]);
        signGroupAs(providerSignerKey(2), groupFor(other), other);
        isPunished(postAnn(list));
    }

    /// @dev The same, but the group says truly who signed it.
    function test_groupOfAnotherProvider_isPunished() public {
        addProvider(2);
        addBond(providerOwner(2), ROLE_PROVIDER, 2, STAKE);
        Served[] memory list = serveMany(ann, 3);
        Served[] memory other = single(list[FALSE]);
        ReceiptGroup memory group = groupFor(other);
        group.providerId = 2;
        signGroupAs(providerSignerKey(2), group, other);
        isPunished(postAnn(list));
    }

    function test_providerThatWasNeverRegistered_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.providerId = 7;
        Served[] memory unknown = single(list[FALSE]);
        ReceiptGroup memory group = groupFor(unknown);
        group.providerId = 7;
        signGroupAs(providerSignerKey(7), group, unknown);
        isPunished(postAnn(list));
    }

    /// @dev A true receipt that provider 1 gave to relay 2 for one of its users.
    function test_anotherRelaysReceipt_isPunished() public {
        addRelay(2, BOND);
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.relayId = 2;
        Served[] memory other = single(list[FALSE]);
        ReceiptGroup memory group = groupFor(other);
        group.relayId = 2;
        signGroupAs(providerSignerKey(1), group, other);
        isPunished(postAnn(list));
    }

    /// @dev The receipt names this relay, but the group was signed for the other.
    function test_groupForAnotherRelay_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        Served[] memory other = single(list[FALSE]);
        ReceiptGroup memory group = groupFor(other);
        group.relayId = 2;
        signGroupAs(providerSignerKey(1), group, other);
        isPunished(postAnn(list));
    }

    function test_evidenceThatDoesNotParse_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence = "";
        isPunished(postAnn(list));
    }

    function test_evidenceThatIsTooLong_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence = bytes.concat(list[FALSE].evidence, hex"00");
        isPunished(postAnn(list));
    }

    function test_groupOfNothing_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        Served[] memory none_ = single(list[FALSE]);
        ReceiptGroup memory group = groupFor(none_);
        group.count = 0;
        signGroupAs(providerSignerKey(1), group, none_);
        isPunished(postAnn(list));
    }

    /// @dev The provider signed a receipt for 1 USD; the relay bills one for 1 USD that is not in the group.
    function test_receiptThatIsNotInItsGroup_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.responseHash = keccak256("another answer");
        isPunished(postAnn(list));
    }

    /// @dev The evidence of a neighbour in the same group proves the neighbour.
    function test_evidenceOfAnotherReceipt_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].evidence = list[2].evidence;
        isPunished(postAnn(list));
    }

    // ---- Times ----

    function test_receiptIssuedExactlyThePostWindowAgo_isGood() public {
        Served[] memory list = serveMany(ann, 1);
        skip(60);
        isHonest(postAnn(list));
    }

    /// @dev Too old to be billed: its loss is the relay's.
    function test_receiptOlderThanThePostWindow_isPunished() public {
        Served[] memory list = new Served[](3);
        list[FALSE] = serve(ann, UNITS);
        signAlone(list[FALSE]);
        skip(61);
        (list[0], list[2]) = (serve(ann, UNITS), serve(ann, UNITS));
        signAlone(list[0]);
        signAlone(list[2]);
        isPunished(postAnn(list));
    }

    function test_groupClosedAMinuteAfterThePost_isGood() public {
        Served[] memory list = serveMany(ann, 1);
        signAt(list[0], clock.clock() + 60);
        isHonest(postAnn(list));
    }

    function test_groupClosedMoreThanAMinuteAfterThePost_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        signAt(list[FALSE], clock.clock() + 61);
        isPunished(postAnn(list));
    }

    function test_groupClosedBeforeItsReceiptWasIssued_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        signAt(list[FALSE], clock.clock() - 1);
        isPunished(postAnn(list));
    }

    // ---- Replaced signers ----

    /// @dev A replaced key counts until its thaw is over.
    function test_replacedSigner_isGoodUntilItsThawEnds() public {
        uint40 until = rotate();
        vm.warp(until - 1);
        isHonest(submit(alone(honestBill(ann, 1))));
    }

    function test_replacedSigner_isPunishedWhenItsThawIsOver() public {
        uint40 until = rotate();
        vm.warp(until);
        Served[] memory list = new Served[](3);
        for (uint256 i = 0; i < 3; ++i) list[i] = serve(ann, UNITS);
        signGroupAs(providerSignerKey(11), groupFor(list), list);
        signAlone(list[FALSE]);
        isPunished(postAnn(list));
    }

    /// @dev The first key signs in the last second of its thaw, and the provider changes keys again before the batch is
    /// final. What the relay checked when it took the receipt must stay true.
    function test_signerReplacedTwice_leavesTheRelayUnharmed() public {
        uint40 until = rotate();
        vm.warp(until - 1);
        Bill memory bill = honestBill(ann, 1);
        Posted memory posted = submit(alone(bill));
        vm.warp(until);
        bytes memory proof = proofBy(providerSignerKey(12), providerOwner(1), ROLE_PROVIDER, NEVER);
        vm.prank(providerOwner(1));
        try registry.rotateSigner(ROLE_PROVIDER, 1, vm.addr(providerSignerKey(12)), NEVER, proof) {} catch {}
        isHonest(posted);
    }

    /// @dev Provider 1 takes another key; the present one stays good until the returned time.
    function rotate() private returns (uint40 until) {
        bytes memory proof = proofBy(providerSignerKey(11), providerOwner(1), ROLE_PROVIDER, NEVER);
        vm.prank(providerOwner(1));
        registry.rotateSigner(ROLE_PROVIDER, 1, vm.addr(providerSignerKey(11)), NEVER, proof);
        return clock.clock() + 80;
    }
}
