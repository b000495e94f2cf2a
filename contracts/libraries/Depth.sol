// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice Depth of the trees: the least power of two with room for all leaves.
library Depth {
    /// @notice ceil(log2(count)); 0 for none or one.
    function forLeaves(uint256 count) internal pure returns (uint256) {
        return count < 2 ? 0 : Math.log2(count - 1) + 1;
    }
}
