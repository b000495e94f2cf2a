import { sign } from "@aimo/node/fast-crypto";
import { registryAbi } from "@aimo/protocol/abi/registry";
import { ROLES } from "@aimo/protocol/deployment";
import { digestByViem } from "@aimo/protocol/typed-data";
import { type Address, encodeFunctionData, type Hex, zeroHash } from "viem";
import { askChain, type ChainReader, type ChainSender } from "./sender.ts";

export type RegisterProviderParameters = {
  /** The node's hot key: it proves itself here, and is the provider's PeerId. */
  readonly signer: { readonly address: Address; readonly privateKey: Hex };
  readonly metadataHash?: Hex;
};

/** A proof is used at once; this covers a slow block. */
const PROOF_SECONDS = 600;

/** Registers the sender as the owner of a provider with this signer. Returns its id. Throws `transaction_failed`. */
export async function registerProvider(
  client: ChainSender,
  { signer, metadataHash = zeroHash }: RegisterProviderParameters,
): Promise<number> {
  const { deployment, transactions, time } = client;
  const { registry } = deployment.contracts;
  const deadline = time.now() + PROOF_SECONDS;
  const proof = sign(
    digestByViem({ chainId: deployment.chainId, verifyingContract: registry }, "SignerProof", {
      owner: transactions.address,
      role: ROLES.provider,
      deadline,
    }),
    signer.privateKey,
  );
  const data = encodeFunctionData({
    abi: registryAbi,
    functionName: "registerProvider",
    args: [signer.address, metadataHash, deadline, proof],
  });
  const { blockNumber } = await transactions.send({
    to: registry,
    data,
    label: "registration of the provider",
  });
  return askChain(() =>
    client.public.readContract({
      address: registry,
      abi: registryAbi,
      functionName: "providerIdBySigner",
      args: [signer.address],
      blockNumber,
    }),
  );
}

/** Id of the provider that this key signs for, 0 when none. */
export function providerIdOf(client: ChainReader, signer: Address): Promise<number> {
  return askChain(() =>
    client.public.readContract({
      address: client.deployment.contracts.registry,
      abi: registryAbi,
      functionName: "providerIdBySigner",
      args: [signer],
      blockTag: client.readAt,
    }),
  );
}
