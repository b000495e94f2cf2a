// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDepositRouter} from "../../../contracts/interfaces/IDepositRouter.sol";
import {PhantomDollar} from "../support/DepositDoubles.sol";
import {Depositing} from "../support/Depositing.sol";

/// @notice Permits and allowances: what was signed works once, what was not signed is its owner's alone to use.
contract DepositPermitsTest is Depositing {
    address private immutable ALICE = user(1);
    uint256 private constant TOKENS = 20 * TOKEN_USD;

    function setUp() public override {
        super.setUp();
        token.mint(ALICE, 10 * TOKENS);
    }

    function test_depositByPermit_survivesAFrontRunPermit() public {
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        usePermit(permit, address(router));
        router.depositByPermit(permit);
        credited(ALICE, TOKENS);
    }

    function test_depositByPermit_worksOnce() public {
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        router.depositByPermit(permit);
        refused(permit, abi.encodeWithSelector(IDepositRouter.AllowanceNotSigned.selector, 0, TOKENS));
        credited(ALICE, TOKENS);
    }

    function test_depositByPermit_refusesEveryChange() public {
        IDepositRouter.Permit[4] memory changed;
        for (uint256 i = 0; i < 4; ++i) changed[i] = permitBy(1, TOKENS);
        changed[0].owner = user(2);
        changed[1].tokens = TOKENS + 1;
        changed[2].deadline -= 1;
        changed[3] = permitFor(1, address(vault), TOKENS, NEVER);
        for (uint256 i = 0; i < 4; ++i) refused(changed[i], notSigned(changed[i]));
        // nor after the true one was used at the token
        usePermit(permitBy(1, TOKENS), address(router));
        for (uint256 i = 0; i < 4; ++i) refused(changed[i], notSigned(changed[i]));
        leftNothing();
    }

    /// @dev After a permit was used there is a last one to compare with; what is no signature is compared with nothing.
    function test_depositByPermit_refusesWhatIsNoSignature() public {
        router.depositByPermit(permitBy(1, TOKENS));
        vm.prank(ALICE);
        token.approve(address(router), TOKENS);
        IDepositRouter.Permit memory forged = permitBy(1, TOKENS);
        (forged.v, forged.r, forged.s) = (29, 0, 0);
        refused(forged, notSigned(forged));
    }

    function test_depositByPermit_refusesAPermitPastItsDeadline() public {
        IDepositRouter.Permit memory permit = permitFor(1, address(router), TOKENS, START);
        usePermit(permit, address(router));
        skip(1);
        refused(permit, notSigned(permit));
    }

    /// @dev An allowance is for its owner to use, whatever a stranger makes up.
    function test_depositByPermit_leavesAStandingAllowanceToItsOwner() public {
        IDepositRouter.Permit memory forged;
        (forged.owner, forged.deadline) = (ALICE, NEVER);
        uint256[3] memory allowances = [TOKENS, 5 * TOKENS, type(uint256).max];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(ALICE);
            token.approve(address(router), allowances[i]);
            forged.tokens = TOKENS;
            refused(forged, notSigned(forged));
            (forged.v, forged.r, forged.s) = (27, bytes32(uint256(1)), bytes32(uint256(2)));
            refused(forged, notSigned(forged));
        }
        vm.prank(ALICE);
        router.depositByPermit(forged);
        credited(ALICE, TOKENS);
    }

    function test_depositByPermit_refusesAnOldPermitOverALaterAllowance() public {
        IDepositRouter.Permit memory old = permitBy(1, TOKENS);
        router.depositByPermit(old);
        vm.prank(ALICE);
        token.approve(address(router), 5 * TOKENS);
        refused(old, abi.encodeWithSelector(IDepositRouter.AllowanceNotSigned.selector, 5 * TOKENS, TOKENS));
        vm.prank(ALICE);
        token.approve(address(router), TOKENS - 1);
        refused(old, abi.encodeWithSelector(IDepositRouter.AllowanceNotSigned.selector, TOKENS - 1, TOKENS));
        // and one that is not the last, even when the allowance fits
        usePermit(permitFor(1, address(permit2), 1, NEVER), address(permit2));
        vm.prank(ALICE);
        token.approve(address(router), TOKENS);
        refused(old, notSigned(old));
        credited(ALICE, TOKENS);
    }

    function test_depositByPermit_refusesWhatATokenTakesForAPermit() public {
        use(new PhantomDollar());
        token.mint(ALICE, TOKENS);
        vm.prank(ALICE);
        token.approve(address(router), TOKENS);
        IDepositRouter.Permit memory permit = permitBy(1, TOKENS);
        refused(permit, notSigned(permit));
    }

    function test_depositByPermit_tellsTheOwnerWhatTheTokenSays() public {
        IDepositRouter.Permit memory permit;
        (permit.owner, permit.tokens) = (ALICE, TOKENS);
        bytes memory reason = abi.encodeWithSignature(
            "ERC20InsufficientAllowance(address,uint256,uint256)",
            address(router),
            0,
            TOKENS
        );
        vm.prank(ALICE);
        vm.expectRevert(reason);
        router.depositByPermit(permit);
        permit = permitBy(1, 11 * TOKENS);
        refused(
            permit,
            abi.encodeWithSignature(
                "ERC20InsufficientBalance(address,uint256,uint256)",
                ALICE,
                10 * TOKENS,
                11 * TOKENS
            )
        );
    }

    /// @dev Whatever a stranger passes, it moves nothing without a signature over exactly that.
    function testFuzz_depositByPermit_movesNothingUnsigned(
        IDepositRouter.Permit memory permit,
        uint256 allowance
    ) public {
        vm.assume(permit.owner != address(this));
        if (permit.deadline % 2 == 0) permit.owner = ALICE;
        vm.prank(ALICE);
        token.approve(address(router), allowance);
        if (permit.deadline % 3 == 0) permit.tokens = allowance;
        try router.depositByPermit(permit) returns (uint32) {
            yes(false, "deposited");
        } catch {}
        eq(token.balanceOf(ALICE), 10 * TOKENS, "nothing moved");
    }

    function notSigned(IDepositRouter.Permit memory permit) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IDepositRouter.PermitNotSigned.selector, permit.owner, permit.tokens);
    }
}
