// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Batch, Batches} from "../../contracts/libraries/Batches.sol";
import {Depth} from "../../contracts/libraries/Depth.sol";
import {DebitRow, ProviderRow, Rows} from "../../contracts/libraries/Rows.sol";
import {Vouchers} from "../../contracts/libraries/Vouchers.sol";
import {Cases} from "./support/Cases.sol";

/// @notice The golden vectors of packed rows, their vouchers, and the batches that they make.
contract VectorsOfRowsTest is Cases {
    function test_rows_vectors() public {
        load("rows");
        uint256[3] memory seen;
        while (next()) {
            bytes32 kind = keccak256(bytes(text("kind")));
            if (kind == keccak256("opening")) {
                checkOpening();
                ++seen[2];
            } else if (kind == keccak256("lengths")) {
                checkLengths();
                ++seen[1];
            } else {
                checkRows();
                ++seen[0];
            }
        }
        for (uint256 i = 0; i < 3; ++i) yes(seen[i] != 0, "every kind is there");
    }

    function test_batches_vectors() public {
        load("batches");
        while (next()) {
            if (keccak256(bytes(text("kind"))) == keccak256("final")) {
                uint256 finalAt = Batches.finalAt(uint40(number("postedAt")), uint32(number("epoch")));
                eq(finalAt, number("finalAt"), name());
                continue;
            }
            bytes memory skipped = raw("skipped");
            eq(skipped.length == 0 ? bytes32(0) : keccak256(skipped), word("skippedHash"), name());
            Batch memory batch = batchOf();
            eq(Depth.forLeaves(uint256(batch.header.nA) + batch.header.nB), number("depth"), name());
            eq(Batches.commit(batch), word("commit"), name());
        }
    }

    function test_vouchers_vectors() public {
        load("vouchers");
        uint256 good = 0;
        while (next()) {
            if (flag("valid")) ++good;
            yes(isVoucher() == flag("valid"), name());
        }
        yes(good != 0, "there are good vouchers");
    }

    // ---- As a contract would call them ----

    /// @dev All fields of all rows, section by section; reverts as `post` does.
    function read(bytes calldata rows, uint32[3] calldata counts) external pure returns (bytes32) {
        Rows.checkLength(rows, counts[0], counts[1], counts[2]);
        (bytes memory fields, uint256 offset) = ("", 0);
        for (uint256 section = 0; section < 2; ++section) {
            uint32 last = 0;
            for (uint256 i = 0; i < counts[section]; ++i) {
                DebitRow row = Rows.debitAt(rows, offset);
                Rows.checkOrder(i, row.userId(), last);
                last = row.userId();
                fields = bytes.concat(fields, abi.encode(row.userId(), row.cumEnd(), row.delta()));
                if (section == 1) fields = bytes.concat(fields, signedFields(rows, row, offset));
                offset += section == 0 ? Rows.METERED_BYTES : Rows.SIGNED_BYTES;
            }
        }
        return keccak256(bytes.concat(fields, providerFields(rows, counts[2], offset)));
    }

    function hash(bytes calldata rows, uint32[3] calldata counts) external pure returns (bytes32) {
        return Rows.hash(rows, counts[0], counts[1], counts[2]);
    }

    function openUserRow(
        bytes32 rowsHash,
        uint32[3] calldata counts,
        uint256 index,
        bytes calldata chunk,
        bytes32[] calldata chunkHashes
    ) external pure returns (bool, DebitRow) {
        return Rows.openUserRow(rowsHash, counts, index, chunk, chunkHashes);
    }

    // ---- Parts ----

    function checkRows() private {
        bytes memory rows = raw("rows");
        if (!flag("valid")) {
            refused(abi.encodeCall(this.read, (rows, countsOf())));
            return;
        }
        bytes32 fields = keccak256(bytes.concat(wantedDebits("metered"), wantedDebits("signed"), wantedCredits()));
        eq(this.read(rows, countsOf()), fields, name());
        eq(this.hash(rows, countsOf()), word("rowsHash"), name());
        eq(keccak256(abi.encodePacked(words("chunkHashes"))), word("rowsHash"), name());
    }

    /// @dev Of all beginnings of these bytes one is taken.
    function checkLengths() private {
        bytes memory rows = raw("rows");
        for (uint256 length = 0; length <= raw("rows").length; ++length) {
            bytes memory part = raw("rows");
            assembly ("memory-safe") {
                mstore(part, length)
            }
            if (length == number("length")) this.read(part, countsOf());
            else refused(abi.encodeCall(this.read, (part, countsOf())));
        }
        yes(rows.length > number("length"), "some are too long");
    }

    function checkOpening() private view {
        (bool ok, DebitRow row) = this.openUserRow(
            word("rowsHash"),
            countsOf(),
            number("index"),
            raw("chunk"),
            words("chunkHashes")
        );
        yes(ok == flag("valid"), name());
        if (!ok) return;
        eq(row.userId(), number("userId"), name());
        eq(row.cumEnd(), number("cumEnd"), name());
        eq(row.delta(), number("delta"), name());
    }

    function isVoucher() private view returns (bool) {
        return
            Vouchers.frameFor(word("separator"), uint32(number("relayId"))).isBy(
                account("key"),
                uint32(number("userId")),
                uint16(number("channelEpoch")),
                number("cumulative"),
                word("r"),
                word("vs")
            );
    }

    function batchOf() private view returns (Batch memory batch) {
        batch.header.batchNo = uint64(number("batchNo"));
        uint32[3] memory counts = countsOf();
        (batch.header.nA, batch.header.nB, batch.header.nC) = (counts[0], counts[1], counts[2]);
        batch.header.depth = uint8(number("depth"));
        batch.header.receiptsSum = uint96(number("receiptsSum"));
        batch.header.receiptsRoot = word("receiptsRoot");
        (batch.rowsHash, batch.skippedHash) = (word("rowsHash"), word("skippedHash"));
        (batch.postedAt, batch.debitA) = (uint40(number("postedAt")), uint96(number("debitA")));
    }

    function wantedDebits(string memory section) private view returns (bytes memory fields) {
        uint256[] memory ids = numbers(string.concat(section, "Ids"));
        uint256[] memory ends = numbers(string.concat(section, "Ends"));
        uint256[] memory deltas = numbers(string.concat(section, "Deltas"));
        bool isSigned = keccak256(bytes(section)) == keccak256("signed");
        uint256[] memory excesses = isSigned ? numbers("signedExcesses") : ids;
        bytes32[] memory rs = words("signedRs");
        bytes32[] memory vss = words("signedVss");
        for (uint256 i = 0; i < ids.length; ++i) {
            fields = bytes.concat(fields, abi.encode(ids[i], ends[i], deltas[i]));
            if (isSigned) fields = bytes.concat(fields, abi.encode(excesses[i], rs[i], vss[i]));
        }
    }

    function wantedCredits() private view returns (bytes memory fields) {
        (uint256[] memory ids, uint256[] memory ends) = (numbers("providerIds"), numbers("providerEnds"));
        for (uint256 i = 0; i < ids.length; ++i) fields = bytes.concat(fields, abi.encode(ids[i], ends[i]));
    }

    function countsOf() private view returns (uint32[3] memory) {
        return [uint32(number("nA")), uint32(number("nB")), uint32(number("nC"))];
    }

    function signedFields(bytes calldata rows, DebitRow row, uint256 offset) private pure returns (bytes memory) {
        (bytes32 r, bytes32 vs) = Rows.signatureAt(rows, offset);
        return abi.encode(row.excess(), r, vs);
    }

    function providerFields(
        bytes calldata rows,
        uint256 count,
        uint256 offset
    ) private pure returns (bytes memory fields) {
        uint32 last = 0;
        for (uint256 i = 0; i < count; ++i) {
            ProviderRow row = Rows.providerAt(rows, offset);
            Rows.checkOrder(i, row.providerId(), last);
            last = row.providerId();
            fields = bytes.concat(fields, abi.encode(row.providerId(), row.cumEnd()));
            offset += Rows.PROVIDER_BYTES;
        }
    }
}
