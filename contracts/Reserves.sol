// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Timed} from "./Timed.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IReserves} from "./interfaces/IReserves.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Messages, ProviderVoucher} from "./libraries/Messages.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId} from "./types/Roles.sol";

/// @notice Reserves of relays for providers; see the interface.
contract Reserves is IReserves, Timed, ReentrancyGuardTransient {
    using Messages for ProviderVoucher;

    struct Limit {
        uint96 amount;
        bool isSet;
    }

    uint96 private constant _DEFAULT_LIMIT = 0.5e12;

    ICreditVault private immutable _VAULT;
    IRegistry private immutable _REGISTRY;
    ISettlement private immutable _SETTLEMENT;
    uint256 private immutable _SCALE;
    uint32 private immutable _THAW;

    mapping(uint32 relayId => mapping(uint32 providerId => Reserve reserve)) private _reserves;
    mapping(uint32 providerId => Limit limit) private _limits;

    constructor(
        IProtocolClock clock_,
        ICreditVault vault,
        IRegistry registry,
        ISettlement settlement_
    ) Timed(clock_) {
        require(vault.moduleOf(address(this)).state != 0, WrongWiring(address(vault)));
        require(settlement_.RESERVES() == address(this), WrongWiring(address(settlement_)));
        _VAULT = vault;
        _REGISTRY = registry;
        _SETTLEMENT = settlement_;
        _SCALE = vault.SCALE();
        _THAW = clock_.windows().channelThaw;
    }

    /// @inheritdoc IReserves
    function fundReserve(uint32 relayId, uint32 providerId, uint96 amount) external nonReentrant {
        _nowRunning();
        _checkExists(ROLE_RELAY, relayId);
        _checkExists(ROLE_PROVIDER, providerId);
        require(amount != 0, ZeroReserve());
        uint32 userId = _VAULT.userIdOf(msg.sender);
        require(userId != 0, UnknownPayer(msg.sender));
        _reserves[relayId][providerId].amount += amount;
        emit ReserveFunded(relayId, providerId, msg.sender, amount);
        _VAULT.lock(userId, amount);
    }

    /// @inheritdoc IReserves
    function thawReserve(uint32 relayId, uint32 providerId, uint96 amount) external nonReentrant {
        _checkOwner(ROLE_RELAY, relayId);
        Reserve storage reserve = _reserves[relayId][providerId];
        require(reserve.thawEnd == 0, ThawActive(reserve.thawEnd));
        if (amount > reserve.amount) amount = reserve.amount;
        require(amount != 0, ZeroReserve());
        uint40 thawEnd = _now() + _THAW;
        (reserve.thawing, reserve.thawEnd) = (amount, thawEnd);
        emit ReserveThawStarted(relayId, providerId, amount, thawEnd);
    }

    /// @inheritdoc IReserves
    function cancelReserveThaw(uint32 relayId, uint32 providerId) external nonReentrant {
        _checkOwner(ROLE_RELAY, relayId);
        Reserve storage reserve = _reserves[relayId][providerId];
        require(reserve.thawEnd != 0, NoThaw(relayId, providerId));
        emit ReserveThawCancelled(relayId, providerId, reserve.thawing);
        (reserve.thawing, reserve.thawEnd) = (0, 0);
    }

    /// @inheritdoc IReserves
    function withdrawReserve(uint32 relayId, uint32 providerId) external nonReentrant returns (uint96 amount) {
        address owner = _checkOwner(ROLE_RELAY, relayId);
        uint32 userId = _VAULT.userIdOf(owner);
        require(userId != 0, UnknownPayer(owner));
        Reserve storage reserve = _reserves[relayId][providerId];
        (uint40 thawEnd, uint40 time) = (reserve.thawEnd, _now());
        require(thawEnd != 0, NoThaw(relayId, providerId));
        require(time >= thawEnd, StillThawing(thawEnd, time));
        // redemptions may have left less than was asked back
        amount = reserve.thawing < reserve.amount ? reserve.thawing : reserve.amount;
        reserve.amount -= amount;
        (reserve.thawing, reserve.thawEnd) = (0, 0);
        emit ReserveWithdrawn(relayId, providerId, amount);
        if (amount != 0) _VAULT.release(userId, amount);
    }

    /// @inheritdoc IReserves
    function redeemProviderVoucher(
        ProviderVoucher calldata voucher,
        bytes calldata signature,
        address to
    ) external nonReentrant returns (uint80 paidNow) {
        (uint32 relayId, uint32 providerId) = (voucher.relayId, voucher.providerId);
        _checkPayee(providerId, to);
        _checkSigner(voucher, signature);
        uint80 paid = _SETTLEMENT.providerAccountOf(relayId, providerId).paid;
        require(voucher.cumulative > paid, StaleVoucher(voucher.cumulative, paid));
        uint96 held = _reserves[relayId][providerId].amount;
        uint96 due = voucher.cumulative - paid;
        if (due > held) due = held;
        // whole token units only: what is below one stays owed
        due -= uint96(due % _SCALE);
        require(due != 0, EmptyReserve(relayId, providerId, held));
        // at most the voucher's cumulative, which fits
        paidNow = uint80(due);
        _reserves[relayId][providerId].amount = held - due;
        emit ProviderVoucherRedeemed(relayId, providerId, to, voucher.cumulative, paidNow);
        _SETTLEMENT.notePaid(relayId, providerId, paidNow);
        _VAULT.payOut(to, due);
    }

    /// @inheritdoc IReserves
    function setCreditLimit(uint32 providerId, uint96 limit) external {
        _checkOwner(ROLE_PROVIDER, providerId);
        _limits[providerId] = Limit({amount: limit, isSet: true});
        emit CreditLimitSet(providerId, limit);
    }

    /// @inheritdoc IReserves
    function reserveOf(uint32 relayId, uint32 providerId) external view returns (Reserve memory reserve) {
        reserve = _reserves[relayId][providerId];
        if (reserve.thawing > reserve.amount) reserve.thawing = reserve.amount;
    }

    /// @inheritdoc IReserves
    function creditLimitOf(uint32 providerId) external view returns (uint96) {
        Limit memory limit = _limits[providerId];
        return limit.isSet ? limit.amount : _DEFAULT_LIMIT;
    }

    function _checkSigner(ProviderVoucher calldata voucher, bytes calldata signature) private view {
        bytes32 digest = MessageHashUtils.toTypedDataHash(_SETTLEMENT.domainSeparator(), voucher.hash());
        (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signature);
        bool isSigned = problem == ECDSA.RecoverError.NoError;
        require(
            isSigned && _REGISTRY.isSignerValid(ROLE_RELAY, voucher.relayId, signer, _now()),
            BadVoucherSigner(voucher.relayId, signer)
        );
    }

    /// @dev Anybody may push a provider's money to its owner; only the owner sends it elsewhere.
    function _checkPayee(uint32 providerId, address to) private view {
        address owner = _REGISTRY.ownerOf(ROLE_PROVIDER, providerId);
        require(owner != address(0), UnknownId(ROLE_PROVIDER, providerId));
        require(msg.sender == owner || to == owner, NotPayee(msg.sender, to));
    }

    function _checkOwner(uint8 role, uint32 id) private view returns (address owner) {
        owner = _REGISTRY.ownerOf(role, id);
        require(owner != address(0), UnknownId(role, id));
        require(msg.sender == owner, NotOwner(role, id, msg.sender));
    }

    function _checkExists(uint8 role, uint32 id) private view {
        require(_REGISTRY.ownerOf(role, id) != address(0), UnknownId(role, id));
    }
}
