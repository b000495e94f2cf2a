// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IDepositRouter} from "../../../contracts/interfaces/IDepositRouter.sol";
import {SpendAuthorization} from "../../../contracts/libraries/Messages.sol";
import {TestDollar} from "../../../contracts/test/TestDollar.sol";
import {CallbackDollar} from "../support/DepositDoubles.sol";
import {Depositing} from "../support/Depositing.sol";
import {AnswersYes, FeeOnTransferDollar} from "../support/Doubles.sol";
import {Permit2Double} from "../support/Permit2Double.sol";

/// @notice What the router refuses, and what a stranger can do with somebody's signatures and allowances: nothing.
contract DepositRouterTest is Depositing {
    address private immutable ALICE = user(1);
    uint256 private constant TOKENS = 20 * TOKEN_USD;

    function setUp() public override {
        super.setUp();
        token.mint(ALICE, 10 * TOKENS);
    }

    function test_constructor_wantsTheSettlementsVault() public {
        ICreditVault other = ICreditVault(create("CreditVault", abi.encode(clock, manager, token, new address[](0))));
        vm.expectRevert(abi.encodeWithSelector(IDepositRouter.WrongWiring.selector, address(settlement)));
        this.routerOf(other);
        eq(address(router.VAULT()), address(vault), "vault");
        eq(address(router.SETTLEMENT()), address(settlement), "settlement");
        eq(address(router.TOKEN()), address(token), "token");
        eq(address(router.PERMIT2()), address(permit2), "Permit2");
        eq(router.nonceFor(ALICE, "salt"), keccak256(abi.encode(ALICE, bytes32("salt"))), "nonce");
    }

    // ---- All three ----

    function test_deposit_refusesNothing() public {
        bytes memory reason = abi.encodeWithSelector(ICreditVault.ZeroAmount.selector);
        refused(permitBy(1, 0), reason);
        refused(paymentBy(1, ALICE, 0, 0), reason);
        refused(transferBy(1, 0, 0), reason);
        refused(
            paymentBy(1, address(0), TOKENS, 0),
            abi.encodeWithSelector(ICreditVault.BadRecipient.selector, address(0))
        );
    }

    // ---- ERC-3009 ----

    function test_depositByAuthorization_worksOnce() public {
        IDepositRouter.Authorization memory payment = paymentBy(1, ALICE, TOKENS, "salt");
        router.depositByAuthorization(payment);
        bytes32 nonce = keccak256(abi.encode(ALICE, bytes32("salt")));
        refused(payment, abi.encodeWithSelector(TestDollar.NonceUsed.selector, ALICE, nonce));
        credited(ALICE, TOKENS);
        // the salt belongs to whom it credits
        router.depositByAuthorization(paymentBy(1, user(2), TOKENS, "salt"));
        eq(free(user(2)), TOKENS * SCALE, "another owner");
    }

    function test_depositByAuthorization_cannotBeRedirectedOrChanged() public {
        IDepositRouter.Authorization[6] memory changed;
        for (uint256 i = 0; i < 6; ++i) changed[i] = paymentBy(1, ALICE, TOKENS, "salt");
        changed[0].owner = MALLORY;
        changed[1].salt = "other";
        changed[2].tokens = TOKENS - 1;
        changed[3].validAfter = 1;
        changed[4].validBefore -= 1;
        changed[5].from = user(2);
        for (uint256 i = 0; i < 6; ++i) {
            address signer = ecrecover(paymentDigest(changed[i]), changed[i].v, changed[i].r, changed[i].s);
            refused(
                changed[i],
                abi.encodeWithSelector(TestDollar.AuthorizationNotSigned.selector, signer, changed[i].from)
            );
        }
        leftNothing();
    }

    /// @dev Only the router can use it, and the router only for whom it names.
    function test_depositByAuthorization_cannotBeUsedAtTheToken() public {
        IDepositRouter.Authorization memory payment = paymentBy(1, ALICE, TOKENS, 0);
        bytes32 nonce = router.nonceFor(ALICE, 0);
        vm.expectRevert(
            abi.encodeWithSelector(TestDollar.CallerNotPayee.selector, address(this), address(router))
        );
        token.receiveWithAuthorization(
            ALICE,
            address(router),
            TOKENS,
            0,
            NEVER,
            nonce,
            payment.v,
            payment.r,
            payment.s
        );
    }

    function test_depositByAuthorization_holdsBetweenItsTimes() public {
        refused(
            paymentIn(1, ALICE, TOKENS, 0, START, NEVER),
            abi.encodeWithSelector(TestDollar.AuthorizationTooEarly.selector, START)
        );
        refused(
            paymentIn(1, ALICE, TOKENS, 0, 0, START),
            abi.encodeWithSelector(TestDollar.AuthorizationExpired.selector, START)
        );
        router.depositByAuthorization(paymentIn(1, ALICE, TOKENS, 0, START - 1, START + 1));
    }

    // ---- Permit2 ----

    function test_depositByPermit2_worksOnceInAnyOrder() public {
        approvePermit2(1);
        IDepositRouter.Permit2Transfer memory transfer = transferBy(1, TOKENS, 513);
        router.depositByPermit2(transfer);
        refused(transfer, abi.encodeWithSelector(Permit2Double.InvalidNonce.selector));
        router.depositByPermit2(transferBy(1, TOKENS, 512));
        router.depositByPermit2(transferBy(1, TOKENS, 1));
        eq(permit2.nonceBitmap(ALICE, 2), 3, "two bits of the third word");
        credited(ALICE, 3 * TOKENS);
    }

    function test_depositByPermit2_refusesEveryChange() public {
        approvePermit2(1);
        IDepositRouter.Permit2Transfer[5] memory changed;
        for (uint256 i = 0; i < 4; ++i) changed[i] = transferBy(1, TOKENS, 0);
        changed[0].owner = user(2);
        changed[1].tokens = TOKENS - 1;
        changed[2].nonce = 1;
        changed[3].deadline -= 1;
        IDepositRouter first = router;
        router = IDepositRouter(create("DepositRouter", abi.encode(vault, settlement, permit2)));
        // signed for another router
        changed[4] = transferBy(1, TOKENS, 0);
        router = first;
        for (uint256 i = 0; i < 5; ++i) {
            refused(changed[i], abi.encodeWithSelector(Permit2Double.InvalidSigner.selector));
        }
        IDepositRouter.Permit2Transfer memory late = transferUntil(1, TOKENS, 0, START - 1);
        refused(late, abi.encodeWithSelector(Permit2Double.SignatureExpired.selector, START - 1));
    }

    function test_depositByPermit2_takesAWalletsWord() public {
        AnswersYes wallet = new AnswersYes();
        token.mint(address(wallet), TOKENS);
        vm.prank(address(wallet));
        token.approve(address(permit2), TOKENS);
        IDepositRouter.Permit2Transfer memory transfer = transferBy(1, TOKENS, 0);
        (transfer.owner, transfer.signature) = (address(wallet), "no");
        refused(transfer, abi.encodeWithSelector(Permit2Double.InvalidContractSignature.selector));
        transfer.signature = "yes";
        router.depositByPermit2(transfer);
        credited(address(wallet), TOKENS);
    }

    function test_depositByPermit2_saysWhenThereIsNone() public {
        router = IDepositRouter(create("DepositRouter", abi.encode(vault, settlement, address(0x22d4))));
        refused(transferBy(1, TOKENS, 0), abi.encodeWithSelector(IDepositRouter.NoPermit2.selector, address(0x22d4)));
    }

    // ---- Tokens ----

    function test_deposit_refusesATokenThatTakesAFee() public {
        use(new FeeOnTransferDollar());
        token.mint(ALICE, 10 * TOKENS);
        approvePermit2(1);
        bytes memory reason = abi.encodeWithSelector(IDepositRouter.PulledMismatch.selector, TOKENS - 1, TOKENS);
        refused(permitBy(1, TOKENS), reason);
        refused(paymentBy(1, ALICE, TOKENS, 0), reason);
        refused(transferBy(1, TOKENS, 0), reason);
        // nor with the help of what lies in the router
        token.mint(address(router), TOKENS);
        refused(paymentBy(1, ALICE, TOKENS, 0), reason);
    }

    function test_deposit_leavesAloneWhatLiesInTheRouter() public {
        token.mint(address(router), 3 * TOKENS);
        router.depositByPermit(permitBy(1, TOKENS));
        eq(free(ALICE), TOKENS * SCALE, "credited");
        eq(token.balanceOf(address(router)), 3 * TOKENS, "as before");
        eq(token.allowance(address(router), address(vault)), 0, "the vault may take nothing more");
    }

    function test_deposit_cannotBeEnteredAgain() public {
        CallbackDollar calling = new CallbackDollar();
        use(calling);
        token.mint(ALICE, 10 * TOKENS);
        approvePermit2(1);
        bytes memory reason = abi.encodeWithSignature("ReentrancyGuardReentrantCall()");
        calling.arm(address(router), abi.encodeCall(router.depositByPermit, (permitBy(2, 1))));
        refused(permitBy(1, TOKENS), reason);
        calling.arm(address(router), abi.encodeCall(router.depositByAuthorization, (paymentBy(2, ALICE, 1, 0))));
        refused(paymentBy(1, ALICE, TOKENS, 0), reason);
        calling.arm(address(router), abi.encodeCall(router.depositByPermit2, (transferBy(2, 1, 0))));
        refused(transferBy(1, TOKENS, 0), reason);
        SpendAuthorization memory spending;
        spending.user = user(2);
        bytes[3] memory calls = [
            abi.encodeCall(router.depositByPermitAndOpen, (permitBy(2, 1), spending, "")),
            abi.encodeCall(router.depositByAuthorizationAndOpen, (paymentBy(2, user(2), 1, 0), spending, "")),
            abi.encodeCall(router.depositByPermit2AndOpen, (transferBy(2, 1, 0), spending, ""))
        ];
        for (uint256 i = 0; i < 3; ++i) {
            calling.arm(address(router), calls[i]);
            refused(permitBy(1, TOKENS), reason);
        }
    }

    // ---- Amounts ----

    function testFuzz_deposit_creditsExactlyWhatWasSigned(uint64 tokens, uint256 nonce, uint8 path) public {
        vm.assume(tokens != 0);
        token.mint(ALICE, tokens);
        approvePermit2(1);
        uint256 before = token.balanceOf(ALICE);
        if (path % 3 == 0) router.depositByPermit(permitBy(1, tokens));
        else if (path % 3 == 1) router.depositByAuthorization(paymentBy(1, ALICE, tokens, bytes32(nonce)));
        else router.depositByPermit2(transferBy(1, tokens, nonce));
        eq(token.balanceOf(ALICE), before - tokens, "paid");
        credited(ALICE, tokens);
    }

    function test_deposit_refusesMoreThanCreditsHold() public {
        uint256 tokens = uint256(type(uint96).max) / SCALE + 1;
        token.mint(ALICE, tokens);
        refused(
            permitBy(1, tokens),
            abi.encodeWithSignature("SafeCastOverflowedUintDowncast(uint8,uint256)", uint8(96), tokens * SCALE)
        );
    }

    function routerOf(ICreditVault other) external returns (address) {
        return create("DepositRouter", abi.encode(other, settlement, permit2));
    }
}
