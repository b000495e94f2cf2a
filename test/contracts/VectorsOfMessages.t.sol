// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {
    BilledReceipt,
    Messages,
    ProviderVoucher,
    ReceiptGroup,
    SignerProof,
    SpendAuthorization,
    SpendVoucher,
    UsageReceipt,
    Withdraw
} from "../../contracts/libraries/Messages.sol";
import {Requests} from "../../contracts/libraries/Requests.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
import {Cases} from "./support/Cases.sol";

/// @notice The golden vectors of signed messages and of what they hash.
contract VectorsOfMessagesTest is Cases {
    mapping(bytes32 message => uint256 count) private _seen;

    function test_typedData_vectors() public {
        load("typed-data");
        while (next()) {
            bytes32 message = keccak256(bytes(text("message")));
            ++_seen[message];
            (bytes32 typeHash, bytes32 structHash) = hashOf(message);
            eq(typeHash, word("typeHash"), name());
            eq(structHash, word("structHash"), name());
            eq(separator(), word("separator"), name());
            bytes32 digest = MessageHashUtils.toTypedDataHash(word("separator"), structHash);
            eq(digest, word("digest"), name());
            yes(this.isByKey(account("signer"), digest, raw("signature")), name());
            yes(!this.isByKey(account("signer"), keccak256(abi.encode(digest)), raw("signature")), name());
        }
        string[8] memory all = [
            "SpendAuthorization",
            "SpendVoucher",
            "UsageReceipt",
            "ReceiptGroup",
            "BilledReceipt",
            "ProviderVoucher",
            "Withdraw",
            "SignerProof"
        ];
        // three values on each of three domains
        for (uint256 i = 0; i < all.length; ++i) eq(_seen[keccak256(bytes(all[i]))], 9, all[i]);
    }

    function test_receipts_vectors() public {
        load("receipts");
        while (next()) {
            if (keccak256(bytes(text("kind"))) == keccak256("request")) {
                bytes32 bodyHash = keccak256(raw("body"));
                eq(bodyHash, word("bodyHash"), name());
                bytes16 nonce = bytes16(raw("nonce"));
                bytes32 hash = Requests.hash(
                    uint32(number("userId")),
                    uint16(number("channelEpoch")),
                    nonce,
                    bodyHash
                );
                eq(hash, word("requestHash"), name());
                continue;
            }
            bytes[] memory items = raws("items");
            bytes memory hashes;
            for (uint256 i = 0; i < items.length; ++i) hashes = bytes.concat(hashes, keccak256(items[i]));
            eq(keccak256(hashes), word("responseHash"), name());
        }
    }

    function isByKey(address key, bytes32 digest, bytes calldata signature) external pure returns (bool) {
        return Signatures.isByKey(key, digest, signature);
    }

    function separator() private view returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                    keccak256("AiMo"),
                    keccak256("1"),
                    number("chainId"),
                    account("verifyingContract")
                )
            );
    }

    function hashOf(bytes32 message) private view returns (bytes32 typeHash, bytes32 structHash) {
        if (message == keccak256("SpendAuthorization")) return spendAuthorization();
        if (message == keccak256("UsageReceipt")) return usageReceipt();
        if (message == keccak256("SpendVoucher"))
            return (Messages.SPEND_VOUCHER, Messages.hash(SpendVoucher(u32("relayId"), u32("userId"), u16("channelEpoch"), u80("cumulative"))));
        if (message == keccak256("ReceiptGroup"))
            return (Messages.RECEIPT_GROUP, Messages.hash(ReceiptGroup(u32("relayId"), u32("providerId"), u32("count"), u40("closedAt"), word("root"))));
        if (message == keccak256("BilledReceipt"))
            return (
                Messages.BILLED_RECEIPT,
                Messages.hash(
                    BilledReceipt(
                        word("usageReceiptHash"),
                        u32("relayId"),
                        u32("userId"),
                        u16("channelEpoch"),
                        uint64(number("charge")),
                        u80("userCumulative")
                    )
                )
            );
        if (message == keccak256("ProviderVoucher"))
            return (Messages.PROVIDER_VOUCHER, Messages.hash(ProviderVoucher(u32("relayId"), u32("providerId"), u80("cumulative"))));
        if (message == keccak256("Withdraw"))
            return (
                Messages.WITHDRAW,
                Messages.hash(
                    Withdraw(u32("userId"), account("to"), uint96(number("amount")), number("nonce"), u40("deadline"))
                )
            );
        yes(message == keccak256("SignerProof"), text("message"));
        return (Messages.SIGNER_PROOF, Messages.hash(SignerProof(account("owner"), uint8(number("role")), u40("deadline"))));
    }

    function spendAuthorization() private view returns (bytes32, bytes32) {
        SpendAuthorization memory message;
        message.user = account("user");
        message.relayId = u32("relayId");
        message.sessionKey = account("sessionKey");
        message.amount = uint96(number("amount"));
        message.expiry = u40("expiry");
        message.mode = uint8(number("mode"));
        message.nonce = number("nonce");
        message.deadline = u40("deadline");
        return (Messages.SPEND_AUTHORIZATION, Messages.hash(message));
    }

    function usageReceipt() private view returns (bytes32, bytes32) {
        UsageReceipt memory message;
        message.relayId = u32("relayId");
        message.providerId = u32("providerId");
        message.modelId = u32("modelId");
        message.priceVersion = u32("priceVersion");
        message.issuedAt = u40("issuedAt");
        message.units0 = u32("units0");
        message.units1 = u32("units1");
        message.units2 = u32("units2");
        message.cost = uint64(number("cost"));
        message.requestHash = word("requestHash");
        message.responseHash = word("responseHash");
        return (Messages.USAGE_RECEIPT, Messages.hash(message));
    }

    function u16(string memory field) private view returns (uint16) {
        return uint16(number(field));
    }

    function u32(string memory field) private view returns (uint32) {
        return uint32(number(field));
    }

    function u40(string memory field) private view returns (uint40) {
        return uint40(number(field));
    }

    function u80(string memory field) private view returns (uint80) {
        return uint80(number(field));
    }
}
