// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_EQUIVOCATION, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {BilledReceipt, Messages} from "../../../contracts/libraries/Messages.sol";
import {Posted} from "../support/Batching.sol";
import {Bill} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";
import {ROLE_RELAY} from "../../../contracts/types/Roles.sol";

/// @notice Stories of relays that tell a user one thing and post another: the user has the relay's signature.
contract EquivocationTest is Story {
    /// @dev Ann was told 0.55 USD for her second request; the batch says 1.05 at the same running total.
    function test_otherChargeThanTold_isPaidBack() public {
        Posted memory posted = submit(honestDay());
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.charge = 0.55e12;
        isRepaid(posted, told);
    }

    /// @dev She was told of another receipt than the one that was posted in its place.
    function test_otherReceiptThanTold_isPaidBack() public {
        Posted memory posted = submit(honestDay());
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.usageReceiptHash = billedOf(posted, 0, 0).usageReceiptHash;
        isRepaid(posted, told);
    }

    /// @dev A relay cannot disown what it said by changing its key: the old one counts until its thaw is over.
    function test_toldByAReplacedKey_isPaidBack() public {
        bytes memory proof = proofBy(relaySignerKey(11), relayOwner(1), ROLE_RELAY, NEVER);
        vm.prank(relayOwner(1));
        registry.rotateSigner(ROLE_RELAY, 1, vm.addr(relaySignerKey(11)), NEVER, proof);
        skip(79);
        Posted memory posted = close(honestDay());
        foresee(posted);
        postAs(relayOwner(1), 1, posted.batch.header, posted.rows);
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.charge = 1;
        isRepaid(posted, told);
        skip(1);
        told = billedOf(posted, 0, 0);
        told.charge = 1;
        address old = vm.addr(relaySignerKey(1));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NotByRelay.selector, 1, old));
        proveEquivocation(posted, 0, 0, told);
    }

    function test_toldBySomebodyElse_provesNothing() public {
        Posted memory posted = submit(honestDay());
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.charge = 1;
        address signer = vm.addr(providerSignerKey(1));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NotByRelay.selector, 1, signer));
        proveEquivocationBy(providerSignerKey(1), posted, 0, FALSE, told);
    }

    /// @dev What was signed for another contract's domain is no word of the relay's here.
    function test_toldUnderAnotherDomain_provesNothing() public {
        Posted memory posted = submit(honestDay());
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.charge = 1;
        bytes memory signature = sign(relaySignerKey(1), address(frauds), Messages.hash(told));
        address signer = signerOf(signature, address(settlement), Messages.hash(told));
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NotByRelay.selector, 1, signer));
        proveEquivocationWith(signature, posted, told);
    }

    /// @dev Nor is the second form of its signature, though the first one is.
    function test_toldWithAMirroredSignature_provesNothing() public {
        Posted memory posted = submit(honestDay());
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.charge = 1;
        bytes memory signature = sign(relaySignerKey(1), address(settlement), Messages.hash(told));
        bytes memory mirrored = mirror(signature);
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.NotByRelay.selector, 1, address(0)));
        proveEquivocationWith(mirrored, posted, told);
        isRepaid(posted, told);
    }

    /// @dev What was told of another place says nothing of this one.
    function test_toldOfAnotherPlace_provesNothing() public {
        Posted memory posted = submit(honestDay());
        BilledReceipt memory told = billedOf(posted, 0, FALSE);
        told.userCumulative += 1;
        saysNothing(posted, told);
        told = billedOf(posted, 0, FALSE);
        told.userId = bob;
        saysNothing(posted, told);
        told = billedOf(posted, 0, FALSE);
        told.channelEpoch = 2;
        saysNothing(posted, told);
        told = billedOf(posted, 0, FALSE);
        told.relayId = 2;
        saysNothing(posted, told);
    }

    /// @dev A free receipt shares its running total with the one before: both were told, both are true.
    function test_freeReceipts_shareATotalWithoutHarm() public {
        Bill memory bill = honestBill(ann, 3);
        bill.served[FALSE].leaf.charge = 0;
        runOn(bill);
        Posted memory posted = submit(alone(bill));
        BilledReceipt memory before = billedOf(posted, 0, 0);
        BilledReceipt memory free_ = billedOf(posted, 0, FALSE);
        eq(before.userCumulative, free_.userCumulative, "one total");
        refuses(IFraudProofs.NoFraud.selector);
        proveEquivocation(posted, 0, 0, free_);
        refuses(IFraudProofs.NoFraud.selector);
        proveEquivocation(posted, 0, FALSE, before);
    }

    function proveEquivocationWith(bytes memory signature, Posted memory posted, BilledReceipt memory told) private {
        IFraudProofs.RowProof memory row = rowProof(posted, 0);
        IFraudProofs.UserProof memory user_ = userProof(posted, 0);
        IFraudProofs.LeafProof memory leaf = leafProof(posted, 0, FALSE);
        vm.prank(watcher());
        frauds.proveEquivocation(row, user_, leaf, told, signature);
    }

    function saysNothing(Posted memory posted, BilledReceipt memory told) private {
        refuses(IFraudProofs.OtherPlace.selector);
        proveEquivocation(posted, 0, FALSE, told);
    }

    function isRepaid(Posted memory posted, BilledReceipt memory told) private {
        refuses(IFraudProofs.NoFraud.selector);
        proveEquivocation(posted, 0, FALSE, billedOf(posted, 0, FALSE));
        Purses memory before = pursesOf(ann);
        proveEquivocation(posted, 0, FALSE, told);
        paidByRelay(before, ann, CHARGE, 2.1e12, 8.4e12);
        isNoted(posted, 0, FALSE, FRAUD_EQUIVOCATION);
        proveEquivocation(posted, 0, FALSE, told);
    }
}
