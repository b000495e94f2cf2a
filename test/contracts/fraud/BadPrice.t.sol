// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bill, Served} from "../support/Billing.sol";
import {Posted} from "../support/Batching.sol";
import {Story} from "../support/Story.sol";
import {ROLE_PROVIDER} from "../../../contracts/types/Roles.sol";

/// @notice Stories of receipts that provider and relay both stand for, and that cost more than they may: overprice,
/// price versions that were not in force, providers without stake, fees above the relay's.
contract BadPriceTest is Story {
    /// @dev Provider and relay agree to take twice the price. Ann gets back what was too much, not the whole.
    function test_overprice_paysAnnTheDifference() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.cost = 2 * COST;
        signAlone(list[FALSE]);
        Posted memory posted = postAnn(list);
        eq(settlement.channelOf(1, ann).spent, 4.2e12, "Ann has paid for four");
        isPunished(posted);
    }

    /// @dev 1 pUSD too much is a fraud: it costs 1 % of the bond.
    function test_overpriceByOnePicoDollar_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.cost = COST + 1;
        signAlone(list[FALSE]);
        isPunishedFor(postAnn(list), 1, 2e12, 8e12);
    }

    /// @dev The receipt says too much, but Ann was charged what is right: a fine, and nothing to give back.
    function test_overpriceThatWasNotCharged_isFined() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.cost = COST + 1;
        signAlone(list[FALSE]);
        Bill memory bill = billOf(ann, list);
        list[FALSE].leaf.charge = CHARGE;
        runOn(bill);
        graft(bill);
        isPunishedFor(submit(alone(bill)), 0, 2e12, 8e12);
    }

    function test_discount_isGood() public {
        Served[] memory list = serveMany(ann, 1);
        list[0].receipt.cost = COST / 2;
        signAlone(list[0]);
        isHonest(postAnn(list));
    }

    /// @dev Units of 2^32 times prices of 2^63 are more than a receipt can say: nothing is above that.
    function test_costBeyondAllNumbers_isGood() public {
        vm.prank(providerOwner(1));
        registry.setPrice(1, MODEL, type(uint64).max, type(uint64).max, type(uint64).max, TEXT);
        skip(10);
        Served[] memory list = new Served[](1);
        list[0] = serve(ann, UNITS);
        (list[0].receipt.priceVersion, list[0].receipt.units2) = (2, type(uint32).max);
        signAlone(list[0]);
        isHonest(postAnn(list));
    }

    // ---- The relay's fee ----

    function test_chargeAboveTheFee_paysAnnTheDifference() public {
        Posted memory posted = postCharge(CHARGE + 0.5e12);
        isPunishedFor(posted, 0.5e12, 2e12, 8e12);
    }

    function test_chargeAboveTheFeeByOnePicoDollar_isPunished() public {
        isPunishedFor(postCharge(CHARGE + 1), 1, 2e12, 8e12);
    }

    function test_chargeBelowTheFee_isGood() public {
        isHonest(postCharge(CHARGE - 1));
        isHonest(postCharge(0));
    }

    /// @dev For ten minutes after it lowered its fee, the relay may charge the old one.
    function test_loweredFee_hasTenMinutesOfGrace() public {
        lowerFee();
        skip(599);
        isHonest(postCharge(CHARGE));
        skip(1);
        isPunishedFor(postCharge(CHARGE), 0.03e12, 2e12, 8e12);
    }

    // ---- Price versions ----

    /// @dev The rise has been announced and starts in a second.
    function test_versionThatIsNotInForceYet_isPunished() public {
        raisePrice();
        skip(9);
        isPunished(postVersion(2));
    }

    function test_versionInItsFirstSecond_isGood() public {
        raisePrice();
        skip(10);
        isHonest(postVersion(2));
    }

    function test_replacedVersion_isGoodForTenMinutes() public {
        raisePrice();
        skip(10 + 599);
        isHonest(postVersion(1));
    }

    function test_replacedVersion_isPunishedAfterTenMinutes() public {
        raisePrice();
        skip(10 + 600);
        isPunished(postVersion(1));
    }

    function test_versionThatNeverWas_isPunished() public {
        isPunished(postVersion(0));
        isPunished(postVersion(2));
        isPunished(postVersion(type(uint32).max));
    }

    function test_modelThatIsNotPriced_isPunished() public {
        Served[] memory list = serveMany(ann, 3);
        list[FALSE].receipt.modelId = 9;
        signAlone(list[FALSE]);
        isPunished(postAnn(list));
    }

    // ---- Stakes ----

    /// @dev A provider that took its stake back is good for ten more minutes: relays act on blocks that are final.
    function test_unstakedProvider_isGoodForTenMinutes() public {
        unstake();
        skip(599);
        isHonest(submit(alone(honestBill(ann, 1))));
    }

    function test_unstakedProvider_isPunishedAfterTenMinutes() public {
        unstake();
        skip(600);
        // the first and the last were issued when it still counted
        Served[] memory list = serveMany(ann, 3);
        for (uint256 i = 0; i < 3; i += 2) {
            list[i].receipt.issuedAt = clock.clock() - 1;
            signAlone(list[i]);
        }
        isPunished(postAnn(list));
    }

    /// @dev The provider came back a minute after it served: clocks differ that much.
    function test_providerStakedAMinuteLater_isGood() public {
        unstake();
        skip(700);
        Served[] memory list = serveMany(ann, 1);
        skip(60);
        restake();
        isHonest(postAnn(list));
    }

    function test_providerStakedMoreThanAMinuteLater_isPunished() public {
        unstake();
        skip(700);
        Served[] memory list = serveMany(ann, 3);
        for (uint256 i = 0; i < 3; i += 2) {
            list[i].receipt.issuedAt = clock.clock() + 1;
            signAt(list[i], clock.clock() + 1);
        }
        skip(60);
        Posted memory posted = postAnn(list);
        skip(1);
        restake();
        isPunished(posted);
    }

    // ---- What the stories do ----

    /// @dev Ann's three receipts, the second charged like this.
    function postCharge(uint64 charge) private returns (Posted memory) {
        Served[] memory list = serveMany(ann, 3);
        Bill memory bill = billOf(ann, list);
        list[FALSE].leaf.charge = charge;
        runOn(bill);
        return submit(alone(bill));
    }

    /// @dev Ann's three receipts of the price in force, but for the second, which says another version.
    function postVersion(uint32 version) private returns (Posted memory) {
        (uint32 inForce, ) = registry.currentPriceOf(1, MODEL);
        Served[] memory list = serveMany(ann, 3);
        for (uint256 i = 0; i < 3; ++i) list[i].receipt.priceVersion = i == FALSE ? version : inForce;
        signGroup(list);
        return postAnn(list);
    }

    function raisePrice() private {
        vm.prank(providerOwner(1));
        registry.setPrice(1, MODEL, P0 + 1, P1, P2, TEXT);
    }

    /// @dev From 5 % to 2 %.
    function lowerFee() private {
        vm.prank(relayOwner(1));
        registry.setRelayFee(1, 200);
    }

    function unstake() private {
        vm.prank(providerOwner(1));
        stakes.requestUnbond(ROLE_PROVIDER, 1, STAKE);
    }

    function restake() private {
        vm.prank(providerOwner(1));
        stakes.cancelUnbond(ROLE_PROVIDER, 1, 0);
    }
}
