// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MeteredRow, ProviderRow, Rows} from "../../contracts/libraries/Rows.sol";
import {ChannelSlot, ChannelSlots} from "../../contracts/types/ChannelSlot.sol";
import {ClaimableOverflow, ProviderSlot} from "../../contracts/types/ProviderSlot.sol";
import {Check} from "./support/Check.sol";

/// @notice The packed decoder and the packed words against plain ones.
contract RowsTest is Check {
    function testFuzz_rows_decodeAsByteByByte(bytes calldata data, uint8 nA, uint8 nC) public view {
        uint256 expected = 22 * uint256(nA) + 14 * uint256(nC);
        try this.decode(data, nA, nC) returns (bytes32 got) {
            eq(data.length, expected, "only the right length is taken");
            eq(got, slowly(data, nA, nC), "rows");
        } catch (bytes memory reason) {
            yes(data.length != expected, "the right length is taken");
            bytes memory want = abi.encodeWithSelector(Rows.WrongRowsLength.selector, data.length, expected);
            eq(keccak256(reason), keccak256(want), "reason");
        }
    }

    function testFuzz_rows_decodeRandomRowsOfTheRightLength(bytes32 seed, uint8 nA, uint8 nC) public view {
        nA = nA % 140;
        nC = nC % 140;
        bytes memory data = noise(seed, 22 * uint256(nA) + 14 * uint256(nC));
        eq(this.decode(data, nA, nC), this.slowly(data, nA, nC), "rows");
        eq(this.hash(data, nA, nC), this.hashSlowly(data, nA, nC), "hash");
    }

    function testFuzz_checkOrder_isStrict(uint32 id, uint32 last) public {
        if (id <= last) vm.expectRevert(abi.encodeWithSelector(Rows.RowsNotAscending.selector, 7, id));
        this.checkOrder(7, id, last);
    }

    function testFuzz_channelSlot_keepsItsFields(
        uint96 available,
        uint80 spent,
        uint40 settleBy,
        uint16 epoch,
        uint8 mode,
        uint64 delta
    ) public pure {
        ChannelSlot slot = ChannelSlots.pack(available, spent, settleBy, epoch, mode);
        fields(slot, available, spent, settleBy, epoch, mode);
        fields(slot.withAvailable(7), 7, spent, settleBy, epoch, mode);
        fields(slot.withSettleBy(7), available, spent, 7, epoch, mode);
        if (delta > available || uint256(spent) + delta > type(uint80).max) return;
        fields(slot.debited(delta), available - delta, spent + delta, settleBy, epoch, mode);
    }

    function testFuzz_providerSlot_keepsItsFields(uint96 claimable, uint80 first, uint80 second) public {
        ProviderSlot slot = ProviderSlot.wrap(0).enlist().credited(first).withClaimable(claimable);
        yes(slot.enlisted(), "enlisted");
        eq(slot.paid(), first, "paid");
        eq(slot.claimable(), claimable, "claimable");
        if (uint256(first) + second > type(uint80).max) return;
        uint256 sum = uint256(claimable) + second;
        if (sum > type(uint96).max) {
            vm.expectRevert(abi.encodeWithSelector(ClaimableOverflow.selector, sum));
            this.credit(slot, second);
            return;
        }
        slot = slot.credited(second);
        eq(slot.paid(), uint256(first) + second, "paid after");
        eq(slot.claimable(), sum, "claimable after");
        yes(slot.enlist().enlisted() && !ProviderSlot.wrap(0).enlisted(), "once is enough");
    }

    // ---- As a contract would call them ----

    function credit(ProviderSlot slot, uint80 amount) external pure returns (ProviderSlot) {
        return slot.credited(amount);
    }

    function checkOrder(uint256 row, uint32 id, uint32 last) external pure {
        Rows.checkOrder(row, id, last);
    }

    function hash(bytes calldata data, uint256 nA, uint256 nC) external pure returns (bytes32) {
        return Rows.hash(data, nA, nC);
    }

    function decode(bytes calldata data, uint32 nA, uint32 nC) external pure returns (bytes32) {
        Rows.checkLength(data, nA, nC);
        bytes memory out;
        for (uint256 i = 0; i < nA; ++i) {
            MeteredRow row = Rows.metered(data, i);
            (uint32 id, uint80 cumEnd, uint64 delta) = (row.userId(), row.cumEnd(), row.delta());
            out = abi.encode(keccak256(out), id, cumEnd, delta);
        }
        for (uint256 i = 0; i < nC; ++i) {
            ProviderRow row = Rows.provider(data, nA, i);
            (uint32 id, uint80 cumEnd) = (row.providerId(), row.cumEnd());
            out = abi.encode(keccak256(out), id, cumEnd);
        }
        return keccak256(out);
    }

    /// @dev The same, a byte at a time.
    function slowly(bytes calldata data, uint256 nA, uint256 nC) public pure returns (bytes32) {
        bytes memory out;
        uint256 at = 0;
        for (uint256 i = 0; i < nA + nC; ++i) {
            uint256 id = number(data, at, 4);
            uint256 cumEnd = number(data, at + 4, 10);
            at += 14;
            if (i >= nA) {
                out = abi.encode(keccak256(out), id, cumEnd);
                continue;
            }
            out = abi.encode(keccak256(out), id, cumEnd, number(data, at, 8));
            at += 8;
        }
        return keccak256(out);
    }

    /// @dev Chunks of 64 rows of a section, byte by byte.
    function hashSlowly(bytes calldata data, uint256 nA, uint256 nC) external pure returns (bytes32) {
        bytes memory hashes;
        bytes memory chunk;
        uint256 at = 0;
        for (uint256 i = 0; i < nA + nC; ++i) {
            uint256 row = i < nA ? i : i - nA;
            if (row % 64 == 0 && chunk.length != 0) {
                hashes = bytes.concat(hashes, keccak256(chunk));
                chunk = "";
            }
            uint256 size = i < nA ? 22 : 14;
            for (uint256 b = 0; b < size; ++b) chunk = bytes.concat(chunk, data[at + b]);
            at += size;
        }
        if (chunk.length != 0) hashes = bytes.concat(hashes, keccak256(chunk));
        return keccak256(hashes);
    }

    function fields(
        ChannelSlot slot,
        uint256 available,
        uint256 spent,
        uint256 settleBy,
        uint256 epoch,
        uint256 mode
    ) private pure {
        eq(slot.available(), available, "available");
        eq(slot.spent(), spent, "spent");
        eq(slot.settleBy(), settleBy, "settleBy");
        eq(slot.epoch(), epoch, "epoch");
        eq(slot.mode(), mode, "mode");
    }

    function number(bytes calldata data, uint256 from, uint256 size) private pure returns (uint256 value) {
        for (uint256 i = 0; i < size; ++i) value = (value << 8) | uint8(data[from + i]);
    }

    function noise(bytes32 seed, uint256 length) private pure returns (bytes memory data) {
        data = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            if (i % 32 == 0) seed = keccak256(abi.encode(seed));
            data[i] = seed[i % 32];
        }
    }
}
