// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice The protocol's windows in seconds of protocol time; a profile (`main`, `local`) is one value of this.
/// @param epoch A batch is final between one and two epochs after it was posted.
/// @param response How long a relay has to answer a demand.
/// @param post How long after it was issued a receipt can be billed.
/// @param channelThaw How long a user waits to take credits out of a running channel.
/// @param relayBucket How long a relay's earnings wait at least.
/// @param signerThaw How long a replaced signer stays valid.
/// @param unbondProvider How long a provider's stake stays after it asked for it.
/// @param unbondRelay How long a relay's bond stays after it asked for it.
/// @param priceNotice How long before a price rise takes effect.
/// @param feeNotice How long a relay keeps a fee at least.
/// @param pauseMax How long a pause lasts at most, of block time.
/// @param pauseCooldown How long after a pause the next may begin, of block time.
/// @param moduleDelay How long a new module waits before it may act.
struct Windows {
    uint32 epoch;
    uint32 response;
    uint32 post;
    uint32 channelThaw;
    uint32 relayBucket;
    uint32 signerThaw;
    uint32 unbondProvider;
    uint32 unbondRelay;
    uint32 priceNotice;
    uint32 feeNotice;
    uint32 pauseMax;
    uint32 pauseCooldown;
    uint32 moduleDelay;
}

/// @notice Thrown when a window is shorter than the others need it to be.
error WindowTooShort(string window, uint256 given, uint256 least);

/// @notice The inequalities between windows: what somebody may still do must end before what covers it is gone.
library WindowRules {
    /// @notice Reverts with the first window that is too short.
    function check(Windows memory w) internal pure {
        uint256 answered = uint256(w.post) + w.response;
        // how long after it was issued a receipt can be billed, its batch be attacked, and a demand be answered
        uint256 judged = uint256(w.post) + 2 * uint256(w.epoch) + w.response;
        _atLeast("epoch", w.epoch, 1);
        _atLeast("response", w.response, 1);
        _atLeast("post", w.post, 1);
        _atLeast("channelThaw", w.channelThaw, answered);
        _atLeast("relayBucket", w.relayBucket, answered);
        // a relay's residual must not be paid out before its batch is final
        _atLeast("relayBucket", w.relayBucket, 2 * uint256(w.epoch) + w.response);
        _atLeast("signerThaw", w.signerThaw, judged);
        _atLeast("unbondProvider", w.unbondProvider, uint256(w.signerThaw) + 1);
        _atLeast("unbondRelay", w.unbondRelay, uint256(w.signerThaw) + 1);
        _atLeast("priceNotice", w.priceNotice, 1);
        // the fee before the last must not be needed for a receipt that can still be judged
        _atLeast("feeNotice", w.feeNotice, judged);
        _atLeast("pauseMax", w.pauseMax, 1);
        // most of the time the protocol runs, whatever the guardian does
        _atLeast("pauseCooldown", w.pauseCooldown, 3 * uint256(w.pauseMax));
        // whoever dislikes a new module can leave before it acts
        _atLeast("moduleDelay", w.moduleDelay, uint256(w.channelThaw) + 1);
    }

    function _atLeast(string memory window, uint256 given, uint256 least) private pure {
        require(given >= least, WindowTooShort(window, given, least));
    }
}
