// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {Messages, Withdraw} from "./libraries/Messages.sol";
import {Signatures} from "./libraries/Signatures.sol";

/// @notice Holds all tokens; see the interface.
contract CreditVault is ICreditVault, AccessManaged, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Messages for Withdraw;

    uint8 private constant _GENESIS = 1;
    uint8 private constant _LATER = 2;
    uint8 private constant _PUSD_DECIMALS = 12;

    /// @inheritdoc ICreditVault
    IERC20 public immutable TOKEN;
    /// @inheritdoc ICreditVault
    uint256 public immutable SCALE;
    IProtocolClock private immutable _CLOCK;
    uint32 private immutable _MODULE_DELAY;

    /// @inheritdoc ICreditVault
    uint32 public userCount;
    /// @inheritdoc ICreditVault
    mapping(address owner => uint32 userId) public userIdOf;
    /// @inheritdoc ICreditVault
    mapping(uint32 userId => address owner) public ownerOf;
    mapping(uint32 userId => Account account) private _accounts;
    mapping(address module => Module state) private _modules;
    mapping(uint32 userId => mapping(address module => bool approved)) private _approvals;

    /// @dev For what takes from a user's account or speaks in its name.
    modifier onlyModuleOf(uint32 userId) {
        _checkModule(userId);
        _;
    }

    modifier onlyModule() {
        require(_isActive(_modules[msg.sender]), NotModule(msg.sender));
        _;
    }

    /// @param authority_ The access manager: who may announce modules.
    /// @param modules The contracts that can lock anybody's credits. They may be addresses yet to be deployed to.
    constructor(
        IProtocolClock clock_,
        address authority_,
        IERC20Metadata token,
        address[] memory modules
    ) AccessManaged(authority_) EIP712("AiMo", "1") {
        uint8 decimals = token.decimals();
        require(decimals <= _PUSD_DECIMALS, UnsupportedDecimals(decimals));
        TOKEN = token;
        SCALE = 10 ** (_PUSD_DECIMALS - decimals);
        _CLOCK = clock_;
        _MODULE_DELAY = clock_.windows().moduleDelay;
        uint40 time = clock_.clock();
        for (uint256 i = 0; i < modules.length; ++i) {
            _modules[modules[i]] = Module({balance: 0, activeFrom: time, state: _GENESIS});
        }
    }

    /// @inheritdoc ICreditVault
    function deposit(address owner, uint256 tokens) external nonReentrant returns (uint32 userId) {
        return _deposit(owner, tokens);
    }

    /// @inheritdoc ICreditVault
    function depositWithPermit(
        address owner,
        uint256 tokens,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (uint32 userId) {
        // anyone may have used the permit first; then the allowance is there
        try IERC20Permit(address(TOKEN)).permit(msg.sender, address(this), tokens, deadline, v, r, s) {} catch {}
        return _deposit(owner, tokens);
    }

    /// @inheritdoc ICreditVault
    function withdraw(uint96 amount, address to) external nonReentrant returns (uint256 tokens) {
        uint32 userId = userIdOf[msg.sender];
        require(userId != 0, UnknownUser(msg.sender));
        return _withdraw(userId, amount, to);
    }

    /// @inheritdoc ICreditVault
    function withdrawBySig(
        Withdraw calldata message,
        bytes calldata signature
    ) external nonReentrant returns (uint256 tokens) {
        uint40 time = _CLOCK.clock();
        require(time <= message.deadline, DeadlinePassed(message.deadline, time));
        address owner = ownerOf[message.userId];
        require(owner != address(0), UnknownUserId(message.userId));
        _useNonce(message.userId, message.nonce);
        Signatures.checkOwner(owner, _hashTypedDataV4(message.hash()), signature);
        return _withdraw(message.userId, message.amount, message.to);
    }

    /// @inheritdoc ICreditVault
    function scheduleModule(address module) external restricted {
        require(_modules[module].state == 0 && module.code.length != 0, BadModule(module));
        uint40 activeFrom = _CLOCK.clock() + _MODULE_DELAY;
        _modules[module] = Module({balance: 0, activeFrom: activeFrom, state: _LATER});
        emit ModuleScheduled(module, activeFrom);
    }

    /// @inheritdoc ICreditVault
    function approveModule(address module, bool approved) external {
        uint32 userId = userIdOf[msg.sender];
        require(userId != 0, UnknownUser(msg.sender));
        _approvals[userId][module] = approved;
        emit ModuleApproved(userId, module, approved);
    }

    /// @inheritdoc ICreditVault
    function lock(uint32 userId, uint96 amount) external onlyModuleOf(userId) {
        _take(userId, amount);
        _modules[msg.sender].balance += amount;
        emit Locked(msg.sender, userId, amount);
    }

    /// @inheritdoc ICreditVault
    function release(uint32 userId, uint96 amount) external onlyModule {
        require(ownerOf[userId] != address(0), UnknownUserId(userId));
        _takeFromModule(amount);
        _accounts[userId].free += amount;
        emit Released(msg.sender, userId, amount);
    }

    /// @inheritdoc ICreditVault
    function useNonce(uint32 userId, uint256 nonce) external onlyModuleOf(userId) {
        _useNonce(userId, nonce);
    }

    /// @inheritdoc ICreditVault
    function payOut(address to, uint96 amount) external onlyModule nonReentrant returns (uint96 debited) {
        uint256 tokens;
        (tokens, debited) = _wholeTokens(amount);
        _takeFromModule(debited);
        emit PaidOut(msg.sender, to, tokens, debited);
        _send(to, tokens);
    }

    /// @inheritdoc ICreditVault
    function accountOf(uint32 userId) external view returns (Account memory) {
        return _accounts[userId];
    }

    /// @inheritdoc ICreditVault
    function moduleOf(address module) external view returns (Module memory) {
        return _modules[module];
    }

    /// @inheritdoc ICreditVault
    function isModuleFor(address module, uint32 userId) external view returns (bool) {
        return _isActive(_modules[module]) && _isLetIn(module, userId);
    }

    function _deposit(address owner, uint256 tokens) private returns (uint32 userId) {
        require(owner != address(0) && owner != address(this), BadRecipient(owner));
        require(tokens != 0, ZeroAmount());
        uint96 credited = (tokens * SCALE).toUint96();
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), tokens);
        uint256 received = TOKEN.balanceOf(address(this)) - before;
        require(received == tokens, TransferMismatch(received, tokens));
        // only what the transfer brought is credited, so the credit follows it; every entry is guarded
        userId = _idFor(owner);
        _accounts[userId].free += credited;
        emit Deposited(userId, msg.sender, tokens, credited);
    }

    function _idFor(address owner) private returns (uint32 userId) {
        userId = userIdOf[owner];
        if (userId != 0) return userId;
        userId = ++userCount;
        userIdOf[owner] = userId;
        ownerOf[userId] = owner;
        emit UserAdded(userId, owner);
    }

    function _withdraw(uint32 userId, uint96 amount, address to) private returns (uint256 tokens) {
        uint96 debited;
        (tokens, debited) = _wholeTokens(amount);
        _take(userId, debited);
        emit Withdrawn(userId, to, tokens, debited);
        _send(to, tokens);
    }

    function _take(uint32 userId, uint96 amount) private {
        require(amount != 0, ZeroAmount());
        Account storage account = _accounts[userId];
        uint96 free = account.free;
        require(free >= amount, InsufficientCredits(userId, free, amount));
        account.free = free - amount;
    }

    function _takeFromModule(uint96 amount) private {
        require(amount != 0, ZeroAmount());
        Module storage module = _modules[msg.sender];
        uint128 balance = module.balance;
        require(balance >= amount, InsufficientModuleBalance(msg.sender, balance, amount));
        module.balance = balance - amount;
    }

    function _useNonce(uint32 userId, uint256 nonce) private {
        Account storage account = _accounts[userId];
        uint64 expected = account.nonce;
        require(nonce == expected, WrongNonce(userId, nonce, expected));
        account.nonce = expected + 1;
    }

    function _send(address to, uint256 tokens) private {
        require(to != address(0) && to != address(this), BadRecipient(to));
        TOKEN.safeTransfer(to, tokens);
    }

    function _checkModule(uint32 userId) private view {
        require(_isActive(_modules[msg.sender]), NotModule(msg.sender));
        require(_isLetIn(msg.sender, userId), ModuleNotApproved(msg.sender, userId));
    }

    function _isActive(Module memory module) private view returns (bool) {
        return module.state == _GENESIS || (module.state == _LATER && _CLOCK.clock() >= module.activeFrom);
    }

    /// @dev Whoever has credits here knew the first modules; it must not be made to trust others.
    function _isLetIn(address module, uint32 userId) private view returns (bool) {
        return _modules[module].state == _GENESIS || _approvals[userId][module];
    }

    /// @dev Rounds down to whole token units: what is below one stays where it is.
    function _wholeTokens(uint96 amount) private view returns (uint256 tokens, uint96 debited) {
        tokens = amount / SCALE;
        require(tokens != 0, BelowOneToken(amount, SCALE));
        // at most `amount`
        debited = uint96(tokens * SCALE);
    }
}
