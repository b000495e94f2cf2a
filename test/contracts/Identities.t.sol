// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentities} from "../../contracts/interfaces/IIdentities.sol";
import {ITimed} from "../../contracts/interfaces/ITimed.sol";
import {Messages, SignerProof} from "../../contracts/libraries/Messages.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
import {NotOwner, ROLE_PROVIDER, ROLE_RELAY, UnknownId, UnknownRole} from "../../contracts/types/Roles.sol";
import {Network} from "./support/Network.sol";

contract IdentitiesTest is Network {
    address private immutable OWNER = relayOwner(1);
    address private immutable SIGNER = vm.addr(relaySignerKey(1));

    function test_register_givesDenseIdsPerRole() public {
        eq(addRelay(1, 0), 1, "relay 1");
        eq(addProvider(1), 1, "provider 1");
        eq(addRelay(2, 0), 2, "relay 2");
        eq(registry.relayCount(), 2, "relays");
        eq(registry.providerCount(), 1, "providers");
        IIdentities.Relay memory relay = registry.relayOf(1);
        eq(relay.owner, OWNER, "owner");
        eq(relay.signer, SIGNER, "signer");
        eq(relay.registeredAt, START, "registered");
        eq(relay.feeCurBps, 500, "fee");
        eq(relay.feePrevBps, 500, "fee before");
        eq(relay.metadataHash, bytes32(uint256(1)), "metadata");
        IIdentities.Provider memory provider = registry.providerOf(1);
        eq(provider.owner, providerOwner(1), "provider's owner");
        eq(provider.signer, vm.addr(providerSignerKey(1)), "provider's signer");
        eq(registry.relayIdOf(OWNER), 1, "relay by owner");
        eq(registry.providerIdOf(providerOwner(1)), 1, "provider by owner");
        eq(registry.relayIdBySigner(SIGNER), 1, "relay by signer");
        eq(registry.providerIdBySigner(SIGNER), 0, "no provider signs with it");
        eq(registry.providerIdBySigner(provider.signer), 1, "provider by signer");
        eq(registry.relayIdBySigner(address(0)), 0, "nobody signs with nothing");
    }

    function test_register_emits() public {
        bytes memory proof = proofBy(relaySignerKey(1), OWNER, ROLE_RELAY, NEVER);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IIdentities.RelayRegistered(1, OWNER, SIGNER, 500, bytes32("m"));
        vm.prank(OWNER);
        registry.registerRelay(SIGNER, 500, bytes32("m"), NEVER, proof);
    }

    function test_register_refusesASecondActiveId() public {
        addRelay(1, 0);
        bytes memory proof = proofBy(7, OWNER, ROLE_RELAY, NEVER);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.AlreadyRegistered.selector, ROLE_RELAY, 1));
        vm.prank(OWNER);
        registry.registerRelay(vm.addr(7), 0, 0, NEVER, proof);
    }

    function test_register_refusesAFeeAboveTheCap() public {
        bytes memory proof = proofBy(7, OWNER, ROLE_RELAY, NEVER);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.FeeTooHigh.selector, 2_001, 2_000));
        vm.prank(OWNER);
        registry.registerRelay(vm.addr(7), 2_001, 0, NEVER, proof);
    }

    function test_register_refusesAProofOfAnotherDomain() public {
        bytes memory foreign = sign(7, address(vault), Messages.hash(SignerProof(OWNER, ROLE_RELAY, NEVER)));
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, vm.addr(7)));
        vm.prank(OWNER);
        registry.registerRelay(vm.addr(7), 0, 0, NEVER, foreign);
        foreign = sign(7, address(settlement), Messages.hash(SignerProof(OWNER, ROLE_PROVIDER, NEVER)));
        vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, vm.addr(7)));
        vm.prank(OWNER);
        registry.registerProvider(vm.addr(7), 0, NEVER, foreign);
    }

    function test_register_refusesProofsForSomethingElse() public {
        bytes[4] memory proofs = [
            proofBy(8, OWNER, ROLE_RELAY, NEVER),
            proofBy(7, user(1), ROLE_RELAY, NEVER),
            proofBy(7, OWNER, ROLE_PROVIDER, NEVER),
            proofBy(7, OWNER, ROLE_RELAY, NEVER - 1)
        ];
        for (uint256 i = 0; i < proofs.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Signatures.InvalidSignature.selector, vm.addr(7)));
            vm.prank(OWNER);
            registry.registerRelay(vm.addr(7), 0, 0, NEVER, proofs[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(IIdentities.ZeroSigner.selector));
        vm.prank(OWNER);
        registry.registerRelay(address(0), 0, 0, NEVER, proofs[0]);
        bytes memory late = proofBy(7, OWNER, ROLE_RELAY, START - 1);
        vm.expectRevert(abi.encodeWithSelector(ITimed.DeadlinePassed.selector, START - 1, START));
        vm.prank(OWNER);
        registry.registerRelay(vm.addr(7), 0, 0, START - 1, late);
        bytes memory last = proofBy(7, OWNER, ROLE_RELAY, START);
        vm.prank(OWNER);
        eq(registry.registerRelay(vm.addr(7), 0, 0, START, last), 1, "in its last second");
    }

    function test_register_refusesASignerThatIsValidElsewhereInAnyRole() public {
        addRelay(1, 0);
        bytes memory proof = proofBy(relaySignerKey(1), providerOwner(1), ROLE_PROVIDER, NEVER);
        bytes memory refused = abi.encodeWithSelector(IIdentities.SignerInUse.selector, SIGNER, ROLE_RELAY, 1);
        vm.expectRevert(refused);
        vm.prank(providerOwner(1));
        registry.registerProvider(SIGNER, 0, NEVER, proof);
        rotate(9);
        // its thaw, and as long again for what it signed in the last second to be judged
        skip(159);
        vm.expectRevert(refused);
        vm.prank(providerOwner(1));
        registry.registerProvider(SIGNER, 0, NEVER, proof);
        yes(registry.isSignerValid(ROLE_RELAY, 1, SIGNER, START + 79), "was the relay's");
        yes(!registry.isSignerValid(ROLE_RELAY, 1, SIGNER, START + 80), "was not any more");
        skip(1);
        vm.prank(providerOwner(1));
        registry.registerProvider(SIGNER, 0, NEVER, proof);
        eq(registry.relayIdBySigner(SIGNER), 0, "no longer the relay's");
        eq(registry.providerIdBySigner(SIGNER), 1, "the provider's");
        yes(!registry.isSignerValid(ROLE_PROVIDER, 1, SIGNER, START + 159), "was not the provider's then");
        yes(registry.isSignerValid(ROLE_PROVIDER, 1, SIGNER, START + 160), "the provider's from then");
    }

    function test_rotateSigner_keepsTheOldOneForTheThawButNotForPosts() public {
        addRelay(1, 0);
        skip(10);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IIdentities.SignerRotated(ROLE_RELAY, 1, vm.addr(9), SIGNER, START + 90);
        rotate(9);
        (IIdentities.Signer memory current, IIdentities.Signer memory previous) = registry.signersOf(ROLE_RELAY, 1);
        eq(current.key, vm.addr(9), "current");
        eq(current.validFrom, START + 10, "from");
        eq(previous.key, SIGNER, "previous");
        eq(previous.validFrom, START, "since");
        eq(previous.validUntil, START + 90, "until");
        eq(registry.relayIdBySigner(SIGNER), 1, "still signs");
        yes(!registry.isSignerValid(0, 0, vm.addr(99), START), "nobody's key is not the role of nothing");
        yes(registry.isSignerValid(ROLE_RELAY, 1, SIGNER, START + 89), "old until");
        yes(!registry.isSignerValid(ROLE_RELAY, 1, SIGNER, START + 90), "old after");
        yes(!registry.isSignerValid(ROLE_RELAY, 1, vm.addr(9), START + 9), "new before");
        yes(!registry.isSignerValid(ROLE_RELAY, 1, SIGNER, START - 1), "old before it was");
        yes(!registry.mayPost(1, SIGNER), "the old one may not post");
        skip(80);
        eq(registry.relayIdBySigner(SIGNER), 0, "signs for nobody");
        yes(registry.mayPost(1, vm.addr(9)), "the new one may");
        yes(registry.mayPost(1, OWNER), "the owner may");
        yes(!registry.mayPost(1, address(0)) && !registry.mayPost(2, address(0)), "nobody may not");
    }

    function test_rotateSigner_refusesASecondDuringTheFirst() public {
        addRelay(1, 0);
        rotate(9);
        bytes memory proof = proofBy(10, OWNER, ROLE_RELAY, NEVER);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.RotationPending.selector, ROLE_RELAY, 1, START + 80));
        vm.prank(OWNER);
        registry.rotateSigner(ROLE_RELAY, 1, vm.addr(10), NEVER, proof);
        skip(80);
        rotate(10);
        eq(registry.relayOf(1).signer, vm.addr(10), "signer");
        // the first signer may come back
        skip(80);
        rotate(relaySignerKey(1));
        eq(registry.relayIdBySigner(SIGNER), 1, "back");
    }

    /// @dev Whoever has the key that was replaced binds it to a relay of its own, as soon as that is possible: it must
    /// not keep the relay from replacing its next one, nor pass for one of the relay's keys.
    function test_rotateSigner_isNotStoppedByWhoeverHasTheKeyBefore() public {
        addRelay(1, 0);
        rotate(9);
        skip(160);
        bytes memory proof = proofBy(relaySignerKey(1), user(66), ROLE_RELAY, NEVER);
        vm.prank(user(66));
        registry.registerRelay(SIGNER, 0, 0, NEVER, proof);
        (, IIdentities.Signer memory previous) = registry.signersOf(ROLE_RELAY, 1);
        eq(previous.key, SIGNER, "previous");
        eq(previous.validUntil, 0, "not the relay's any more");
        rotate(10);
        eq(registry.relayOf(1).signer, vm.addr(10), "signer");
        eq(registry.relayIdBySigner(SIGNER), 2, "the other relay's");
    }

    /// @dev The last key of a relay that left is bound again by whoever has it. It must not come to post for the relay
    /// again: batches draw its float, and its bond answers for them.
    function test_mayPost_isNotRegainedByBindingTheKeyElsewhere() public {
        addRelay(1, 0);
        vm.prank(OWNER);
        registry.deactivate(ROLE_RELAY, 1);
        skip(160);
        bytes memory proof = proofBy(relaySignerKey(1), user(66), ROLE_RELAY, NEVER);
        vm.prank(user(66));
        registry.registerRelay(SIGNER, 0, 0, NEVER, proof);
        yes(!registry.mayPost(1, SIGNER), "not for the relay that left");
        yes(registry.mayPost(2, SIGNER), "for its own");
    }

    function test_rotateSigner_refusesTheSignerItHas() public {
        addRelay(1, 0);
        bytes memory proof = proofBy(relaySignerKey(1), OWNER, ROLE_RELAY, NEVER);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.SignerInUse.selector, SIGNER, ROLE_RELAY, 1));
        vm.prank(OWNER);
        registry.rotateSigner(ROLE_RELAY, 1, SIGNER, NEVER, proof);
    }

    function test_owner_aloneChangesAnything() public {
        addRelay(1, 0);
        bytes memory refused = abi.encodeWithSelector(NotOwner.selector, ROLE_RELAY, 1, SIGNER);
        vm.startPrank(SIGNER);
        vm.expectRevert(refused);
        registry.rotateSigner(ROLE_RELAY, 1, SIGNER, NEVER, "");
        vm.expectRevert(refused);
        registry.setMetadata(ROLE_RELAY, 1, 0);
        vm.expectRevert(refused);
        registry.setRelayFee(1, 0);
        vm.expectRevert(refused);
        registry.deactivate(ROLE_RELAY, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownId.selector, ROLE_PROVIDER, 1));
        registry.deactivate(ROLE_PROVIDER, 1);
        vm.expectRevert(abi.encodeWithSelector(UnknownRole.selector, 3));
        registry.deactivate(3, 1);
        vm.stopPrank();
    }

    function test_setMetadata_changesIt() public {
        addRelay(1, 0);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IIdentities.MetadataChanged(ROLE_RELAY, 1, bytes32("new"));
        vm.prank(OWNER);
        registry.setMetadata(ROLE_RELAY, 1, bytes32("new"));
        eq(registry.relayOf(1).metadataHash, bytes32("new"), "hash");
    }

    function test_setRelayFee_changesOncePerNotice() public {
        addRelay(1, 0);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.FeeChangeTooSoon.selector, 1, START + 80));
        registry.setRelayFee(1, 600);
        skip(80);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IIdentities.RelayFeeChanged(1, 2_000, 500, START + 80);
        registry.setRelayFee(1, 2_000);
        IIdentities.Relay memory relay = registry.relayOf(1);
        eq(relay.feeCurBps, 2_000, "cur");
        eq(relay.feePrevBps, 500, "prev");
        eq(relay.feeChangedAt, START + 80, "changed");
        skip(79);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.FeeChangeTooSoon.selector, 1, START + 160));
        registry.setRelayFee(1, 0);
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(IIdentities.FeeTooHigh.selector, 2_001, 2_000));
        registry.setRelayFee(1, 2_001);
        vm.stopPrank();
    }

    function test_deactivate_isForGoodAndFreesOwnerAndSigner() public {
        addRelay(1, 0);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IIdentities.Deactivated(ROLE_RELAY, 1, START + 80);
        vm.prank(OWNER);
        registry.deactivate(ROLE_RELAY, 1);
        yes(!registry.isActive(ROLE_RELAY, 1), "not active");
        eq(registry.relayOf(1).deactivatedAt, START, "since");
        yes(registry.mayPost(1, SIGNER), "settles what it owes");
        vm.expectRevert(abi.encodeWithSelector(IIdentities.NotActive.selector, ROLE_RELAY, 1));
        vm.prank(OWNER);
        registry.deactivate(ROLE_RELAY, 1);
        skip(80);
        yes(!registry.mayPost(1, SIGNER), "the signer's time is over");
        yes(registry.mayPost(1, OWNER), "the owner's is not");
        skip(80);
        eq(addRelay(1, 0), 2, "the same owner and signer, a new id");
        eq(registry.relayIdOf(OWNER), 2, "newest");
        eq(registry.relayIdBySigner(SIGNER), 2, "by signer");
    }

    function rotate(uint256 key) private {
        bytes memory proof = proofBy(key, OWNER, ROLE_RELAY, NEVER);
        vm.prank(OWNER);
        registry.rotateSigner(ROLE_RELAY, 1, vm.addr(key), NEVER, proof);
    }
}
