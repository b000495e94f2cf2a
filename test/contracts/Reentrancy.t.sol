// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TestDollar} from "../../contracts/test/TestDollar.sol";
import {CallbackDollar} from "./support/DepositDoubles.sol";
import {Paying} from "./support/Paying.sol";

/// @notice A hostile token that is also the payee: it is owed everything, so nothing but a guard stands between its
/// calls in the middle of a transfer and the books.
contract ReentrancyTest is Paying {
    /// @dev Into the same contract or another: while tokens move, none move besides.
    function test_payouts_cannotBeEnteredFromAnyOther() public {
        Move[] memory moves = tokenMoves();
        bytes32 before = books();
        for (uint256 outer = 0; outer < moves.length; ++outer) {
            for (uint256 inner = 0; inner < moves.length; ++inner) {
                arm(moves[inner]);
                isRefused(moves[outer], moves[inner]);
                eq(books(), before, "nothing has changed");
            }
        }
    }

    /// @dev The contract that is being paid from moves no credits either, until it is done.
    function test_payouts_keepTheirOwnContractClosed() public {
        (Move[] memory payouts, Move[] memory moves) = (tokenMoves(), creditMoves());
        bytes32 before = books();
        for (uint256 outer = 0; outer < payouts.length; ++outer) {
            for (uint256 inner = 0; inner < moves.length; ++inner) {
                if (payouts[outer].target != moves[inner].target) continue;
                arm(moves[inner]);
                isRefused(payouts[outer], moves[inner]);
                eq(books(), before, "nothing has changed");
            }
        }
    }

    /// @dev What another contract does meanwhile is as if it had been done afterwards.
    function test_creditsMovedDuringAPayout_areAsMovedAfterIt() public {
        (Move[] memory payouts, Move[] memory moves) = (tokenMoves(), creditMoves());
        uint256 start = vm.snapshotState();
        for (uint256 outer = 0; outer < payouts.length; ++outer) {
            for (uint256 inner = 0; inner < moves.length; ++inner) {
                if (payouts[outer].target == moves[inner].target) continue;
                goesThrough(payouts[outer]);
                goesThrough(moves[inner]);
                bytes32 after_ = books();
                vm.revertToState(start);
                arm(moves[inner]);
                goesThrough(payouts[outer]);
                eq(books(), after_, string.concat(moves[inner].name, " during ", payouts[outer].name));
                vm.revertToState(start);
            }
        }
    }

    function makeToken() internal override returns (TestDollar) {
        return new CallbackDollar();
    }

    function payeeOf() internal view override returns (address) {
        return address(token);
    }

    function arm(Move memory move) private {
        CallbackDollar(address(token)).arm(move.target, move.data);
    }

    function goesThrough(Move memory move) private {
        (bool ok, ) = send(move);
        yes(ok, move.name);
        booksBalance();
    }

    function isRefused(Move memory outer, Move memory inner) private {
        (bool ok, bytes memory answer) = send(outer);
        string memory what = string.concat(inner.name, " during ", outer.name);
        yes(!ok, what);
        eq(keccak256(answer), keccak256(abi.encodeWithSignature("ReentrancyGuardReentrantCall()")), what);
    }
}
