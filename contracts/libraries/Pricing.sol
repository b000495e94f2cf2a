// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice The money formulas. A price in micro-USD per million units is the price in pUSD per unit, so costs are exact.
library Pricing {
    uint256 internal constant BPS = 10_000;

    /// @notice What these units cost, in pUSD; it may be more than any receipt can say.
    function cost(uint32[3] memory units, uint64[3] memory prices) internal pure returns (uint256) {
        // three products of 32 by 64 bits: far from 256
        return uint256(units[0]) * prices[0] + uint256(units[1]) * prices[1] + uint256(units[2]) * prices[2];
    }

    /// @notice The most a relay may charge for a request of that cost. Rounds the fee down, in the user's favour.
    function chargeBound(uint64 cost_, uint256 relayFeeBps) internal pure returns (uint256) {
        return uint256(cost_) + (uint256(cost_) * relayFeeBps) / BPS;
    }

    /// @notice What a relay owes the protocol on the debits of one post. Rounds down, in the relay's favour.
    function protocolFee(uint256 debits, uint256 protocolFeeBps) internal pure returns (uint256) {
        return (debits * protocolFeeBps) / BPS;
    }
}
