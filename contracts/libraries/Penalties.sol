// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What a proven loss costs, and who gets it. All in pUSD.
library Penalties {
    uint256 private constant _TIMES_LOSS = 10;
    uint256 private constant _PART_OF_BOND = 100;
    uint96 private constant _CHALLENGER_PART = 5;
    uint96 private constant _MOST_FOR_CHALLENGER = 1_000e12;

    /// @notice loss + max(10 x loss, 1 % of the bond), at most the bond.
    function total(uint96 loss, uint96 bond) internal pure returns (uint96) {
        uint256 fine = _TIMES_LOSS * uint256(loss);
        uint256 least = uint256(bond) / _PART_OF_BOND;
        uint256 wanted = uint256(loss) + (fine > least ? fine : least);
        return wanted < bond ? uint96(wanted) : bond;
    }

    /// @notice The victim first; of the rest a fifth to the challenger, at most 1,000 USD; what remains to nobody.
    function split(
        uint96 taken,
        uint96 loss
    ) internal pure returns (uint96 toVictim, uint96 toChallenger, uint96 toNobody) {
        toVictim = loss < taken ? loss : taken;
        uint96 rest = taken - toVictim;
        toChallenger = rest / _CHALLENGER_PART;
        if (toChallenger > _MOST_FOR_CHALLENGER) toChallenger = _MOST_FOR_CHALLENGER;
        toNobody = rest - toChallenger;
    }
}
