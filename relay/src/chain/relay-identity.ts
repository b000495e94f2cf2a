import type { Chain } from "@aimo/node/chain";
import { relayIdBySigner, relayOf } from "@aimo/protocol/actions/registry";
import * as stakes from "@aimo/protocol/actions/stake-manager";
import { PROTOCOL_VERSION, ROLES } from "@aimo/protocol/deployment";
import { AimoError } from "@aimo/protocol/errors";
import type { WellKnown } from "@aimo/protocol/routes";
import { formatUsd } from "@aimo/protocol/units";
import type { Address } from "viem";

type ChainReader = Pick<Chain, "public" | "deployment" | "readAt">;

/** The relay as the chain has it. Read at start and again now and then; synchronous in between. */
export interface RelayIdentity {
  readonly relayId: number;
  /** Basis points, in force now. */
  feeBps(): number;
  wellKnown(): WellKnown;
  /** Reads fee, bond and owner again. Throws `chain_unavailable`, `not_registered`, `not_bonded`. */
  refresh(): Promise<void>;
}

type Entry = { readonly owner: Address; readonly feeBps: number; readonly bond: bigint };

/** Finds the relay that this key signs for. Throws `not_registered`, `not_bonded`, `chain_unavailable`. */
export async function openRelayIdentity(chain: ChainReader, signer: Address): Promise<RelayIdentity> {
  const { public: reader, deployment, readAt: blockTag } = chain;
  const relayId = await relayIdBySigner(reader, { deployment, signer, blockTag });
  if (relayId === 0)
    throw new AimoError("not_registered", {
      message: `No relay is registered with the key ${signer}.`,
      details: { signer },
    });
  let entry = await readEntry(chain, relayId);
  return {
    relayId,
    feeBps: () => entry.feeBps,
    refresh: async () => {
      entry = await readEntry(chain, relayId);
    },
    wellKnown: () => ({
      protocol_version: PROTOCOL_VERSION,
      relay: {
        id: relayId,
        owner: entry.owner,
        signer,
        fee_bps: entry.feeBps,
        bond_pusd: entry.bond.toString(),
      },
      chain: {
        id: deployment.chainId,
        genesis_hash: deployment.genesisHash,
        profile: deployment.profile,
        deployed_at_block: deployment.deployedAtBlock,
      },
      contracts: deployment.contracts,
    }),
  };
}

async function readEntry(
  { public: reader, deployment, readAt: blockTag }: ChainReader,
  relayId: number,
): Promise<Entry> {
  const bonded = { deployment, role: ROLES.relay, id: relayId, blockTag };
  const [relay, bond, minimum, isActive] = await Promise.all([
    relayOf(reader, { deployment, relayId, blockTag }),
    stakes.bondOf(reader, bonded),
    stakes.MIN_RELAY_STAKE(reader, { deployment, blockTag }),
    stakes.isActive(reader, bonded),
  ]);
  if (relay.deactivatedAt !== 0)
    throw new AimoError("not_registered", { message: `Relay ${relayId} has left the network.` });
  if (!isActive)
    throw new AimoError("not_bonded", {
      message: `Relay ${relayId} has a bond of ${formatUsd(bond.active)} USD; at least ${formatUsd(minimum)} USD is needed.`,
      details: { bond: bond.active, minimum },
    });
  return { owner: relay.owner, feeBps: relay.feeCurBps, bond: bond.active };
}
