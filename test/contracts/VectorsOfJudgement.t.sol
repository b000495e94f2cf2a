// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {
    FRAUD_BAD_RECEIPT,
    FRAUD_DUPLICATE,
    FRAUD_EQUIVOCATION,
    FRAUD_FOREIGN_REQUEST,
    FRAUD_NO_ANSWER,
    FRAUD_PROVIDER_PRICE,
    FRAUD_ROW_MISMATCH,
    FRAUD_RUNNING_TOTAL,
    IFraudProofs
} from "../../contracts/interfaces/IFraudProofs.sol";
import {IIdentities} from "../../contracts/interfaces/IIdentities.sol";
import {IPrices} from "../../contracts/interfaces/IPrices.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {IStakeManager} from "../../contracts/interfaces/IStakeManager.sol";
import {Judgement} from "../../contracts/libraries/Judgement.sol";
import {UsageReceipt} from "../../contracts/libraries/Messages.sol";
import {Penalties} from "../../contracts/libraries/Penalties.sol";
import {ROLE_PROVIDER} from "../../contracts/types/Roles.sol";
import {Cases} from "./support/Cases.sol";

/// @notice The golden vectors of what is a fraud and what it costs. The test stands for registry and stake manager: it
/// answers what the case says that the chain knew.
contract VectorsOfJudgementTest is Cases {
    function test_judgement_vectors() public {
        load("judgement");
        uint256[2] memory seen;
        while (next()) {
            UsageReceipt memory receipt = receiptOf();
            (bool isGood, uint256 allowed) = this.judge(receipt, raw("evidence"));
            yes(isGood == flag("good"), name());
            ++seen[isGood ? 1 : 0];
            eq(allowed, number("allowed"), name());
            uint256 charge = number("charge");
            if (!isGood) eq(charge > allowed ? charge - allowed : 0, number("loss"), name());
            (bool inForce, uint256 priced) = Judgement.priceOf(IRegistry(address(this)), receipt);
            uint256 excess = !inForce ? receipt.cost : receipt.cost > priced ? receipt.cost - priced : 0;
            eq(excess, number("excess"), name());
        }
        yes(seen[0] != 0 && seen[1] != 0, "there are good and bad ones");
    }

    function test_penalties_vectors() public {
        load("penalties");
        while (next()) {
            uint96 taken = Penalties.total(uint96(number("loss")), uint96(number("bond")));
            eq(taken, number("taken"), name());
            (uint96 toVictim, uint96 toChallenger, uint96 toNobody) = Penalties.split(
                taken,
                uint96(number("victimLoss"))
            );
            eq(toVictim, number("toVictim"), name());
            eq(toChallenger, number("toChallenger"), name());
            eq(toNobody, number("toNobody"), name());
        }
    }

    function test_proofs_vectors() public {
        load("proofs");
        while (next()) {
            if (keccak256(bytes(text("kind"))) == keccak256("demand")) {
                eq(keccak256(abi.encode(demandOf())), word("demandId"), name());
                continue;
            }
            eq(kindOf(keccak256(bytes(name()))), number("fraudKind"), name());
            bytes32 key = keccak256(
                abi.encode(
                    uint32(number("relayId")),
                    uint64(number("batchNo")),
                    uint32(number("row")),
                    uint32(number("leafIndex")),
                    uint8(number("fraudKind"))
                )
            );
            eq(key, word("key"), name());
        }
    }

    /// @dev As a contract would call it.
    function judge(UsageReceipt calldata receipt, bytes calldata evidence) external view returns (bool, uint256) {
        Judgement.Law memory law = Judgement.Law({
            registry: IRegistry(address(this)),
            stakeManager: IStakeManager(address(this)),
            separator: word("separator"),
            postWindow: uint32(number("postWindow"))
        });
        Judgement.Bill memory bill = Judgement.Bill({
            relayId: uint32(number("billRelayId")),
            postedAt: uint40(number("postedAt")),
            charge: uint64(number("charge"))
        });
        return Judgement.judge(law, bill, receipt, word("digest"), evidence);
    }

    // ---- What the chain knows ----

    function providerOf(uint32 providerId) external view returns (IIdentities.Provider memory provider) {
        eq(providerId, number("providerId"), "the receipt's provider");
        if (number("registeredAt") == 0) return provider;
        (provider.owner, provider.signer) = (address(1), account("signer"));
        provider.registeredAt = uint40(number("registeredAt"));
        provider.deactivatedAt = uint40(number("deactivatedAt"));
    }

    function relayOf(uint32) external view returns (IIdentities.Relay memory relay) {
        relay.feeCurBps = uint16(number("feeCurBps"));
        relay.feePrevBps = uint16(number("feePrevBps"));
        relay.feeChangedAt = uint40(number("feeChangedAt"));
    }

    function isSignerValid(uint8 role, uint32, address signer, uint40 time) external view returns (bool) {
        eq(role, ROLE_PROVIDER, "a provider's key");
        return signer == account("signer") && number("signerFrom") <= time && time < number("signerUntil");
    }

    function priceOf(uint32, uint32 modelId, uint32 version) external view returns (IPrices.Price memory price) {
        eq(modelId, number("modelId"), "the receipt's model");
        if (version == number("priceVersion")) {
            (price.p0, price.p1, price.p2) = (uint64(number("p0")), uint64(number("p1")), uint64(number("p2")));
            price.effectiveFrom = uint40(number("effectiveFrom"));
        } else {
            eq(version, number("priceVersion") + 1, "the version after it");
            price.effectiveFrom = uint40(number("nextFrom"));
        }
    }

    function wasStaked(uint8 role, uint32, uint40 from, uint40 to) external view returns (bool) {
        eq(role, ROLE_PROVIDER, "a provider's stake");
        return number("stakedFrom") <= to && from < number("stakedUntil");
    }

    function demandOf() private view returns (IFraudProofs.Demand memory made) {
        (made.relayId, made.batchNo) = (uint32(number("relayId")), uint64(number("batchNo")));
        (made.row, made.leafIndex) = (uint32(number("row")), uint32(number("leafIndex")));
        (made.receiptsRoot, made.depth) = (word("receiptsRoot"), uint8(number("depth")));
        (made.postedAt, made.userId) = (uint40(number("postedAt")), uint32(number("userId")));
        (made.cumEnd, made.delta) = (uint80(number("cumEnd")), uint64(number("delta")));
        (made.challenger, made.bond) = (uint32(number("challenger")), uint96(number("bond")));
        made.deadline = uint40(number("deadline"));
    }

    function receiptOf() private view returns (UsageReceipt memory receipt) {
        receipt.relayId = uint32(number("relayId"));
        receipt.providerId = uint32(number("providerId"));
        receipt.modelId = uint32(number("modelId"));
        receipt.priceVersion = uint32(number("priceVersion"));
        receipt.issuedAt = uint40(number("issuedAt"));
        receipt.units0 = uint32(number("units0"));
        receipt.units1 = uint32(number("units1"));
        receipt.units2 = uint32(number("units2"));
        receipt.cost = uint64(number("cost"));
        receipt.requestHash = word("requestHash");
        receipt.responseHash = word("responseHash");
    }

    function kindOf(bytes32 kind) private pure returns (uint8) {
        if (kind == keccak256("badReceipt")) return FRAUD_BAD_RECEIPT;
        if (kind == keccak256("rowMismatch")) return FRAUD_ROW_MISMATCH;
        if (kind == keccak256("duplicate")) return FRAUD_DUPLICATE;
        if (kind == keccak256("runningTotal")) return FRAUD_RUNNING_TOTAL;
        if (kind == keccak256("equivocation")) return FRAUD_EQUIVOCATION;
        if (kind == keccak256("noAnswer")) return FRAUD_NO_ANSWER;
        if (kind == keccak256("providerPrice")) return FRAUD_PROVIDER_PRICE;
        return kind == keccak256("foreignRequest") ? FRAUD_FOREIGN_REQUEST : 0;
    }
}
