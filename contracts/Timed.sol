// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProtocolClock} from "./interfaces/IProtocolClock.sol";
import {ITimed} from "./interfaces/ITimed.sol";
import {WindowRules, Windows} from "./types/Windows.sol";

/// @notice Protocol time and the windows, as immutables.
abstract contract Timed is ITimed {
    /// @inheritdoc ITimed
    IProtocolClock public immutable CLOCK;

    uint32 internal immutable _EPOCH;
    uint32 internal immutable _RESPONSE;
    uint32 internal immutable _POST;
    uint32 internal immutable _CHANNEL_THAW;
    uint32 internal immutable _RELAY_BUCKET;
    uint32 internal immutable _SIGNER_THAW;
    uint32 internal immutable _UNBOND_PROVIDER;
    uint32 internal immutable _UNBOND_RELAY;
    uint32 internal immutable _PRICE_NOTICE;
    uint32 internal immutable _FEE_NOTICE;

    constructor(IProtocolClock clock_, Windows memory windows_) {
        WindowRules.check(windows_);
        CLOCK = clock_;
        _EPOCH = windows_.epoch;
        _RESPONSE = windows_.response;
        _POST = windows_.post;
        _CHANNEL_THAW = windows_.channelThaw;
        _RELAY_BUCKET = windows_.relayBucket;
        _SIGNER_THAW = windows_.signerThaw;
        _UNBOND_PROVIDER = windows_.unbondProvider;
        _UNBOND_RELAY = windows_.unbondRelay;
        _PRICE_NOTICE = windows_.priceNotice;
        _FEE_NOTICE = windows_.feeNotice;
    }

    /// @inheritdoc ITimed
    function windows() external view returns (Windows memory) {
        return
            Windows({
                epoch: _EPOCH,
                response: _RESPONSE,
                post: _POST,
                channelThaw: _CHANNEL_THAW,
                relayBucket: _RELAY_BUCKET,
                signerThaw: _SIGNER_THAW,
                unbondProvider: _UNBOND_PROVIDER,
                unbondRelay: _UNBOND_RELAY,
                priceNotice: _PRICE_NOTICE,
                feeNotice: _FEE_NOTICE
            });
    }

    function _now() internal view returns (uint40) {
        return CLOCK.clock();
    }

    function _checkDeadline(uint40 deadline) internal view {
        uint40 time = _now();
        require(time <= deadline, DeadlinePassed(deadline, time));
    }
}
