// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {UsageReceipt} from "../../../contracts/libraries/Messages.sol";
import {Posted} from "../support/Batching.sol";
import {Bill} from "../support/Billing.sol";
import {Crowd} from "../support/Crowd.sol";

/// @notice An honest relay and an honest provider lose nothing, whatever anybody makes of what they posted and signed.
contract MutatedProofsTest is Crowd {
    function testFuzz_honestBatch_cannotBeSlashed(uint256 value) public {
        seed(value);
        Posted memory posted = drawBatch();
        Purses memory before = pursesOf(ann);
        uint256[2] memory place = drawPlace(posted);
        for (uint256 which = 0; which < PROOFS; ++which) {
            bytes memory data = callOf(which, posted, [place, place, place, place]);
            yes(failsWith(data, reasonOf(which, posted, place)), "no fraud");
        }
        paidByRelay(before, ann, 0, 0, 0);
    }

    /// @dev Rows, user leaves, receipts, evidence and signatures that are all true, but not of one place.
    function testFuzz_openingsOfDifferentPlaces_proveNothing(uint256 value) public {
        seed(value);
        Posted memory posted = drawBatch();
        Purses memory before = pursesOf(ann);
        for (uint256 n = 0; n < 3; ++n) {
            uint256[2][4] memory places;
            for (uint256 i = 0; i < 4; ++i) places[i] = i == 0 || draw(3) == 0 ? drawPlace(posted) : places[i - 1];
            for (uint256 which = 0; which < PROOFS; ++which) yes(!succeeds(callOf(which, posted, places)), "mixed");
        }
        paidByRelay(before, ann, 0, 0, 0);
    }

    /// @dev Any field of any proof: an index, a row, a node, a sum, a length, a byte of evidence, a header's field.
    function testFuzz_proofsWithAChangedField_proveNothing(uint256 value) public {
        seed(value);
        Posted memory posted = drawBatch();
        Purses memory before = pursesOf(ann);
        uint256[2] memory place = drawPlace(posted);
        for (uint256 which = 0; which < PROOFS; ++which) {
            bytes memory data = callOf(which, posted, [place, place, place, drawPlace(posted)]);
            bytes memory own = callOf(which, posted, [place, place, place, place]);
            for (uint256 n = 0; n < 4; ++n) yes(!succeeds(tamper(n == 0 ? data : own)), "changed");
        }
        paidByRelay(before, ann, 0, 0, 0);
    }

    /// @dev An answer is taken as it is, or not at all.
    function testFuzz_answersWithAChangedField_areRefused(uint256 value) public {
        seed(value);
        Posted memory posted = drawBatch();
        uint256[2] memory place = drawPlace(posted);
        if (isSkipped(posted, place[0])) return;
        IFraudProofs.Demand memory made = demanded(posted, place[0], uint32(place[1]));
        bytes memory data = answerCall(posted, place, made);
        for (uint256 n = 0; n < 6; ++n) {
            bytes memory changed = tamper(data);
            if (!succeeds(changed)) continue;
            // what was changed was behind the end of some bytes: nobody reads it
            eq(this.meaningOf(changed), this.meaningOf(data), "another answer");
            return;
        }
        yes(succeeds(data), "the true answer");
    }

    function drawBatch() private returns (Posted memory posted) {
        if (draw(2) == 0) submit(drawBills());
        Bill[] memory bills = drawBills();
        if (draw(2) == 0) {
            // a row that will be skipped
            Bill memory bill = bills[draw(bills.length)];
            (bill.cumEnd, bill.leaf.cumStart) = (bill.cumEnd + 1, bill.leaf.cumStart + 1);
            runOn(bill);
        }
        posted = close(bills);
        // a provider row that owes nothing new is a row all the same
        if (draw(2) == 0) credit(posted, 0);
        submit(posted);
    }

    /// @dev Why the truth about a place proves nothing.
    function reasonOf(
        uint256 which,
        Posted memory posted,
        uint256[2] memory place
    ) private pure returns (bytes4) {
        if (which == 6) return IFraudProofs.NoFraud.selector;
        if (isSkipped(posted, place[0])) return IFraudProofs.RowWasSkipped.selector;
        // a leaf is no duplicate of itself
        return which == 5 ? IFraudProofs.NotLater.selector : IFraudProofs.NoFraud.selector;
    }

    function isSkipped(Posted memory posted, uint256 row) private pure returns (bool) {
        return posted.skipped.length != 0 && uint32(bytes4(posted.skipped)) == posted.bills[row].userId;
    }

    function failsWith(bytes memory data, bytes4 selector) private returns (bool) {
        vm.prank(watcher());
        (bool ok, bytes memory reason) = address(frauds).call(data);
        return !ok && bytes4(reason) == selector;
    }

    /// @dev What the contract reads of an answer.
    function meaningOf(bytes calldata data) external pure returns (bytes32) {
        (
            IFraudProofs.Demand memory made,
            IFraudProofs.UserProof memory user_,
            IFraudProofs.LeafProof memory leaf,
            UsageReceipt memory receipt,
            bytes memory evidence,
            IFraudProofs.RequestPreimage memory request
        ) = abi.decode(
                data[4:],
                (
                    IFraudProofs.Demand,
                    IFraudProofs.UserProof,
                    IFraudProofs.LeafProof,
                    UsageReceipt,
                    bytes,
                    IFraudProofs.RequestPreimage
                )
            );
        bytes memory second = abi.encode(receipt, evidence, request);
        return keccak256(bytes.concat(abi.encode(made, user_, leaf), second));
    }
}
