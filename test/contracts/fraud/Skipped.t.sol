// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Posted} from "../support/Batching.sol";
import {Bill} from "../support/Billing.sol";
import {Crowd} from "../support/Crowd.sol";

/// @notice Nobody paid for a row that was skipped, so nobody can prove anything of it, true or false.
contract SkippedTest is Crowd {
    /// @dev Ann's and Cyd's rows are wrong from end to end, and skipped; Bob's is applied.
    function test_skippedRows_areRefusedByEveryProof() public {
        Posted memory posted = skipping();
        for (uint256 row = 0; row < 3; row += 2) {
            uint256[2] memory place = [row, 0];
            bytes memory wanted = abi.encodeWithSelector(
                IFraudProofs.RowWasSkipped.selector,
                posted.bills[row].userId
            );
            for (uint256 which = 0; which < 6; ++which) {
                refusedWith(callOf(which, posted, [place, place, place, place]), wanted);
            }
            refusedWith(abi.encodeCall(IFraudProofs.demand, (rowProof(posted, row), 0)), wanted);
        }
        refuses(IFraudProofs.NoFraud.selector);
        proveRowMismatch(posted, 1);
        isHonestAt(posted, 1, 0);
    }

    /// @dev To leave a name out of the list, or to bring another list, shows another batch.
    function test_listsThatAreNotTheBatches_areRefused() public {
        Posted memory posted = skipping();
        bytes memory real = posted.skipped;
        bytes[4] memory lists = [
            bytes(""),
            abi.encodePacked(ann),
            abi.encodePacked(cyd, ann),
            bytes.concat(real, real)
        ];
        for (uint256 i = 0; i < 4; ++i) {
            posted.skipped = lists[i];
            bytes32 hash = i == 0 ? bytes32(0) : keccak256(lists[i]);
            vm.expectRevert(
                abi.encodeWithSelector(IFraudProofs.BadSkippedList.selector, hash, keccak256(real))
            );
            proveRowMismatch(posted, 1);
        }
        posted = submit(honestDay());
        posted.skipped = abi.encodePacked(ann);
        vm.expectRevert(
            abi.encodeWithSelector(IFraudProofs.BadSkippedList.selector, keccak256(posted.skipped), bytes32(0))
        );
        proveRowMismatch(posted, 0);
    }

    function skipping() private returns (Posted memory posted) {
        Bill[] memory bills = honestDay();
        for (uint256 row = 0; row < 3; row += 2) {
            bills[row].cumEnd += 1;
            ++bills[row].leaf.epoch;
            bills[row].served[0].leaf.charge += 1;
            graft(bills[row]);
        }
        posted = submit(bills);
        eq(posted.skipped.length, 8, "two rows were skipped");
    }

    function refusedWith(bytes memory data, bytes memory wanted) private {
        vm.prank(watcher());
        (bool ok, bytes memory reason) = address(frauds).call(data);
        yes(!ok, "refused");
        eq(keccak256(reason), keccak256(wanted), "reason");
    }
}
