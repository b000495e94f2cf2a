// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Models and the versioned prices that providers ask for them. A version never changes once it is set.
interface IPrices {
    /// @param p0 Price of units0, pUSD per unit.
    /// @param p1 Price of units1.
    /// @param p2 Price of units2.
    /// @param effectiveFrom Protocol time from which it holds, until the next version does; 0 if there is no such version.
    /// @param kinds Kinds of the three units, u8 each, that of units0 in the highest byte: 0 none, 1 token, 2 image,
    /// 3 millisecond, 4 character, 5 request.
    struct Price {
        uint64 p0;
        uint64 p1;
        uint64 p2;
        uint40 effectiveFrom;
        uint24 kinds;
    }

    /// @notice A model got its id.
    event ModelRegistered(uint32 indexed modelId, bytes32 indexed slugHash, string slug);
    /// @notice A provider set a new version of its price for a model.
    event PriceSet(
        uint32 indexed providerId,
        uint32 indexed modelId,
        uint32 indexed version,
        uint64 p0,
        uint64 p1,
        uint64 p2,
        uint24 kinds,
        uint40 effectiveFrom
    );

    /// @notice Thrown when a slug is empty, too long, or has a byte other than a-z 0-9 - . _ : / @ +
    error InvalidSlug(string slug);
    /// @notice Thrown when a slug has an id already.
    error ModelExists(uint32 modelId);
    /// @notice Thrown when no model has this id.
    error UnknownModel(uint32 modelId);
    /// @notice Thrown when a price is set while a rise waits for its notice.
    error PricePending(uint32 version, uint40 effectiveFrom);
    /// @notice Thrown when the three kinds name none, or one that does not exist.
    error InvalidKinds(uint24 kinds);
    /// @notice Thrown when a unit of no kind has a price.
    error PriceWithoutKind(uint256 unit, uint64 price);
    /// @notice Thrown when cached prompt tokens would cost more than others.
    error CachedPriceTooHigh(uint64 p1, uint64 p0);

    /// @notice Gives a slug its model id. Anyone may; one id per slug for the whole network.
    function registerModel(string calldata slug) external returns (uint32 modelId);

    /// @notice Sets what a provider asks for a model. A rise (any price up or any kind changed) takes effect after the
    /// price notice, anything else at once. While a rise waits nothing else can be set.
    function setPrice(
        uint32 providerId,
        uint32 modelId,
        uint64 p0,
        uint64 p1,
        uint64 p2,
        uint24 kinds
    ) external returns (uint32 version);

    /// @notice Number of models; ids run from 1 to it.
    function modelCount() external view returns (uint32);

    /// @notice Id of a slug, 0 if it has none.
    function modelIdOf(string calldata slug) external view returns (uint32);

    /// @notice Slug of a model id, empty if there is none.
    function slugOf(uint32 modelId) external view returns (string memory);

    /// @notice Newest version, which may not be in force yet; 0 if there is none. Versions run from 1 to it.
    function latestVersion(uint32 providerId, uint32 modelId) external view returns (uint32);

    /// @notice A version of a price; all zero if there is none.
    function priceOf(uint32 providerId, uint32 modelId, uint32 version) external view returns (Price memory);

    /// @notice The version in force now and its price; version 0 if there is none.
    function currentPriceOf(
        uint32 providerId,
        uint32 modelId
    ) external view returns (uint32 version, Price memory price);
}
