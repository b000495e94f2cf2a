import { type ReadClient, type WriteClient, waitForReceipt } from "@aimo/protocol/action";
import {
  modelIdOf,
  providerIdBySigner,
  registerProvider,
  registerRelay,
  registerModel as registerSlug,
  relayIdBySigner,
} from "@aimo/protocol/actions/registry";
import { type Deployment, ROLES } from "@aimo/protocol/deployment";
import { domainOf, TYPES } from "@aimo/protocol/typed-data";
import { type Address, type Hex, zeroHash } from "viem";
import { privateKeyToAccount } from "viem/accounts";

/** Who reads, who sends, and where the contracts are. */
export type Registrar = {
  readonly reader: ReadClient;
  readonly sender: WriteClient;
  readonly deployment: Deployment;
};

export type RegisterNodeParameters = {
  readonly role: keyof typeof ROLES;
  /** Who sends, and so will own the registration. */
  readonly owner: Address;
  /** The node's hot key: it proves itself here, and is the node's PeerId. */
  readonly signerKey: Hex;
  /** What a relay adds to providers' prices, basis points. */
  readonly feeBps?: number;
  readonly metadataHash?: Hex;
  /** Protocol seconds. */
  readonly now: number;
};

/** A proof is used at once; this covers a slow block. */
const PROOF_SECONDS = 900;

/**
 * Registers the sender as the owner of a relay or provider whose node signs with `signerKey`. Returns its id.
 * Throws `transaction_failed`, `chain_unavailable`.
 */
export async function registerNode(
  { reader, sender, deployment }: Registrar,
  parameters: RegisterNodeParameters,
): Promise<number> {
  const { role, owner, signerKey, feeBps = 0, metadataHash = zeroHash, now } = parameters;
  const account = privateKeyToAccount(signerKey);
  const signer = account.address;
  const deadline = now + PROOF_SECONDS;
  const signerProof = await account.signTypedData({
    domain: domainOf({ chainId: deployment.chainId, verifyingContract: deployment.contracts.registry }),
    types: TYPES,
    primaryType: "SignerProof",
    message: { owner, role: ROLES[role], deadline },
  });
  const common = { deployment, signer, metadataHash, deadline, signerProof };
  const label = `Registration of the ${role} with signer ${signer}`;
  const hash =
    role === "relay"
      ? await registerRelay(sender, { ...common, feeBps, label })
      : await registerProvider(sender, { ...common, label });
  const { blockNumber } = await waitForReceipt(reader, { hash });
  const idBySigner = role === "relay" ? relayIdBySigner : providerIdBySigner;
  return idBySigner(reader, { deployment, signer, blockNumber });
}

/** Id of a model, which is registered if it is not yet. Throws `transaction_failed`, `chain_unavailable`. */
export async function ensureModel({ reader, sender, deployment }: Registrar, name: string): Promise<number> {
  const slug = name.toLowerCase();
  const known = await modelIdOf(reader, { deployment, slug });
  if (known !== 0) return known;
  const hash = await registerSlug(sender, { deployment, slug, label: `Registration of model ${slug}` });
  const { blockNumber } = await waitForReceipt(reader, { hash });
  return modelIdOf(reader, { deployment, slug, blockNumber });
}
