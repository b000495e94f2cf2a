import { addressOfPublicKey, publicKeyOf, sign } from "@aimo/node/fast-crypto";
import { creditVaultAbi } from "@aimo/protocol/abi/credit-vault";
import { registryAbi } from "@aimo/protocol/abi/registry";
import { settlementAbi } from "@aimo/protocol/abi/settlement";
import { uint } from "@aimo/protocol/bytes";
import { ROLES } from "@aimo/protocol/deployment";
import { digestOf } from "@aimo/protocol/typed-data";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { encodeAbiParameters, type Hex, keccak256, pad, toHex } from "viem";
import type { Call } from "./chain.ts";
import { callAll, depositCall, NO_METADATA, type Person, signerProof, type World, YEAR } from "./world.ts";

/** Ids as a busy network has them: no bytes that are zero for being early. */
const FIRST_USER_ID = 0x5a6b7001;
const FIRST_PROVIDER_ID = 0x1c2d3e01;
const IN_A_TRANSACTION = 40;
export const CHANNEL = 200n * PUSD_PER_USD;
const STORAGE_SLOTS = 24;

export type User = Person & { readonly id: number };

function personOf(number: number): Person {
  const key = uint(number, 32);
  return { key, address: addressOfPublicKey(publicKeyOf(key)) };
}

/** Users with credits, each with a channel to both relays: metered at the first, signed at the second. */
export async function addUsers(world: World, count: number): Promise<readonly User[]> {
  const { vault } = world.at;
  await raiseCounter(world, {
    slots: Array.from({ length: STORAGE_SLOTS }, (_, slot) => toHex(slot, { size: 32 })),
    value: FIRST_USER_ID - 1,
    read: { address: vault, abi: creditVaultAbi, functionName: "userCount", args: [] },
  });
  const users = Array.from({ length: count }, (_, n) => ({
    id: FIRST_USER_ID + n,
    ...personOf(0xa11ce000 + n),
  }));
  await inParts(world, "users with channels", users, (user) => [
    depositCall(world, user.address, 3n * CHANNEL),
    openCall(world, user, { relayId: world.metered.id, mode: 0, nonce: 0n }),
    openCall(world, user, { relayId: world.signed.id, mode: 1, nonce: 1n }),
  ]);
  return users;
}

/** Providers by one owner, who leaves with each before it registers the next: what they are owed they are owed. */
export async function addProviders(world: World, count: number): Promise<readonly number[]> {
  const registry = { address: world.at.registry, abi: registryAbi };
  const place = [{ type: "uint8" }, { type: "uint256" }] as const;
  await raiseCounter(world, {
    slots: Array.from({ length: STORAGE_SLOTS }, (_, slot) =>
      keccak256(encodeAbiParameters(place, [ROLES.provider, BigInt(slot)])),
    ),
    value: FIRST_PROVIDER_ID - 1,
    read: { ...registry, functionName: "providerCount", args: [] },
  });
  const ids = Array.from({ length: count }, (_, n) => FIRST_PROVIDER_ID + n);
  await inParts(world, "providers", ids, (id) => {
    const signer = personOf(id);
    const { deadline, proof } = signerProof(world, world.manyCalls, ROLES.provider, signer.key);
    const args = [signer.address, NO_METADATA, deadline, proof];
    return [
      { ...registry, functionName: "registerProvider", args },
      { ...registry, functionName: "deactivate", args: [ROLES.provider, id] },
    ];
  });
  return ids;
}

type Opening = { readonly relayId: number; readonly mode: 0 | 1; readonly nonce: bigint };

/** A channel opened by the user's signature. Its session key is the user's own: nothing costs more or less for it. */
export function openCall(world: World, user: Person, { relayId, mode, nonce }: Opening): Call {
  const until = world.chain.now() + YEAR;
  const authorization = {
    ...{ user: user.address, relayId, mode, nonce, amount: CHANNEL, expiry: until, deadline: until },
    sessionKey: mode === 1 ? user.address : pad("0x", { size: 20 }),
  };
  const signature = sign(digestOf(world.separator, "SpendAuthorization", authorization), user.key);
  return {
    ...{ address: world.at.settlement, abi: settlementAbi, functionName: "openChannelBySig" },
    args: [authorization, signature],
  };
}

async function inParts<T>(
  world: World,
  what: string,
  list: readonly T[],
  callsOf: (one: T) => readonly Call[],
): Promise<void> {
  for (let first = 0; first < list.length; first += IN_A_TRANSACTION) {
    const part = list.slice(first, first + IN_A_TRANSACTION);
    await callAll(world, part.flatMap(callsOf));
    world.progress(`${what}: ${first + part.length} of ${list.length}`);
  }
}

type Counter = {
  /** Where it may be stored. */
  readonly slots: readonly Hex[];
  readonly value: number;
  readonly read: Call;
};

/** Sets a counter of ids as if there had been so many before. Finds its slot by looking at what is read. */
async function raiseCounter({ chain }: World, { slots, value, read }: Counter): Promise<void> {
  const { client } = chain;
  const { address } = read;
  for (const slot of slots) {
    const before = (await client.getStorageAt({ address, slot })) ?? NO_METADATA;
    await client.setStorageAt({ address, index: slot, value: toHex(value, { size: 32 }) });
    if (Number(await client.readContract(read as never)) === value) return;
    await client.setStorageAt({ address, index: slot, value: pad(before, { size: 32 }) });
  }
  throw new Error(`The counter that ${read.functionName} reads is not where it was looked for.`);
}
