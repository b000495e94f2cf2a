// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A user lets a relay charge up to `amount` until `expiry`. Signed by `user`; anyone may submit it.
struct SpendAuthorization {
    address user;
    uint32 relayId;
    address sessionKey;
    uint96 amount;
    uint40 expiry;
    uint8 mode;
    uint256 nonce;
    uint40 deadline;
}

/// @notice The most a relay may have charged on a channel so far. Signed by the channel's session key.
struct SpendVoucher {
    uint32 relayId;
    uint32 userId;
    uint16 channelEpoch;
    uint80 cumulative;
}

/// @notice What a provider did for one request. A leaf of a signed group; not signed alone.
struct UsageReceipt {
    uint32 relayId;
    uint32 providerId;
    uint32 modelId;
    uint32 priceVersion;
    uint40 issuedAt;
    uint32 units0;
    uint32 units1;
    uint32 units2;
    uint64 cost;
    bytes32 requestHash;
    bytes32 responseHash;
}

/// @notice Receipts signed together by a provider.
struct ReceiptGroup {
    uint32 relayId;
    uint32 providerId;
    uint32 count;
    uint40 closedAt;
    bytes32 root;
}

/// @notice What a relay charged for a request, and the user's running total with it. Signed by the relay.
struct BilledReceipt {
    bytes32 usageReceiptHash;
    uint32 relayId;
    uint32 userId;
    uint16 channelEpoch;
    uint64 charge;
    uint80 userCumulative;
}

/// @notice What a relay owes a provider so far. Signed by the relay.
struct ProviderVoucher {
    uint32 relayId;
    uint32 providerId;
    uint80 cumulative;
}

/// @notice A user takes credits out as tokens. Signed by the user; anyone may submit it.
struct Withdraw {
    uint32 userId;
    address to;
    uint96 amount;
    uint256 nonce;
    uint40 deadline;
}

/// @notice A signer agrees to sign for what `owner` registers in `role`. Signed by the signer.
struct SignerProof {
    address owner;
    uint8 role;
    uint40 deadline;
}

/// @notice EIP-712 struct hashes. Every field is one word, so `abi.encode` of a struct is its encoding.
library Messages {
    bytes32 internal constant SPEND_AUTHORIZATION =
        keccak256(
            "SpendAuthorization(address user,uint32 relayId,address sessionKey,uint96 amount,uint40 expiry,uint8 mode,uint256 nonce,uint40 deadline)"
        );
    bytes32 internal constant SPEND_VOUCHER =
        keccak256("SpendVoucher(uint32 relayId,uint32 userId,uint16 channelEpoch,uint80 cumulative)");
    bytes32 internal constant USAGE_RECEIPT =
        keccak256(
            "UsageReceipt(uint32 relayId,uint32 providerId,uint32 modelId,uint32 priceVersion,uint40 issuedAt,uint32 units0,uint32 units1,uint32 units2,uint64 cost,bytes32 requestHash,bytes32 responseHash)"
        );
    bytes32 internal constant RECEIPT_GROUP =
        keccak256("ReceiptGroup(uint32 relayId,uint32 providerId,uint32 count,uint40 closedAt,bytes32 root)");
    bytes32 internal constant BILLED_RECEIPT =
        keccak256(
            "BilledReceipt(bytes32 usageReceiptHash,uint32 relayId,uint32 userId,uint16 channelEpoch,uint64 charge,uint80 userCumulative)"
        );
    bytes32 internal constant PROVIDER_VOUCHER =
        keccak256("ProviderVoucher(uint32 relayId,uint32 providerId,uint80 cumulative)");
    bytes32 internal constant WITHDRAW =
        keccak256("Withdraw(uint32 userId,address to,uint96 amount,uint256 nonce,uint40 deadline)");
    bytes32 internal constant SIGNER_PROOF = keccak256("SignerProof(address owner,uint8 role,uint40 deadline)");

    function hash(SpendAuthorization memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(SPEND_AUTHORIZATION, message));
    }

    function hash(SpendVoucher memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(SPEND_VOUCHER, message));
    }

    function hash(UsageReceipt memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(USAGE_RECEIPT, message));
    }

    function hash(ReceiptGroup memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_GROUP, message));
    }

    function hash(BilledReceipt memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(BILLED_RECEIPT, message));
    }

    function hash(ProviderVoucher memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(PROVIDER_VOUCHER, message));
    }

    function hash(Withdraw memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(WITHDRAW, message));
    }

    function hash(SignerProof memory message) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNER_PROOF, message));
    }
}
