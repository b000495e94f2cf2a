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
/// Deployment, in this order and by one account, because the vault and the stake manager are given addresses that do
/// not exist yet (CREATE: account and nonce) and nothing can be set later:
///   n    ProtocolClock()
///   n+1  the token, where a network has none
///   n+2  Registry(clock, windows)
///   n+3  CreditVault(clock, token, [address at n+4, address at n+5])
///   n+4  StakeManager(clock, windows, vault, registry, settlement = address at n+5, minRelayStake, minProviderStake)
///   n+5  Settlement(clock, windows, vault, registry, stakeManager, treasury, protocolFeeBps)
/// The last two revert when the others do not know them, so a wrong prediction cannot go live.
interface ISettlement is IChannels, IPosts, IEarnings, ITimed {
    /// @notice Thrown at deployment when the vault or the stake manager does not know this contract.
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

    /// @notice Where the protocol's fees go.
    function TREASURY() external view returns (address);

    /// @notice What a relay owes the protocol on its users' debits, in basis points.
    function PROTOCOL_FEE_BPS() external view returns (uint16);
}
