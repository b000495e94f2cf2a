// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ProviderVoucher} from "../../../contracts/libraries/Messages.sol";
import {ROLE_PROVIDER, ROLE_RELAY} from "../../../contracts/types/Roles.sol";
import {Network} from "./Network.sol";

/// @notice A network in which one account has everything that can be paid out: free credits, a provider's and a
/// relay's earnings, a voucher over a reserve. The treasury has fees to come.
abstract contract Paying is Network {
    /// @dev A transaction of the payee.
    struct Move {
        string name;
        address target;
        bytes data;
    }

    uint256 internal constant PAYEE_KEY = 0x9a4ee;
    address internal constant ELSEWHERE = address(0xbeef);

    address internal payee;
    uint32 internal payeeId;
    uint32 private _buyer;

    function setUp() public virtual override {
        super.setUp();
        payee = payeeOf();
        bytes memory proof = proofBy(relaySignerKey(1), payee, ROLE_RELAY, NEVER);
        vm.prank(payee);
        registry.registerRelay(vm.addr(relaySignerKey(1)), 500, bytes32(0), NEVER, proof);
        proof = proofBy(providerSignerKey(1), payee, ROLE_PROVIDER, NEVER);
        vm.prank(payee);
        registry.registerProvider(vm.addr(providerSignerKey(1)), bytes32(0), NEVER, proof);
        addBond(payee, ROLE_RELAY, 1, 100 * USD);
        payeeId = fund(payee, 50 * TOKEN_USD);
        fund(user(1), 50 * TOKEN_USD);
        _buyer = open(user(1), 1, 50 * USD);
        post(1, one(_buyer, 10 * USD, 10 * USD), owed(1, 3 * USD));
        vm.startPrank(payee);
        reserves.fundReserve(1, 1, uint96(5 * USD));
        reserves.thawReserve(1, 1, uint96(USD));
        settlement.fundRelay(1, uint96(5 * USD));
        token.approve(address(vault), type(uint256).max);
        vm.stopPrank();
        // a relay's earnings wait for two buckets at most, and the reserve has thawed
        skip(200);
        token.mint(payee, 5 * TOKEN_USD);
    }

    function payeeOf() internal virtual returns (address) {
        return vm.addr(PAYEE_KEY);
    }

    // ---- What the payee can send ----

    /// @dev Everything that moves tokens.
    function tokenMoves() internal view returns (Move[] memory moves) {
        moves = new Move[](6);
        uint32[] memory relays = new uint32[](1);
        relays[0] = 1;
        ProviderVoucher memory voucher = ProviderVoucher(1, 1, uint80(5 * USD));
        bytes memory signature = providerVoucherBy(relaySignerKey(1), voucher);
        moves[0] = Move("deposit", address(vault), abi.encodeCall(vault.deposit, (payee, TOKEN_USD)));
        moves[1] = Move("withdraw", address(vault), abi.encodeCall(vault.withdraw, (uint96(USD), ELSEWHERE)));
        moves[2] = Move(
            "claimProvider",
            address(settlement),
            abi.encodeCall(settlement.claimProvider, (1, relays, ELSEWHERE))
        );
        moves[3] = Move("claimRelay", address(settlement), abi.encodeCall(settlement.claimRelay, (1, ELSEWHERE)));
        moves[4] = Move("claimProtocolFees", address(settlement), abi.encodeCall(settlement.claimProtocolFees, ()));
        moves[5] = Move(
            "redeemProviderVoucher",
            address(reserves),
            abi.encodeCall(reserves.redeemProviderVoucher, (voucher, signature, ELSEWHERE))
        );
    }

    /// @dev What moves credits between accounts and modules, and no token.
    function creditMoves() internal view returns (Move[] memory moves) {
        moves = new Move[](5);
        uint40 expiry = clock.clock() + 1 hours;
        moves[0] = Move(
            "withdrawFloat",
            address(settlement),
            abi.encodeCall(settlement.withdrawFloat, (1, uint96(USD)))
        );
        moves[1] = Move("fundRelay", address(settlement), abi.encodeCall(settlement.fundRelay, (1, uint96(USD))));
        moves[2] = Move(
            "openChannel",
            address(settlement),
            abi.encodeCall(settlement.openChannel, (1, uint96(USD), expiry, 0, address(0)))
        );
        moves[3] = Move("fundReserve", address(reserves), abi.encodeCall(reserves.fundReserve, (1, 1, uint96(USD))));
        moves[4] = Move("withdrawReserve", address(reserves), abi.encodeCall(reserves.withdrawReserve, (1, 1)));
    }

    /// @dev Sends it as the payee.
    function send(Move memory move) internal returns (bool ok, bytes memory answer) {
        vm.prank(payee);
        return move.target.call(move.data);
    }

    // ---- Who has what ----

    /// @dev All that the contracts keep, as one number.
    function books() internal view returns (bytes32) {
        bytes memory vaults = abi.encode(
            vault.userCount(),
            vault.accountOf(payeeId),
            vault.accountOf(_buyer),
            vault.moduleOf(address(settlement)),
            vault.moduleOf(address(stakes)),
            vault.moduleOf(address(reserves))
        );
        bytes memory modules = abi.encode(
            settlement.relayAccountOf(1),
            settlement.providerAccountOf(1, 1),
            settlement.protocolFees(),
            settlement.channelOf(1, payeeId),
            settlement.channelOf(1, _buyer),
            reserves.reserveOf(1, 1)
        );
        bytes memory tokens = abi.encode(
            token.balanceOf(address(vault)),
            token.balanceOf(payee),
            token.balanceOf(ELSEWHERE),
            token.balanceOf(TREASURY)
        );
        return keccak256(bytes.concat(vaults, modules, tokens));
    }

    /// @dev Each module has locked what its books say, and the vault has the tokens for all of it.
    function booksBalance() internal view {
        uint256 inSettlement = uint256(settlement.channelOf(1, payeeId).available) +
            settlement.channelOf(1, _buyer).available +
            settlement.relayAccountOf(1).earned +
            settlement.relayAccountOf(1).pendingCur +
            settlement.relayAccountOf(1).pendingPrev +
            settlement.relayAccountOf(1).float +
            settlement.providerAccountOf(1, 1).claimable +
            settlement.protocolFees();
        eq(vault.moduleOf(address(settlement)).balance, inSettlement, "the settlement's");
        uint256 inReserves = reserves.reserveOf(1, 1).amount;
        eq(vault.moduleOf(address(reserves)).balance, inReserves, "the reserves'");
        uint256 locked = inSettlement + inReserves + vault.moduleOf(address(stakes)).balance;
        for (uint32 id = 1; id <= vault.userCount(); ++id) locked += vault.accountOf(id).free;
        eq(token.balanceOf(address(vault)) * SCALE, locked, "tokens for all credits");
    }
}
