// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ROLE_PROVIDER} from "../../../contracts/types/Roles.sol";
import {Windows} from "../../../contracts/types/Windows.sol";
import {Posted} from "../support/Batching.sol";
import {Served} from "../support/Billing.sol";
import {Story} from "../support/Story.sol";

/// @notice Rules that only show where a receipt may be older than they are long, as on a main network: the hour to sign
/// in, the ten minutes after a provider left, the minute before a fee rose.
contract LongWindowsTest is Story {
    function localWindows() internal pure override returns (Windows memory windows) {
        windows = super.localWindows();
        (windows.epoch, windows.response, windows.post) = (100, 100, 4_000);
        (windows.channelThaw, windows.relayBucket, windows.signerThaw) = (4_100, 4_100, 4_300);
        (windows.unbondProvider, windows.unbondRelay) = (4_301, 4_301);
        (windows.feeNotice, windows.moduleDelay) = (4_300, 4_101);
    }

    function test_groupClosedAnHourAfterItsReceipt_isGood() public {
        Served[] memory list = serveMany(ann, 1);
        skip(3_600);
        signGroup(list);
        isHonest(postAnn(list));
    }

    function test_groupClosedMoreThanAnHourAfterItsReceipt_isPunished() public {
        Served[] memory late = single(serve(ann, UNITS));
        skip(1);
        Served[] memory list = serveMany(ann, 3);
        list[FALSE] = late[0];
        skip(3_600);
        signGroup(list);
        isPunished(postAnn(list));
    }

    /// @dev A provider that left keeps its stake and its key for a while, and has ten minutes to finish.
    function test_providerThatLeft_isGoodForTenMinutes() public {
        leave();
        skip(600);
        isHonest(submit(alone(honestBill(ann, 1))));
    }

    function test_providerThatLeft_isPunishedAfterTenMinutes() public {
        leave();
        skip(601);
        Served[] memory list = serveMany(ann, 3);
        for (uint256 i = 0; i < 3; i += 2) {
            list[i].receipt.issuedAt -= 1;
            signAlone(list[i]);
        }
        isPunished(postAnn(list));
    }

    /// @dev What was served before a rise is charged by the fee of then, but for a minute of doubt.
    function test_raisedFee_reachesBackAMinute() public {
        skip(4_000);
        Served[] memory list = serveMany(ann, 3);
        skip(1);
        for (uint256 i = 0; i < 3; i += 2) {
            list[i].receipt.issuedAt += 1;
            signAlone(list[i]);
        }
        skip(60);
        vm.prank(relayOwner(1));
        registry.setRelayFee(1, 1_000);
        // the bill charges 10 % on all three
        isPunishedFor(postAnn(list), 0.05e12, 2e12, 8e12);
    }

    /// @dev What was served long ago, when the old fee was twice the new one, is charged by the old one.
    function test_loweredFee_leavesWhatWasServedBefore() public {
        skip(4_000);
        Served[] memory list = serveMany(ann, 1);
        skip(3_900);
        Posted memory posted = close(alone(billOf(ann, list)));
        vm.prank(relayOwner(1));
        registry.setRelayFee(1, 200);
        submit(posted);
        isHonest(posted);
    }

    function leave() private {
        vm.prank(providerOwner(1));
        registry.deactivate(ROLE_PROVIDER, 1);
    }
}
