// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FRAUD_FOREIGN_REQUEST, IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Posted} from "../support/Batching.sol";
import {Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Stories of true receipts that are billed to somebody who did not ask.
contract ForeignRequestTest is Story {
    /// @dev Bob asked, Ann pays. Bob has the nonce and the body of his request, and Wim has it from him.
    function test_requestOfAnotherUser_isPaidBack() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE] = serve(bob, UNITS);
        signAlone(list[FALSE]);
        isRepaid(postAnn(list));
    }

    /// @dev A request of Ann's former channel, which she has paid for.
    function test_requestOfAnotherEpoch_isPaidBack() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].request.channelEpoch = 0;
        list[FALSE].receipt.requestHash = hashOf(list[FALSE].request);
        signAlone(list[FALSE]);
        isRepaid(postAnn(list));
    }

    function test_requestThatIsNotTheReceipts_provesNothing() public {
        Served[] memory list = serveMany(ann, 3);
        Posted memory posted = postAnn(list);
        list[FALSE].request.userId = bob;
        bytes32 hash = hashOf(list[FALSE].request);
        bytes32 real = list[FALSE].receipt.requestHash;
        vm.expectRevert(abi.encodeWithSelector(IFraudProofs.BadReceiptOpening.selector, hash, real));
        proveForeignRequest(posted, 0, FALSE);
    }

    function isRepaid(Posted memory posted) private {
        refuses(IFraudProofs.NoFraud.selector);
        proveBadReceipt(posted, 0, FALSE);
        refuses(IFraudProofs.NoFraud.selector);
        proveForeignRequest(posted, 0, 0);
        Purses memory before = pursesOf(ann);
        proveForeignRequest(posted, 0, FALSE);
        paidByRelay(before, ann, CHARGE, 2.1e12, 8.4e12);
        isNoted(posted, 0, FALSE, FRAUD_FOREIGN_REQUEST);
        proveForeignRequest(posted, 0, FALSE);
    }
}
