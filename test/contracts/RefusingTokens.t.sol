// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {TestDollar} from "../../contracts/test/TestDollar.sol";
import {RefusingDollar} from "./support/DepositDoubles.sol";
import {Paying} from "./support/Paying.sol";

/// @notice A token that stops moving, as one does whose issuer froze somebody: nobody is credited for what did not
/// come, nobody is debited for what did not go, and later all of it can be had.
contract RefusingTokensTest is Paying {
    function test_tokenThatReverts_changesNothing() public {
        changesNothing(RefusingDollar.Refusal.Revert, abi.encodeWithSelector(RefusingDollar.Frozen.selector));
    }

    /// @dev Nor does one that only says that it failed.
    function test_tokenThatReturnsFalse_changesNothing() public {
        changesNothing(
            RefusingDollar.Refusal.False,
            abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, token)
        );
    }

    function makeToken() internal override returns (TestDollar) {
        return new RefusingDollar();
    }

    /// @dev Everything that moves tokens is refused for the token's reason, and works again when the token does.
    function changesNothing(RefusingDollar.Refusal refusal, bytes memory reason) private {
        Move[] memory moves = tokenMoves();
        RefusingDollar(address(token)).refuse(refusal);
        bytes32 before = books();
        for (uint256 i = 0; i < moves.length; ++i) {
            (bool ok, bytes memory answer) = send(moves[i]);
            yes(!ok, moves[i].name);
            eq(keccak256(answer), keccak256(reason), moves[i].name);
            eq(books(), before, moves[i].name);
        }
        RefusingDollar(address(token)).refuse(RefusingDollar.Refusal.None);
        for (uint256 i = 0; i < moves.length; ++i) {
            (bool ok, ) = send(moves[i]);
            yes(ok, moves[i].name);
            booksBalance();
        }
        // withdrawn, earned by the provider and the relay, by voucher
        eq(token.balanceOf(ELSEWHERE), TOKEN_USD * 1290 / 100, "paid in the end");
        eq(token.balanceOf(TREASURY), TOKEN_USD / 10, "the treasury too");
    }
}
