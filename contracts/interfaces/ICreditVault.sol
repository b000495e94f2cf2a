// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Withdraw} from "../libraries/Messages.sol";

/// @notice Holds all tokens of the protocol. A user's credits are `free`, or locked in one of the modules, which can
/// never pay out more than was locked in them. There is no owner and no upgrade. The governor can announce a further
/// module; it acts after a delay, and only on accounts that let it in.
/// Amounts are pUSD (1e-12 USD) unless they are called tokens; tokens sent here without `deposit` credit nobody.
interface ICreditVault {
    /// @param free Credits the user may withdraw or lock, pUSD.
    /// @param nonce The next nonce of the user's signed messages.
    struct Account {
        uint96 free;
        uint64 nonce;
    }

    /// @param balance Credits locked in the module, pUSD.
    /// @param activeFrom Protocol time from which it may act.
    /// @param state 0 unknown, 1 there from the beginning, 2 added later.
    struct Module {
        uint128 balance;
        uint40 activeFrom;
        uint8 state;
    }

    /// @notice A first deposit gave `owner` a user id.
    event UserAdded(uint32 indexed userId, address indexed owner);
    /// @notice `payer` paid tokens into a user's credits.
    event Deposited(uint32 indexed userId, address indexed payer, uint256 tokens, uint96 credited);
    /// @notice A user took credits out as tokens.
    event Withdrawn(uint32 indexed userId, address indexed to, uint256 tokens, uint96 debited);
    /// @notice Free credits of a user went into a module.
    event Locked(address indexed module, uint32 indexed userId, uint96 amount);
    /// @notice Credits of a module became free credits of a user.
    event Released(address indexed module, uint32 indexed userId, uint96 amount);
    /// @notice Credits of a module left as tokens.
    event PaidOut(address indexed module, address indexed to, uint256 tokens, uint96 debited);

    /// @notice The governor announced a module.
    event ModuleScheduled(address indexed module, uint40 activeFrom);
    /// @notice A user let a later module act on its account, or no longer.
    event ModuleApproved(uint32 indexed userId, address indexed module, bool approved);

    /// @notice Thrown when tokens or credits would go to nobody, or back into the vault uncredited.
    error BadRecipient(address recipient);
    /// @notice Thrown when an amount is zero.
    error ZeroAmount();
    /// @notice Thrown when the vault did not receive exactly what was to be deposited.
    error TransferMismatch(uint256 received, uint256 expected);
    /// @notice Thrown when an address never deposited, and so has no user id.
    error UnknownUser(address owner);
    /// @notice Thrown when no user has this id.
    error UnknownUserId(uint32 userId);
    /// @notice Thrown when a user's free credits are too low.
    error InsufficientCredits(uint32 userId, uint96 free, uint96 wanted);
    /// @notice Thrown when an amount is less than the token's smallest unit.
    error BelowOneToken(uint96 amount, uint256 scale);
    /// @notice Thrown when a signed message does not carry the user's next nonce.
    error WrongNonce(uint32 userId, uint256 given, uint64 expected);
    /// @notice Thrown when a signed deadline has passed.
    error DeadlinePassed(uint40 deadline, uint40 clock);
    /// @notice Thrown when somebody other than an active module calls.
    error NotModule(address caller);
    /// @notice Thrown when a later module acts on an account that has not let it in.
    error ModuleNotApproved(address module, uint32 userId);
    /// @notice Thrown when a module is announced that is known, or is no contract.
    error BadModule(address module);
    /// @notice Thrown when a module asks for more than is locked in it.
    error InsufficientModuleBalance(address module, uint128 balance, uint96 wanted);
    /// @notice Thrown when a token has more decimals than pUSD.
    error UnsupportedDecimals(uint8 decimals);

    /// @notice Pays tokens of the caller into the credits of `owner`; the first time gives `owner` its user id.
    /// @return userId The id of `owner`.
    function deposit(address owner, uint256 tokens) external returns (uint32 userId);

    /// @notice `deposit` with the caller's ERC-2612 permit. A permit that was used already does no harm as long as the
    /// allowance suffices.
    function depositWithPermit(
        address owner,
        uint256 tokens,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint32 userId);

    /// @notice Takes free credits of the caller out as whole token units; the rest of `amount` stays in the account.
    /// @return tokens The tokens paid to `to`.
    function withdraw(uint96 amount, address to) external returns (uint256 tokens);

    /// @notice `withdraw` by the user's signature, submitted by anyone.
    function withdrawBySig(Withdraw calldata message, bytes calldata signature) external returns (uint256 tokens);

    /// @notice Announces a module that may act after the module delay. Modules cannot be removed. Only the governor.
    function scheduleModule(address module) external;

    /// @notice Lets a module that was added later lock the caller's free credits and use its nonces, or no longer.
    function approveModule(address module, bool approved) external;

    /// @notice Moves free credits of a user into the calling module.
    function lock(uint32 userId, uint96 amount) external;

    /// @notice Moves credits of the calling module to the free credits of a user.
    function release(uint32 userId, uint96 amount) external;

    /// @notice Uses up a user's nonce for a message that the calling module has verified.
    function useNonce(uint32 userId, uint256 nonce) external;

    /// @notice Pays credits of the calling module out as whole token units.
    /// @return debited What was taken from the module, pUSD: `amount` without what is below one token unit.
    function payOut(address to, uint96 amount) external returns (uint96 debited);

    /// @notice Whether a module may act on a user's account now.
    function isModuleFor(address module, uint32 userId) external view returns (bool);

    /// @notice The token that backs all credits.
    function TOKEN() external view returns (IERC20);

    /// @notice pUSD in one base unit of the token.
    function SCALE() external view returns (uint256);

    /// @notice Number of users; ids run from 1 to it.
    function userCount() external view returns (uint32);

    /// @notice Id of an address, 0 if it never got a deposit.
    function userIdOf(address owner) external view returns (uint32);

    /// @notice Address of a user id, 0 if there is none.
    function ownerOf(uint32 userId) external view returns (address);

    /// @notice Free credits and next nonce of a user.
    function accountOf(uint32 userId) external view returns (Account memory);

    /// @notice What is locked in a module.
    function moduleOf(address module) external view returns (Module memory);
}
