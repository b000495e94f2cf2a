// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IChannels} from "./IChannels.sol";
import {ICreditVault} from "./ICreditVault.sol";
import {IEarnings} from "./IEarnings.sol";
import {IPosts} from "./IPosts.sol";
import {IRegistry} from "./IRegistry.sol";
import {IStakeManager} from "./IStakeManager.sol";
import {ITimed} from "./ITimed.sol";

/// @notice Channels, batches and earnings. The vault keeps the money; this contract keeps the books.
///
/// Deployment, in this order and by one account, because some are given addresses that do not exist yet (CREATE:
/// account and nonce) and nothing can be set later:
///   n    AccessManager(deployer)
///   n+1  ProtocolClock(accessManager, windows)
///   n+2  the token, where a network has none
///   n+3  Registry(clock)
///   n+4  CreditVault(clock, accessManager, token, [stakeManager n+5, settlement n+6, reserves n+7, fraudProofs n+8])
///   n+5  StakeManager(clock, vault, registry, settlement n+6, fraudProofs n+8, minRelayStake, minProviderStake)
///   n+6  Settlement(clock, vault, registry, stakeManager, reserves n+7, treasury, protocolFeeBps)
///   n+7  Reserves(clock, vault, registry, settlement)
///   n+8  FraudProofs(clock, vault, registry, stakeManager, settlement)
/// Those that come last revert when the others do not know them, so a wrong prediction cannot go live. Then the
/// periphery, which has no rights: DepositRouter(vault, settlement, permit2), Lens(settlement, reserves).
interface ISettlement is IChannels, IPosts, IEarnings, ITimed {
    /// @notice Thrown at deployment when a contract does not know this one.
    error WrongWiring(address contractAddress);
    /// @notice Thrown at deployment when the protocol's fee is above the cap.
    error ProtocolFeeTooHigh(uint16 feeBps, uint16 cap);
    /// @notice Thrown at deployment when there is no treasury.
    error ZeroTreasury();

    /// @notice Keeps the money.
    function VAULT() external view returns (ICreditVault);

    /// @notice Knows relays and providers.
    function REGISTRY() external view returns (IRegistry);

    /// @notice Keeps the bonds.
    function STAKE_MANAGER() external view returns (IStakeManager);

    /// @notice Pays vouchers of relays, and may say so here.
    function RESERVES() external view returns (address);

    /// @notice EIP-712 separator of vouchers and receipts, whichever contract checks them.
    function domainSeparator() external view returns (bytes32);

    /// @notice Where the protocol's fees go.
    function TREASURY() external view returns (address);

    /// @notice What a relay owes the protocol on its users' debits, in basis points.
    function PROTOCOL_FEE_BPS() external view returns (uint16);
}
