// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @notice Play money for networks without value: anyone mints.
contract TestDollar is ERC20Permit {
    constructor() ERC20("AiMo Test Dollar", "tUSD") ERC20Permit("AiMo Test Dollar") {}

    /// @notice Makes `amount` base units out of nothing.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Six, like the dollar tokens it stands in for.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
