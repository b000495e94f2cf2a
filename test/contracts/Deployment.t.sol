// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {WindowTooShort, Windows} from "../../contracts/types/Windows.sol";
import {Network} from "./support/Network.sol";

contract DeploymentTest is Network {
    function test_windows_areKept() public view {
        eq(keccak256(abi.encode(clock.windows())), keccak256(abi.encode(localWindows())), "windows");
    }

    function test_windows_ofTheMainProfileHold() public {
        create("ProtocolClock", abi.encode(manager, mainWindows()));
    }

    /// @dev Every window of the main profile, a second below what the others need.
    function test_windows_refuseEveryBrokenInequality() public {
        Windows memory w = mainWindows();
        w.channelThaw = 36 hours - 1;
        refused(w, "channelThaw", w.channelThaw, 36 hours);
        w = mainWindows();
        w.relayBucket = 36 hours - 1;
        refused(w, "relayBucket", w.relayBucket, 36 hours);
        w = mainWindows();
        (w.post, w.relayBucket) = (1, 36 hours - 1);
        refused(w, "relayBucket", w.relayBucket, 36 hours);
        w = mainWindows();
        w.signerThaw = 60 hours - 1;
        refused(w, "signerThaw", w.signerThaw, 60 hours);
        w = mainWindows();
        w.unbondProvider = 60 hours;
        refused(w, "unbondProvider", w.unbondProvider, 60 hours + 1);
        w = mainWindows();
        w.unbondRelay = 60 hours;
        refused(w, "unbondRelay", w.unbondRelay, 60 hours + 1);
        w = mainWindows();
        w.epoch = 0;
        refused(w, "epoch", 0, 1);
        w = mainWindows();
        w.response = 0;
        refused(w, "response", 0, 1);
        w = mainWindows();
        w.post = 0;
        refused(w, "post", 0, 1);
        w = mainWindows();
        w.priceNotice = 0;
        refused(w, "priceNotice", 0, 1);
        w = mainWindows();
        w.feeNotice = 60 hours - 1;
        refused(w, "feeNotice", w.feeNotice, 60 hours);
        w = mainWindows();
        w.pauseMax = 0;
        refused(w, "pauseMax", 0, 1);
        w = mainWindows();
        w.pauseCooldown = 21 days - 1;
        refused(w, "pauseCooldown", w.pauseCooldown, 21 days);
        w = mainWindows();
        w.moduleDelay = 36 hours;
        refused(w, "moduleDelay", w.moduleDelay, 36 hours + 1);
    }

    function test_settlement_refusesAVaultThatDoesNotKnowIt() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongWiring.selector, address(vault)));
        this.made("Settlement", abi.encode(clock, vault, registry, stakes, reserves, TREASURY, 0));
    }

    function test_settlement_refusesAFeeAboveTheCap() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ProtocolFeeTooHigh.selector, 501, 500));
        this.deploy501();
    }

    function test_wiring_isWhatTheViewsSay() public view {
        eq(address(settlement.VAULT()), address(vault), "vault");
        eq(address(settlement.REGISTRY()), address(registry), "registry");
        eq(address(settlement.STAKE_MANAGER()), address(stakes), "stake manager");
        eq(settlement.TREASURY(), TREASURY, "treasury");
        eq(settlement.PROTOCOL_FEE_BPS(), FEE_BPS, "fee");
        eq(settlement.RESERVES(), address(reserves), "reserves");
        eq(stakes.SETTLEMENT(), address(settlement), "settlement");
        eq(stakes.FRAUD_PROOFS(), address(frauds), "fraud proofs");
        eq(address(vault.TOKEN()), address(token), "token");
        eq(vault.moduleOf(address(settlement)).activeFrom, START, "since");
        eq(address(registry.CLOCK()), address(clock), "clock");
        eq(clock.clock(), START, "time");
    }

    function deploy501() external {
        deploy(501);
    }

    function made(string calldata name, bytes calldata arguments) external {
        create(name, arguments);
    }

    function refused(Windows memory w, string memory window, uint256 given, uint256 least) private {
        vm.expectRevert(abi.encodeWithSelector(WindowTooShort.selector, window, given, least));
        this.made("ProtocolClock", abi.encode(manager, w));
    }

    function mainWindows() private pure returns (Windows memory) {
        return
            Windows({
                epoch: 12 hours,
                response: 12 hours,
                post: 24 hours,
                channelThaw: 36 hours,
                relayBucket: 36 hours,
                signerThaw: 60 hours,
                unbondProvider: 7 days,
                unbondRelay: 14 days,
                priceNotice: 24 hours,
                feeNotice: 7 days,
                pauseMax: 7 days,
                pauseCooldown: 30 days,
                moduleDelay: 14 days
            });
    }
}
