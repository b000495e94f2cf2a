// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICreditVault} from "../../../contracts/interfaces/ICreditVault.sol";
import {IDepositRouter} from "../../../contracts/interfaces/IDepositRouter.sol";
import {IPermit2} from "../../../contracts/interfaces/external/IPermit2.sol";
import {SpendAuthorization} from "../../../contracts/libraries/Messages.sol";
import {TestDollar} from "../../../contracts/test/TestDollar.sol";
import {SettlementDouble} from "./DepositDoubles.sol";
import {Network} from "./Network.sol";
import {Permit2Double} from "./Permit2Double.sol";

/// @notice A router, and what users sign for it. The test contract is whoever submits: it has nothing to do with them.
abstract contract Depositing is Network {
    bytes32 private constant _PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant _RECEIVE =
        keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );

    address internal constant MALLORY = address(0xbad);

    IDepositRouter internal router;
    Permit2Double internal permit2;

    function setUp() public virtual override {
        super.setUp();
        permit2 = new Permit2Double();
        router = IDepositRouter(create("DepositRouter", abi.encode(vault, settlement, permit2)));
        addRelay(1, 100 * USD);
    }

    /// @dev Another token, with a vault and a router of its own.
    function use(TestDollar other) internal {
        token = other;
        vault = ICreditVault(create("CreditVault", abi.encode(clock, manager, other, new address[](0))));
        SettlementDouble books = new SettlementDouble(vault, clock);
        router = IDepositRouter(create("DepositRouter", abi.encode(vault, books, permit2)));
    }

    // ---- What users sign ----

    function permitBy(uint256 n, uint256 tokens) internal view returns (IDepositRouter.Permit memory) {
        return permitFor(n, address(router), tokens, NEVER);
    }

    function permitFor(
        uint256 n,
        address spender,
        uint256 tokens,
        uint256 deadline
    ) internal view returns (IDepositRouter.Permit memory permit) {
        (permit.owner, permit.tokens, permit.deadline) = (user(n), tokens, deadline);
        bytes32 structHash = keccak256(
            abi.encode(_PERMIT, user(n), spender, tokens, token.nonces(user(n)), deadline)
        );
        (permit.v, permit.r, permit.s) = vm.sign(userKey(n), tokenDigest(structHash));
    }

    function usePermit(IDepositRouter.Permit memory permit, address spender) internal {
        token.permit(permit.owner, spender, permit.tokens, permit.deadline, permit.v, permit.r, permit.s);
    }

    function paymentBy(
        uint256 n,
        address owner,
        uint256 tokens,
        bytes32 salt
    ) internal view returns (IDepositRouter.Authorization memory) {
        return paymentIn(n, owner, tokens, salt, 0, NEVER);
    }

    function paymentIn(
        uint256 n,
        address owner,
        uint256 tokens,
        bytes32 salt,
        uint256 validAfter,
        uint256 validBefore
    ) internal view returns (IDepositRouter.Authorization memory payment) {
        (payment.from, payment.owner, payment.tokens, payment.salt) = (user(n), owner, tokens, salt);
        (payment.validAfter, payment.validBefore) = (validAfter, validBefore);
        (payment.v, payment.r, payment.s) = vm.sign(userKey(n), paymentDigest(payment));
    }

    function paymentDigest(IDepositRouter.Authorization memory payment) internal view returns (bytes32) {
        bytes memory data = abi.encode(
            _RECEIVE,
            payment.from,
            address(router),
            payment.tokens,
            payment.validAfter,
            payment.validBefore,
            keccak256(abi.encode(payment.owner, payment.salt))
        );
        return tokenDigest(keccak256(data));
    }

    function transferBy(
        uint256 n,
        uint256 tokens,
        uint256 nonce
    ) internal view returns (IDepositRouter.Permit2Transfer memory) {
        return transferUntil(n, tokens, nonce, NEVER);
    }

    function transferUntil(
        uint256 n,
        uint256 tokens,
        uint256 nonce,
        uint256 deadline
    ) internal view returns (IDepositRouter.Permit2Transfer memory transfer) {
        (transfer.owner, transfer.tokens, transfer.nonce) = (user(n), tokens, nonce);
        transfer.deadline = deadline;
        IPermit2.PermitTransferFrom memory permit;
        permit.permitted = IPermit2.TokenPermissions(address(token), tokens);
        (permit.nonce, permit.deadline) = (nonce, deadline);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(userKey(n), permit2.hashOf(permit, address(router)));
        transfer.signature = abi.encodePacked(r, s, v);
    }

    /// @dev Once per user, and by signature too where the token takes permits.
    function approvePermit2(uint256 n) internal {
        usePermit(permitFor(n, address(permit2), type(uint256).max, NEVER), address(permit2));
    }

    function spendingBy(
        uint256 n,
        uint256 amount
    ) internal view returns (SpendAuthorization memory spending, bytes memory signature) {
        spending = SpendAuthorization({
            user: user(n),
            relayId: 1,
            sessionKey: address(0),
            amount: uint96(amount),
            expiry: clock.clock() + 1 hours,
            mode: 0,
            nonce: vault.accountOf(vault.userIdOf(user(n))).nonce,
            deadline: NEVER
        });
        signature = authorizationBy(userKey(n), spending);
    }

    function tokenDigest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
    }

    // ---- What a stranger tries ----

    function refused(IDepositRouter.Permit memory permit, bytes memory reason) internal {
        vm.prank(MALLORY);
        vm.expectRevert(reason);
        router.depositByPermit(permit);
    }

    function refused(IDepositRouter.Authorization memory payment, bytes memory reason) internal {
        vm.prank(MALLORY);
        vm.expectRevert(reason);
        router.depositByAuthorization(payment);
    }

    function refused(IDepositRouter.Permit2Transfer memory transfer, bytes memory reason) internal {
        vm.prank(MALLORY);
        vm.expectRevert(reason);
        router.depositByPermit2(transfer);
    }

    // ---- What is looked at ----

    /// @dev A stranger gets nothing, and the router keeps nothing.
    function credited(address owner, uint256 tokens) internal view {
        eq(free(owner), tokens * SCALE, "credited");
        eq(token.balanceOf(address(vault)), vaultTokens() + tokens, "in the vault");
        leftNothing();
    }

    function leftNothing() internal view {
        eq(token.balanceOf(address(router)), 0, "the router keeps nothing");
        eq(token.allowance(address(router), address(vault)), 0, "the vault may take nothing more");
        eq(vault.userIdOf(address(router)), 0, "the router is no user");
        eq(vault.userIdOf(address(this)), 0, "who submits is no user");
        eq(vault.userIdOf(MALLORY), 0, "a stranger is no user");
    }

    /// @dev What the vault held before the test began: the relay's bond.
    function vaultTokens() internal view returns (uint256) {
        return vault.moduleOf(address(stakes)).balance / SCALE;
    }
}
