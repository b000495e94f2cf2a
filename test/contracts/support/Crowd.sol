// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BilledReceipt, Messages, UsageReceipt} from "../../../contracts/libraries/Messages.sol";
import {IFraudProofs} from "../../../contracts/interfaces/IFraudProofs.sol";
import {Posted} from "./Batching.sol";
import {Bill, Served} from "./Billing.sol";
import {Story} from "./Story.sol";

/// @notice Honest batches of any shape, drawn from a seed, and every proof as a call that can be tampered with.
abstract contract Crowd is Story {
    uint256 internal constant PROOFS = 7;
    uint256 private constant _METERED = 4;
    uint256 private constant _SIGNED = 3;
    uint32[] private _metered;
    uint32[] private _signed;
    uint256 private _seed;

    function setUp() public virtual override {
        super.setUp();
        (_metered, _signed) = (new uint32[](_METERED), new uint32[](_SIGNED));
        (_metered[0], _metered[1], _signed[0]) = (ann, bob, cyd);
        for (uint256 n = 2; n < _METERED; ++n) _metered[n] = settleIn(10 + n, false);
        for (uint256 n = 1; n < _SIGNED; ++n) _signed[n] = settleIn(20 + n, true);
    }

    function seed(uint256 value) internal {
        _seed = value;
    }

    /// @dev A number below `count`, another one every time.
    function draw(uint256 count) internal returns (uint256) {
        _seed = uint256(keccak256(abi.encode(_seed)));
        return _seed % count;
    }

    /// @dev 1 to 7 users, metered and signed, with 1 to 4 receipts each, in groups that go across users.
    function drawBills() internal returns (Bill[] memory bills) {
        (uint256 a, uint256 b) = (draw(_METERED + 1), draw(_SIGNED + 1));
        if (a + b == 0) a = 1;
        bills = new Bill[](a + b);
        Served[][] memory lists = new Served[][](a + b);
        for (uint256 i = 0; i < lists.length; ++i) lists[i] = drawServed(i < a ? _metered[i] : _signed[i - a]);
        signTogether(lists);
        for (uint256 i = 0; i < lists.length; ++i) bills[i] = billOf(lists[i][0].request.userId, lists[i]);
    }

    function drawServed(uint32 userId) private returns (Served[] memory list) {
        list = new Served[](1 + draw(4));
        for (uint256 i = 0; i < list.length; ++i) list[i] = serve(userId, uint32(1 + draw(UNITS)));
    }

    function signTogether(Served[][] memory lists) private view {
        uint256 count = 0;
        for (uint256 i = 0; i < lists.length; ++i) count += lists[i].length;
        Served[] memory all = new Served[](count);
        for (uint256 i = 0; i < lists.length; ++i) {
            for (uint256 j = 0; j < lists[i].length; ++j) {
                --count;
                all[count] = lists[i][j];
            }
        }
        signGroup(all);
    }

    /// @dev A place in a batch: a row, and a receipt of it.
    function drawPlace(Posted memory posted) internal returns (uint256[2] memory place) {
        place[0] = draw(posted.bills.length);
        place[1] = draw(posted.bills[place[0]].served.length);
    }

    function servedAt(Posted memory posted, uint256[2] memory place) internal pure returns (Served memory) {
        return posted.bills[place[0]].served[place[1]];
    }

    /// @dev One of the proofs, put together from openings of these places: all the same is what an honest watcher
    /// would send.
    function callOf(
        uint256 which,
        Posted memory posted,
        uint256[2][4] memory places
    ) internal view returns (bytes memory) {
        IFraudProofs.RowProof memory row = rowProof(posted, places[0][0]);
        IFraudProofs.UserProof memory user_ = userProof(posted, places[1][0]);
        IFraudProofs.LeafProof memory leaf = leafProof(posted, places[2][0], places[2][1]);
        Served memory served = servedAt(posted, places[3]);
        if (which == 0) {
            UsageReceipt memory receipt = served.receipt;
            return abi.encodeCall(IFraudProofs.proveBadReceipt, (row, user_, leaf, receipt, served.evidence));
        }
        if (which == 1) {
            UsageReceipt memory receipt = served.receipt;
            return abi.encodeCall(IFraudProofs.proveForeignRequest, (row, user_, leaf, receipt, served.request));
        }
        if (which == 2) return abi.encodeCall(IFraudProofs.proveRowMismatch, (row, user_));
        if (which == 3) return abi.encodeCall(IFraudProofs.proveRunningTotal, (row, user_, leaf));
        if (which == 4) {
            BilledReceipt memory told = billedOf(posted, places[3][0], places[3][1]);
            return abi.encodeCall(IFraudProofs.proveEquivocation, (row, user_, leaf, told, signed(told)));
        }
        if (which == 5) return duplicateCall(posted, row, user_, leaf, places[3]);
        return abi.encodeCall(IFraudProofs.proveProviderFraud, (served.receipt, served.evidence));
    }

    /// @dev The relay told this of the receipt at a place.
    function toldCall(
        Posted memory posted,
        uint256[2] memory place,
        BilledReceipt memory told
    ) internal view returns (bytes memory) {
        IFraudProofs.RowProof memory row = rowProof(posted, place[0]);
        IFraudProofs.UserProof memory user_ = userProof(posted, place[0]);
        IFraudProofs.LeafProof memory leaf = leafProof(posted, place[0], place[1]);
        return abi.encodeCall(IFraudProofs.proveEquivocation, (row, user_, leaf, told, signed(told)));
    }

    function signed(BilledReceipt memory told) private view returns (bytes memory) {
        return sign(relaySignerKey(1), address(settlement), Messages.hash(told));
    }

    function duplicateCall(
        Posted memory posted,
        IFraudProofs.RowProof memory row,
        IFraudProofs.UserProof memory user_,
        IFraudProofs.LeafProof memory leaf,
        uint256[2] memory other
    ) private pure returns (bytes memory) {
        return
            abi.encodeCall(
                IFraudProofs.proveDuplicate,
                (
                    rowProof(posted, other[0]),
                    userProof(posted, other[0]),
                    leafProof(posted, other[0], other[1]),
                    row,
                    user_,
                    leaf
                )
            );
    }

    /// @dev Changes one word of a call in one of seven ways.
    function tamper(bytes memory data) internal returns (bytes memory changed) {
        changed = bytes.concat(data);
        uint256 offset = 4 + 32 * draw((data.length - 4) / 32);
        uint256 value = wordAt(data, offset);
        uint256 way = draw(7);
        if (way == 0) value ^= 1 << draw(256);
        if (way == 1) value ^= 1 << draw(32);
        unchecked {
            if (way == 2) ++value;
            if (way == 3) --value;
        }
        if (way == 4) value = 0;
        if (way == 5) value = wordAt(data, 4 + 32 * draw((data.length - 4) / 32));
        if (way == 6) value = draw(type(uint256).max);
        assembly ("memory-safe") {
            mstore(add(add(changed, 32), offset), value)
        }
    }

    function wordAt(bytes memory data, uint256 offset) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(data, 32), offset))
        }
    }

    function succeeds(bytes memory data) internal returns (bool ok) {
        vm.prank(watcher());
        (ok, ) = address(frauds).call(data);
    }
}
