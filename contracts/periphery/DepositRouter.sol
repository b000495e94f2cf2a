// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ICreditVault} from "../interfaces/ICreditVault.sol";
import {IDepositRouter} from "../interfaces/IDepositRouter.sol";
import {IProtocolClock} from "../interfaces/IProtocolClock.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IERC3009} from "../interfaces/external/IERC3009.sol";
import {IPermit2} from "../interfaces/external/IPermit2.sol";
import {SpendAuthorization} from "../libraries/Messages.sol";

/// @notice Deposits by signatures alone; see the interface.
contract DepositRouter is IDepositRouter, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    bytes32 private constant _PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    /// @inheritdoc IDepositRouter
    ICreditVault public immutable VAULT;
    /// @inheritdoc IDepositRouter
    ISettlement public immutable SETTLEMENT;
    /// @inheritdoc IDepositRouter
    IERC20 public immutable TOKEN;
    /// @inheritdoc IDepositRouter
    IPermit2 public immutable PERMIT2;
    IProtocolClock private immutable _CLOCK;

    constructor(ICreditVault vault, ISettlement settlement, IPermit2 permit2) {
        require(address(settlement.VAULT()) == address(vault), WrongWiring(address(settlement)));
        VAULT = vault;
        SETTLEMENT = settlement;
        TOKEN = vault.TOKEN();
        PERMIT2 = permit2;
        _CLOCK = settlement.CLOCK();
    }

    /// @inheritdoc IDepositRouter
    function depositByPermit(Permit calldata permit) external nonReentrant returns (uint32 userId) {
        return _depositByPermit(permit);
    }

    /// @inheritdoc IDepositRouter
    function depositByPermitAndOpen(
        Permit calldata permit,
        SpendAuthorization calldata spending,
        bytes calldata signature
    ) external nonReentrant returns (uint32 userId) {
        _checkUser(spending, permit.owner);
        userId = _depositByPermit(permit);
        _open(userId, spending, signature);
    }

    /// @inheritdoc IDepositRouter
    function depositByAuthorization(
        Authorization calldata authorization
    ) external nonReentrant returns (uint32 userId) {
        return _depositByAuthorization(authorization);
    }

    /// @inheritdoc IDepositRouter
    function depositByAuthorizationAndOpen(
        Authorization calldata authorization,
        SpendAuthorization calldata spending,
        bytes calldata signature
    ) external nonReentrant returns (uint32 userId) {
        _checkUser(spending, authorization.owner);
        userId = _depositByAuthorization(authorization);
        _open(userId, spending, signature);
    }

    /// @inheritdoc IDepositRouter
    function depositByPermit2(Permit2Transfer calldata transfer) external nonReentrant returns (uint32 userId) {
        return _depositByPermit2(transfer);
    }

    /// @inheritdoc IDepositRouter
    function depositByPermit2AndOpen(
        Permit2Transfer calldata transfer,
        SpendAuthorization calldata spending,
        bytes calldata signature
    ) external nonReentrant returns (uint32 userId) {
        _checkUser(spending, transfer.owner);
        userId = _depositByPermit2(transfer);
        _open(userId, spending, signature);
    }

    /// @inheritdoc IDepositRouter
    function nonceFor(address owner, bytes32 salt) external pure returns (bytes32) {
        return _nonceFor(owner, salt);
    }

    function _depositByPermit(Permit calldata permit) private returns (uint32 userId) {
        (address owner, uint256 tokens) = (permit.owner, permit.tokens);
        // anyone may have used the permit first; then the allowance is there
        try
            IERC20Permit(address(TOKEN)).permit(
                owner,
                address(this),
                tokens,
                permit.deadline,
                permit.v,
                permit.r,
                permit.s
            )
        {} catch {}
        if (msg.sender != owner) _checkSigned(permit);
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(owner, address(this), tokens);
        return _credit(owner, tokens, before);
    }

    function _depositByAuthorization(Authorization calldata authorization) private returns (uint32 userId) {
        uint256 before = TOKEN.balanceOf(address(this));
        IERC3009(address(TOKEN)).receiveWithAuthorization(
            authorization.from,
            address(this),
            authorization.tokens,
            authorization.validAfter,
            authorization.validBefore,
            _nonceFor(authorization.owner, authorization.salt),
            authorization.v,
            authorization.r,
            authorization.s
        );
        return _credit(authorization.owner, authorization.tokens, before);
    }

    function _depositByPermit2(Permit2Transfer calldata transfer) private returns (uint32 userId) {
        require(address(PERMIT2).code.length != 0, NoPermit2(address(PERMIT2)));
        (address owner, uint256 tokens) = (transfer.owner, transfer.tokens);
        uint256 before = TOKEN.balanceOf(address(this));
        // all that was signed: else a stranger could use the signature up for less
        PERMIT2.permitTransferFrom(
            IPermit2.PermitTransferFrom({
                permitted: IPermit2.TokenPermissions({token: address(TOKEN), amount: tokens}),
                nonce: transfer.nonce,
                deadline: transfer.deadline
            }),
            IPermit2.SignatureTransferDetails({to: address(this), requestedAmount: tokens}),
            owner,
            transfer.signature
        );
        return _credit(owner, tokens, before);
    }

    /// @dev Passes on exactly what came in just now, whatever else may lie here.
    function _credit(address owner, uint256 tokens, uint256 before) private returns (uint32 userId) {
        uint256 received = TOKEN.balanceOf(address(this)) - before;
        require(received == tokens, PulledMismatch(received, tokens));
        TOKEN.forceApprove(address(VAULT), tokens);
        return VAULT.deposit(owner, tokens);
    }

    /// @dev The same test as the settlement's for a channel that runs.
    function _open(uint32 userId, SpendAuthorization calldata spending, bytes calldata signature) private {
        bool isRunning = _CLOCK.clock() <= SETTLEMENT.channelOf(spending.relayId, userId).settleBy;
        if (isRunning) SETTLEMENT.extendChannelBySig(spending, signature);
        else SETTLEMENT.openChannelBySig(spending, signature);
    }

    /// @dev Whether the permit worked says too little: it fails when it was used before, and some tokens take any call
    /// for a success. So the signature is checked here, as the owner's last one, and against the allowance it left.
    function _checkSigned(Permit calldata permit) private view {
        (address owner, uint256 tokens) = (permit.owner, permit.tokens);
        require(block.timestamp <= permit.deadline && _isLastSigned(permit), PermitNotSigned(owner, tokens));
        uint256 allowance = TOKEN.allowance(owner, address(this));
        require(allowance == tokens, AllowanceNotSigned(allowance, tokens));
    }

    function _isLastSigned(Permit calldata permit) private view returns (bool) {
        IERC20Permit token = IERC20Permit(address(TOKEN));
        uint256 next = token.nonces(permit.owner);
        if (next == 0) return false;
        bytes32 structHash = keccak256(
            abi.encode(_PERMIT, permit.owner, address(this), permit.tokens, next - 1, permit.deadline)
        );
        bytes32 digest = MessageHashUtils.toTypedDataHash(token.DOMAIN_SEPARATOR(), structHash);
        (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecover(digest, permit.v, permit.r, permit.s);
        return problem == ECDSA.RecoverError.NoError && signer == permit.owner;
    }

    function _checkUser(SpendAuthorization calldata spending, address credited) private pure {
        require(spending.user == credited, OtherUser(spending.user, credited));
    }

    function _nonceFor(address owner, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(owner, salt));
    }
}
