// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TestDollar} from "../../../contracts/test/TestDollar.sol";
import {Depositing} from "../support/Depositing.sol";

/// @notice The play token takes ERC-3009 authorizations as USDC does.
contract TestDollarTest is Depositing {
    struct Signed {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    address private immutable ALICE = user(1);
    address private immutable BOB = user(2);
    bytes32 private constant _TYPE_OF_TRANSFER =
        keccak256(
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
    bytes32 private constant _TYPE_OF_RECEIVE =
        keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );

    function setUp() public override {
        super.setUp();
        token.mint(ALICE, 100);
    }

    function test_transferWithAuthorization_isForAnybodyToSubmitOnce() public {
        Signed memory message = signed(_TYPE_OF_TRANSFER, "n", 0, NEVER);
        vm.expectEmit(true, true, true, true, address(token));
        emit TestDollar.AuthorizationUsed(ALICE, "n");
        transfer(message);
        eq(token.balanceOf(BOB), 10, "paid");
        yes(token.authorizationState(ALICE, "n"), "used");
        yes(!token.authorizationState(BOB, "n"), "nonces are the payer's own");
        vm.expectRevert(abi.encodeWithSelector(TestDollar.NonceUsed.selector, ALICE, bytes32("n")));
        transfer(message);
        // the two kinds share their nonces
        message = signed(_TYPE_OF_RECEIVE, "n", 0, NEVER);
        vm.expectRevert(abi.encodeWithSelector(TestDollar.NonceUsed.selector, ALICE, bytes32("n")));
        receiveAs(BOB, message);
    }

    function test_receiveWithAuthorization_isForThePayee() public {
        Signed memory message = signed(_TYPE_OF_RECEIVE, "n", 0, NEVER);
        vm.expectRevert(abi.encodeWithSelector(TestDollar.CallerNotPayee.selector, address(this), BOB));
        receiveAs(address(this), message);
        receiveAs(BOB, message);
        eq(token.balanceOf(BOB), 10, "received");
    }

    function test_authorizations_areOfOneKind() public {
        Signed memory message = signed(_TYPE_OF_RECEIVE, "n", 0, NEVER);
        address other = ecrecover(digest(_TYPE_OF_TRANSFER, message), message.v, message.r, message.s);
        vm.expectRevert(abi.encodeWithSelector(TestDollar.AuthorizationNotSigned.selector, other, ALICE));
        transfer(message);
        message = signed(_TYPE_OF_TRANSFER, "n", 0, NEVER);
        other = ecrecover(digest(_TYPE_OF_RECEIVE, message), message.v, message.r, message.s);
        vm.expectRevert(abi.encodeWithSelector(TestDollar.AuthorizationNotSigned.selector, other, ALICE));
        receiveAs(BOB, message);
    }

    function test_authorizations_holdStrictlyBetweenTheirTimes() public {
        Signed memory message = signed(_TYPE_OF_TRANSFER, "n", START, NEVER);
        vm.expectRevert(abi.encodeWithSelector(TestDollar.AuthorizationTooEarly.selector, START));
        transfer(message);
        skip(1);
        transfer(message);
        message = signed(_TYPE_OF_TRANSFER, "m", 0, START + 1);
        vm.expectRevert(abi.encodeWithSelector(TestDollar.AuthorizationExpired.selector, START + 1));
        transfer(message);
    }

    function test_decimals_areThoseOfDollarTokens() public view {
        eq(token.decimals(), 6, "decimals");
    }

    function signed(
        bytes32 kind,
        bytes32 nonce,
        uint256 validAfter,
        uint256 validBefore
    ) private view returns (Signed memory message) {
        (message.from, message.to, message.value, message.nonce) = (ALICE, BOB, 10, nonce);
        (message.validAfter, message.validBefore) = (validAfter, validBefore);
        (message.v, message.r, message.s) = vm.sign(userKey(1), digest(kind, message));
    }

    function digest(bytes32 kind, Signed memory message) private view returns (bytes32) {
        bytes memory data = abi.encode(
            kind,
            message.from,
            message.to,
            message.value,
            message.validAfter,
            message.validBefore,
            message.nonce
        );
        return tokenDigest(keccak256(data));
    }

    function transfer(Signed memory message) private {
        call(abi.encodePacked(TestDollar.transferWithAuthorization.selector, abi.encode(message)));
    }

    function receiveAs(address caller, Signed memory message) private {
        bytes memory data = abi.encodePacked(TestDollar.receiveWithAuthorization.selector, abi.encode(message));
        vm.prank(caller);
        call(data);
    }

    /// @dev The fields of a message are the arguments; passed one by one they would not fit the stack.
    function call(bytes memory data) private {
        (bool ok, bytes memory answer) = address(token).call(data);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }
}
