// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPrices} from "../interfaces/IPrices.sol";
import {ROLE_PROVIDER} from "../types/Roles.sol";
import {Identities} from "./Identities.sol";

/// @notice Models and versioned prices.
abstract contract Prices is Identities {
    uint256 private constant _MAX_SLUG_BYTES = 96;
    uint8 private constant _TOKEN = 1;
    uint8 private constant _LAST_KIND = 5;
    /// @dev One bit per byte that a slug may have: + - . / 0-9 : @ _ a-z
    uint256 private constant _SLUG_BYTES =
        (1 << 0x2b) |
            (1 << 0x2d) |
            (1 << 0x2e) |
            (1 << 0x2f) |
            (0x3ff << 0x30) |
            (1 << 0x3a) |
            (1 << 0x40) |
            (1 << 0x5f) |
            (0x3ffffff << 0x61);

    uint32 private immutable _PRICE_NOTICE;

    /// @inheritdoc IPrices
    uint32 public modelCount;
    mapping(bytes32 slugHash => uint32 modelId) private _modelIds;
    /// @inheritdoc IPrices
    mapping(uint32 modelId => string slug) public slugOf;
    /// @inheritdoc IPrices
    mapping(uint32 providerId => mapping(uint32 modelId => uint32 version)) public latestVersion;
    mapping(uint32 providerId => mapping(uint32 modelId => mapping(uint32 version => Price price))) private _prices;

    constructor() {
        _PRICE_NOTICE = CLOCK.windows().priceNotice;
    }

    /// @inheritdoc IPrices
    function registerModel(string calldata slug) external returns (uint32 modelId) {
        _checkSlug(slug);
        bytes32 slugHash = keccak256(bytes(slug));
        require(_modelIds[slugHash] == 0, ModelExists(_modelIds[slugHash]));
        modelId = ++modelCount;
        _modelIds[slugHash] = modelId;
        slugOf[modelId] = slug;
        emit ModelRegistered(modelId, slugHash, slug);
    }

    /// @inheritdoc IPrices
    function setPrice(
        uint32 providerId,
        uint32 modelId,
        uint64 p0,
        uint64 p1,
        uint64 p2,
        uint24 kinds
    ) external returns (uint32 version) {
        _checkActiveOwner(ROLE_PROVIDER, providerId);
        require(modelId != 0 && modelId <= modelCount, UnknownModel(modelId));
        Price memory price = Price({p0: p0, p1: p1, p2: p2, effectiveFrom: 0, kinds: kinds});
        _checkPrice(price);
        version = latestVersion[providerId][modelId];
        price.effectiveFrom = _effectiveFrom(version, _prices[providerId][modelId][version], price);
        latestVersion[providerId][modelId] = ++version;
        _prices[providerId][modelId][version] = price;
        emit PriceSet(providerId, modelId, version, p0, p1, p2, kinds, price.effectiveFrom);
    }

    /// @inheritdoc IPrices
    function modelIdOf(string calldata slug) external view returns (uint32) {
        return _modelIds[keccak256(bytes(slug))];
    }

    /// @inheritdoc IPrices
    function priceOf(uint32 providerId, uint32 modelId, uint32 version) external view returns (Price memory) {
        return _prices[providerId][modelId][version];
    }

    /// @inheritdoc IPrices
    function currentPriceOf(
        uint32 providerId,
        uint32 modelId
    ) external view returns (uint32 version, Price memory price) {
        version = latestVersion[providerId][modelId];
        price = _prices[providerId][modelId][version];
        // only the newest version can be waiting; the one before it was in force when it was set
        if (version != 0 && price.effectiveFrom > _now()) price = _prices[providerId][modelId][--version];
    }

    /// @dev Strictly after the last version, so that every version was in force for a while, if only a second.
    function _effectiveFrom(
        uint32 version,
        Price memory last,
        Price memory next
    ) private view returns (uint40 effectiveFrom) {
        effectiveFrom = _now();
        if (version == 0) return effectiveFrom;
        require(last.effectiveFrom <= effectiveFrom, PricePending(version, last.effectiveFrom));
        bool isRise = next.kinds != last.kinds || next.p0 > last.p0 || next.p1 > last.p1 || next.p2 > last.p2;
        if (isRise) return effectiveFrom + _PRICE_NOTICE;
        return last.effectiveFrom == effectiveFrom ? effectiveFrom + 1 : effectiveFrom;
    }

    function _checkPrice(Price memory price) private pure {
        uint24 kinds = price.kinds;
        uint8[3] memory kind = [uint8(kinds >> 16), uint8(kinds >> 8), uint8(kinds)];
        uint64[3] memory amounts = [price.p0, price.p1, price.p2];
        require(kinds != 0, InvalidKinds(kinds));
        for (uint256 unit = 0; unit < 3; ++unit) {
            require(kind[unit] <= _LAST_KIND, InvalidKinds(kinds));
            require(kind[unit] != 0 || amounts[unit] == 0, PriceWithoutKind(unit, amounts[unit]));
        }
        bool isText = kind[0] == _TOKEN && kind[1] == _TOKEN;
        require(!isText || price.p1 <= price.p0, CachedPriceTooHigh(price.p1, price.p0));
    }

    function _checkSlug(string calldata slug) private pure {
        bytes calldata text = bytes(slug);
        require(text.length != 0 && text.length <= _MAX_SLUG_BYTES, InvalidSlug(slug));
        for (uint256 i = 0; i < text.length; ++i) {
            require((_SLUG_BYTES >> uint8(text[i])) & 1 == 1, InvalidSlug(slug));
        }
    }
}
