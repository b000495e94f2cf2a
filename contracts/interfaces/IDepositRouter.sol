// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SpendAuthorization} from "../libraries/Messages.sol";
import {ICreditVault} from "./ICreditVault.sol";
import {ISettlement} from "./ISettlement.sol";
import {IPermit2} from "./external/IPermit2.sol";

/// @notice Deposits by signatures alone, so that a user without gas can start: somebody else, a relay say, submits
/// them. The first deposit gives the user its id. There are no rights and no state here, and nothing is held between
/// transactions; tokens sent here by mistake stay here for good.
///
/// Who may call: anyone, every function. What a stranger can do at most:
/// - submit a signature earlier than its owner wanted. The tokens go where they were to go: to the credits of the
///   account that the signer named, in full. Whoever comes second is refused and nothing more is moved;
/// - submit the deposit of a "deposit and open" alone, or use up the permit at the token. In the first case the credits
///   are there and `ISettlement.openChannelBySig` does the rest; in the second the deposit works all the same.
/// An allowance given to this contract lets nobody but its owner deposit, unless the owner's last signed permit, not
/// past its deadline, is for this contract and for exactly the allowance that is there.
interface IDepositRouter {
    /// @notice An ERC-2612 permit for this contract over exactly `tokens`. It is the owner that is credited.
    /// @param owner Whose tokens, and whose credits.
    /// @param tokens Base units.
    /// @param deadline Last second of block time.
    struct Permit {
        address owner;
        uint256 tokens;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice An ERC-3009 authorization to this contract. Its nonce is `nonceFor(owner, salt)`, so that who submits
    /// it cannot have somebody else credited.
    /// @param from Whose tokens.
    /// @param owner Whose credits.
    /// @param tokens Base units.
    /// @param validAfter Last second of block time at which it does not hold yet.
    /// @param validBefore First second of block time at which it holds no longer.
    /// @param salt Any word; each works once per `from` and `owner`.
    struct Authorization {
        address from;
        address owner;
        uint256 tokens;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 salt;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice A Permit2 signature over exactly `tokens` with this contract as spender. The owner is credited.
    /// @param owner Whose tokens, and whose credits.
    /// @param tokens Base units.
    /// @param nonce Any number; each works once per owner.
    /// @param deadline Last second of block time.
    struct Permit2Transfer {
        address owner;
        uint256 tokens;
        uint256 nonce;
        uint256 deadline;
        bytes signature;
    }

    /// @notice Thrown at deployment when the settlement keeps its money elsewhere.
    error WrongWiring(address settlement);
    /// @notice Thrown when there is no Permit2 where this deployment expects it.
    error NoPermit2(address expected);
    /// @notice Thrown when somebody else submits a permit that `owner` did not sign for this contract and amount, that
    /// is not its last one, or that is past its deadline.
    error PermitNotSigned(address owner, uint256 tokens);
    /// @notice Thrown when somebody else submits a permit and the allowance is not what was signed.
    error AllowanceNotSigned(uint256 allowance, uint256 tokens);
    /// @notice Thrown when the token brought another amount than was signed.
    error PulledMismatch(uint256 received, uint256 tokens);
    /// @notice Thrown when the channel would be another user's than the deposit.
    error OtherUser(address user, address credited);

    /// @notice Deposits tokens of `permit.owner` to its own credits. The owner itself may also use an allowance that it
    /// gave before; what it passes as signature does not matter then.
    /// @return userId Its id, which the first deposit gives it.
    function depositByPermit(Permit calldata permit) external returns (uint32 userId);

    /// @notice `depositByPermit`, then opens the user's channel, or extends it if it runs.
    /// @param spending What the user signed for the relay.
    /// @param signature The user's signature of `spending`.
    function depositByPermitAndOpen(
        Permit calldata permit,
        SpendAuthorization calldata spending,
        bytes calldata signature
    ) external returns (uint32 userId);

    /// @notice Deposits tokens of `authorization.from` to the credits of the owner that it signed for.
    /// @return userId The owner's id, which the first deposit gives it.
    function depositByAuthorization(Authorization calldata authorization) external returns (uint32 userId);

    /// @notice `depositByAuthorization`, then opens the owner's channel, or extends it if it runs.
    function depositByAuthorizationAndOpen(
        Authorization calldata authorization,
        SpendAuthorization calldata spending,
        bytes calldata signature
    ) external returns (uint32 userId);

    /// @notice Deposits tokens of `transfer.owner`, which approved Permit2, to its own credits.
    /// @return userId Its id, which the first deposit gives it.
    function depositByPermit2(Permit2Transfer calldata transfer) external returns (uint32 userId);

    /// @notice `depositByPermit2`, then opens the user's channel, or extends it if it runs.
    function depositByPermit2AndOpen(
        Permit2Transfer calldata transfer,
        SpendAuthorization calldata spending,
        bytes calldata signature
    ) external returns (uint32 userId);

    /// @notice Where the credits are.
    function VAULT() external view returns (ICreditVault);

    /// @notice Where the channels are.
    function SETTLEMENT() external view returns (ISettlement);

    /// @notice What is deposited.
    function TOKEN() external view returns (IERC20);

    /// @notice The Permit2 that owners approve; nothing may be there on a network without one.
    function PERMIT2() external view returns (IPermit2);

    /// @notice The ERC-3009 nonce that names whom to credit: keccak256(abi.encode(owner, salt)).
    function nonceFor(address owner, bytes32 salt) external pure returns (bytes32);
}
