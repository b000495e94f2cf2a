import type { Deployment } from "@aimo/protocol/deployment";
import { type Address, isAddressEqual, zeroAddress } from "viem";
import { GOVERNOR_DELAYS, PERMIT2, type Terms } from "./plan.ts";

export type TermsParameters = {
  readonly profile: Deployment["profile"];
  /** The accounting token. Without it a test dollar is deployed, which only a local profile may. */
  readonly token?: Address;
  readonly treasury: Address;
  /** Basis points of users' debits that go to the treasury. */
  readonly protocolFeeBps: number;
  /** pUSD that a relay's bond and a provider's stake must reach. */
  readonly minRelayStake: bigint;
  readonly minProviderStake: bigint;
  /** May pause, at once. On a local profile the treasury unless named. */
  readonly guardian?: Address;
  /** May announce modules after a delay. On a local profile the treasury unless named. */
  readonly governor?: Address;
  /** The canonical one unless named. */
  readonly permit2?: Address;
};

/** Highest fee that the settlement takes. */
const MAX_PROTOCOL_FEE_BPS = 500;
const MAX_STAKE = 2n ** 96n - 1n;

/**
 * The terms of a deployment by `deployer`, with what a local one leaves out. Throws a RangeError that names what is
 * missing or cannot be.
 */
export function termsOf(parameters: TermsParameters, deployer: Address): Terms {
  const { profile, treasury, protocolFeeBps, minRelayStake, minProviderStake } = parameters;
  if (profile === "main") {
    for (const name of ["token", "guardian", "governor"] as const)
      if (!parameters[name])
        throw new RangeError(`A deployment of profile main needs the address of ${name}.`);
  }
  const { guardian = treasury, governor = treasury, permit2 = PERMIT2 } = parameters;
  for (const [name, address] of Object.entries({ treasury, guardian, governor }))
    if (isAddressEqual(address, zeroAddress)) throw new RangeError(`The ${name} is the zero address.`);
  for (const [name, address] of Object.entries({ guardian, governor }))
    if (isAddressEqual(address, deployer))
      throw new RangeError(`The ${name} is the deployer, which keeps no rights: name another account.`);
  if (!Number.isInteger(protocolFeeBps) || protocolFeeBps < 0 || protocolFeeBps > MAX_PROTOCOL_FEE_BPS)
    throw new RangeError(`The protocol fee is ${protocolFeeBps}: use 0 to ${MAX_PROTOCOL_FEE_BPS} bps.`);
  // Without a minimum nobody would ever cross it: the contract refuses 0, which would leave a deployment half done.
  for (const [name, stake] of Object.entries({ minRelayStake, minProviderStake }))
    if (stake < 1n || stake > MAX_STAKE)
      throw new RangeError(`${name} is ${stake} pUSD: use 1 to ${MAX_STAKE} pUSD.`);
  return {
    treasury,
    protocolFeeBps,
    minRelayStake: String(minRelayStake),
    minProviderStake: String(minProviderStake),
    guardian,
    governor,
    governorDelay: GOVERNOR_DELAYS[profile],
    permit2,
  };
}
