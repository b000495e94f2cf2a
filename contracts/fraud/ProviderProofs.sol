// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {FRAUD_PROVIDER_PRICE, IFraudProofs} from "../interfaces/IFraudProofs.sol";
import {Judgement} from "../libraries/Judgement.sol";
import {Messages, UsageReceipt} from "../libraries/Messages.sol";
import {ROLE_PROVIDER} from "../types/Roles.sol";
import {Punishment} from "./Punishment.sol";

/// @notice What a provider pays for with its stake: numbers that it signed itself.
abstract contract ProviderProofs is Punishment {
    using Messages for UsageReceipt;

    uint32 private immutable _SIGNER_THAW;

    constructor() {
        _SIGNER_THAW = CLOCK.windows().signerThaw;
    }

    /// @inheritdoc IFraudProofs
    function proveProviderFraud(UsageReceipt calldata receipt, bytes calldata evidence) external nonReentrant {
        // older than this, its signer may have been forgotten
        uint256 latest = uint256(receipt.issuedAt) + _SIGNER_THAW;
        require(_nowRunning() <= latest, ReceiptTooOld(receipt.issuedAt, latest));
        Judgement.Law memory law = _law();
        bytes32 digest = MessageHashUtils.toTypedDataHash(law.separator, receipt.hash());
        (bool isSigned, ) = Judgement.isSignedByProvider(law, receipt, digest, evidence);
        require(isSigned, NotByProvider(receipt.providerId));
        uint64 excess = _excessOf(receipt);
        require(excess != 0, NoFraud());
        uint32 challenger = _challenger();
        _markProven(keccak256(abi.encode(digest, FRAUD_PROVIDER_PRICE)));
        emit ProviderFraudProven(receipt.providerId, digest, excess);
        _STAKE_MANAGER.slash(ROLE_PROVIDER, receipt.providerId, excess, 0, challenger, false);
    }

    /// @dev What a receipt costs beyond what its provider may ask.
    function _excessOf(UsageReceipt calldata receipt) private view returns (uint64) {
        (bool inForce, uint256 priced) = Judgement.priceOf(_REGISTRY, receipt);
        if (!inForce) return receipt.cost;
        return receipt.cost > priced ? receipt.cost - uint64(priced) : 0;
    }
}
