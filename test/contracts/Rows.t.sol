// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DebitRow, ProviderRow, Rows} from "../../contracts/libraries/Rows.sol";
import {ChannelSlot, ChannelSlots} from "../../contracts/types/ChannelSlot.sol";
import {ClaimableOverflow, ProviderSlot} from "../../contracts/types/ProviderSlot.sol";
import {Check} from "./support/Check.sol";

/// @notice The packed decoder and the packed words against plain ones.
contract RowsTest is Check {
    function testFuzz_rows_decodeAsByteByByte(bytes calldata data, uint8[3] calldata counts) public view {
        uint256 expected = 22 * uint256(counts[0]) + 94 * uint256(counts[1]) + 14 * uint256(counts[2]);
        try this.decode(data, counts) returns (bytes32 got) {
            eq(data.length, expected, "only the right length is taken");
            eq(got, slowly(data, counts), "rows");
        } catch (bytes memory reason) {
            yes(data.length != expected, "the right length is taken");
            bytes memory want = abi.encodeWithSelector(Rows.WrongRowsLength.selector, data.length, expected);
            eq(keccak256(reason), keccak256(want), "reason");
        }
    }

    function testFuzz_rows_decodeRandomRowsOfTheRightLength(bytes32 seed, uint8[3] memory counts) public view {
        for (uint256 n = 0; n < 3; ++n) counts[n] = counts[n] % 140;
        bytes memory data = noise(seed, 22 * uint256(counts[0]) + 94 * uint256(counts[1]) + 14 * uint256(counts[2]));
        eq(this.decode(data, counts), this.slowly(data, counts), "rows");
        (bytes32[] memory hashes, ) = this.chunksOf(data, counts);
        eq(this.hash(data, counts), keccak256(abi.encodePacked(hashes)), "hash");
    }

    /// @dev Every user row opens with its own chunk, and with no other.
    function testFuzz_openUserRow_showsTheRowOrNothing(bytes32 seed, uint8[3] memory counts, uint16 index) public view {
        for (uint256 n = 0; n < 3; ++n) counts[n] = counts[n] % 140;
        bytes memory data = noise(seed, 22 * uint256(counts[0]) + 94 * uint256(counts[1]) + 14 * uint256(counts[2]));
        (bytes32[] memory hashes, bytes[] memory chunks) = this.chunksOf(data, counts);
        uint256 users = uint256(counts[0]) + counts[1];
        for (uint256 n = 0; n < chunks.length; ++n) {
            (bool ok, DebitRow row) = this.openRow(this.hash(data, counts), counts, index, chunks[n], hashes);
            bool isThere = index < users && n == chunkOf(index, counts[0]);
            yes(ok == isThere, "opens");
            if (ok) eq(bytes32(DebitRow.unwrap(row) >> 80), bytes32(this.headOf(data, index, counts[0])), "row");
        }
    }

    function test_openUserRow_wantsAllChunksAndNoMore() public view {
        uint8[3] memory counts = [65, 1, 1];
        bytes memory data = noise("chunks", 22 * 65 + 94 + 14);
        (bytes32[] memory hashes, bytes[] memory chunks) = this.chunksOf(data, counts);
        bytes32 root = this.hash(data, counts);
        (bool ok, ) = this.openRow(root, counts, 64, chunks[1], hashes);
        yes(ok, "the last metered row");
        (ok, ) = this.openRow(root, counts, 65, chunks[2], hashes);
        yes(ok, "the signed row");
        bytes32[] memory fewer = new bytes32[](3);
        for (uint256 n = 0; n < 3; ++n) fewer[n] = hashes[n];
        (ok, ) = this.openRow(keccak256(abi.encodePacked(fewer)), counts, 64, chunks[1], fewer);
        yes(!ok, "a list that is too short");
        (ok, ) = this.openRow(keccak256("other"), counts, 64, chunks[1], hashes);
        yes(!ok, "other rows");
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

    function hash(bytes calldata data, uint8[3] calldata counts) external pure returns (bytes32) {
        return Rows.hash(data, counts[0], counts[1], counts[2]);
    }

    function openRow(
        bytes32 root,
        uint8[3] calldata counts,
        uint256 index,
        bytes calldata chunk,
        bytes32[] calldata hashes
    ) external pure returns (bool, DebitRow) {
        uint32[3] memory all = [uint32(counts[0]), counts[1], counts[2]];
        return Rows.openUserRow(root, all, index, chunk, hashes);
    }

    function decode(bytes calldata data, uint8[3] calldata counts) external pure returns (bytes32) {
        Rows.checkLength(data, counts[0], counts[1], counts[2]);
        bytes memory out;
        uint256 offset = 0;
        for (uint256 i = 0; i < uint256(counts[0]) + counts[1]; ++i) {
            DebitRow row = Rows.debitAt(data, offset);
            out = abi.encode(keccak256(out), row.userId(), row.cumEnd(), row.delta());
            if (i >= counts[0]) {
                (bytes32 r, bytes32 vs) = Rows.signatureAt(data, offset);
                out = abi.encode(keccak256(out), row.excess(), r, vs);
            }
            offset += i < counts[0] ? 22 : 94;
        }
        for (uint256 i = 0; i < counts[2]; ++i) {
            ProviderRow row = Rows.providerAt(data, offset);
            out = abi.encode(keccak256(out), row.providerId(), row.cumEnd());
            offset += 14;
        }
        return keccak256(out);
    }

    /// @dev The same, a byte at a time.
    function slowly(bytes calldata data, uint8[3] calldata counts) public pure returns (bytes32) {
        bytes memory out;
        uint256 offset = 0;
        for (uint256 i = 0; i < uint256(counts[0]) + counts[1]; ++i) {
            uint256 delta = number(data, offset + 14, 8);
            out = abi.encode(keccak256(out), number(data, offset, 4), number(data, offset + 4, 10), delta);
            if (i >= counts[0]) {
                uint256 r = number(data, offset + 30, 32);
                out = abi.encode(keccak256(out), number(data, offset + 22, 8), r, number(data, offset + 62, 32));
            }
            offset += i < counts[0] ? 22 : 94;
        }
        for (uint256 i = 0; i < counts[2]; ++i) {
            out = abi.encode(keccak256(out), number(data, offset, 4), number(data, offset + 4, 10));
            offset += 14;
        }
        return keccak256(out);
    }

    /// @dev Chunks of 64 rows of a section, and their hashes.
    function chunksOf(
        bytes calldata data,
        uint8[3] calldata counts
    ) external pure returns (bytes32[] memory hashes, bytes[] memory chunks) {
        uint256[3] memory sizes = [uint256(22), 94, 14];
        uint256 count = 0;
        for (uint256 n = 0; n < 3; ++n) count += (uint256(counts[n]) + 63) / 64;
        (hashes, chunks, count) = (new bytes32[](count), new bytes[](count), 0);
        uint256 offset = 0;
        for (uint256 n = 0; n < 3; ++n) {
            for (uint256 left = counts[n]; left != 0; left -= min(left, 64)) {
                uint256 end = offset + min(left, 64) * sizes[n];
                chunks[count] = data[offset:end];
                hashes[count] = keccak256(chunks[count]);
                (offset, count) = (end, count + 1);
            }
        }
    }

    function headOf(bytes calldata data, uint256 index, uint256 nA) external pure returns (uint256) {
        return number(data, index < nA ? 22 * index : 22 * nA + 94 * (index - nA), 22);
    }

    function chunkOf(uint256 index, uint256 nA) private pure returns (uint256) {
        return index < nA ? index / 64 : (nA + 63) / 64 + (index - nA) / 64;
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
