import { parseArgs } from "node:util";
import { parseUsd } from "@aimo/protocol/units";
import { PROFILES } from "@aimo/protocol/windows";
import { type Address, isAddress } from "viem";
import type { TermsParameters } from "./terms.ts";

export const HELP = `Usage: npm run deploy -- --profile main|local --rpc URL --key-file FILE --treasury ADDRESS [options]
       npm run deploy -- --verify --rpc URL [--out DIR]

Deploys the contracts of an AiMo network, gives the roles away so that the deployer keeps none, reads everything back
from the chain, and writes deployments/<chain id>.json. Each step is written down before it is sent; a deployment that
stopped half-way, or one that is there, is never overwritten silently.

Options:
  --profile NAME             main: windows of hours and days; local: of seconds, with a test dollar (local chains only)
  --rpc URL                  the chain's RPC endpoint
  --key-file FILE            the deployer's key: 64 hex digits in a file of mode 0600, or a V3 keystore
  --password-file FILE       file with the keystore's password (default: ask)
  --treasury ADDRESS         gets the protocol's fees
  --token ADDRESS            the token that backs credits (needed with main)
  --guardian ADDRESS         may pause, at once (needed with main; local: the treasury)
  --governor ADDRESS         may announce modules and name guardians and governors, after a delay of 7 days on main
                             (needed with main; local: the treasury)
  --protocol-fee-bps N       the protocol's share of users' debits, in hundredths of a percent (default 100)
  --min-relay-stake USD      least bond of a relay (default 10)
  --min-provider-stake USD   least stake of a provider (default 10)
  --permit2 ADDRESS          Permit2 (default: where it is on every chain that has it)
  --confirmations N          blocks to wait for on top of the last step (default 5 with main, 1 with local)
  --out DIR                  folder of the deployment's file (default deployments)
  --start-over               give up a deployment that stopped half-way and begin anew
  --verify                   send nothing: read the deployment in the folder back from the chain and name what is not as
                             it should be; exit code 1 if anything is
  --json                     print the result as one line of JSON
  --help                     this text`;

const OPTIONS = {
  profile: { type: "string" },
  rpc: { type: "string" },
  "key-file": { type: "string" },
  "password-file": { type: "string" },
  treasury: { type: "string" },
  token: { type: "string" },
  guardian: { type: "string" },
  governor: { type: "string" },
  "protocol-fee-bps": { type: "string", default: "100" },
  "min-relay-stake": { type: "string", default: "10" },
  "min-provider-stake": { type: "string", default: "10" },
  permit2: { type: "string" },
  confirmations: { type: "string" },
  out: { type: "string", default: "deployments" },
  "start-over": { type: "boolean", default: false },
  verify: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

type Common = { readonly rpcUrl: string; readonly folder: string; readonly json: boolean };
export type Options =
  | { readonly command: "help" }
  | (Common & { readonly command: "verify" })
  | (Common & {
      readonly command: "deploy";
      readonly terms: TermsParameters;
      readonly keyFile: string;
      readonly passwordFile: string | undefined;
      readonly confirmations: number;
      readonly startOver: boolean;
    });

/** Reads the command line. Throws a RangeError or TypeError that names the option at fault. */
export function readOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({ args: [...argv], options: OPTIONS });
  if (values.help) return { command: "help" };
  const need = (name: "rpc" | "profile" | "key-file" | "treasury"): string => {
    const value = values[name];
    if (value) return value;
    throw new RangeError(`--${name} is missing; see --help.`);
  };
  const common = { rpcUrl: need("rpc"), folder: values.out, json: values.json };
  if (values.verify) return { ...common, command: "verify" };
  const profile = need("profile");
  if (!isProfile(profile)) throw new RangeError(`--profile is "${profile}": use main or local.`);
  const address = (name: "treasury" | "token" | "guardian" | "governor" | "permit2") => {
    const value = values[name];
    return value === undefined ? {} : { [name]: readAddress(name, value) };
  };
  return {
    ...common,
    command: "deploy",
    terms: {
      profile,
      treasury: readAddress("treasury", need("treasury")),
      protocolFeeBps: readWhole("protocol-fee-bps", values["protocol-fee-bps"]),
      minRelayStake: readUsd("min-relay-stake", values["min-relay-stake"]),
      minProviderStake: readUsd("min-provider-stake", values["min-provider-stake"]),
      ...address("token"),
      ...address("guardian"),
      ...address("governor"),
      ...address("permit2"),
    },
    keyFile: need("key-file"),
    passwordFile: values["password-file"],
    confirmations: readWhole("confirmations", values.confirmations ?? (profile === "main" ? "5" : "1")),
    startOver: values["start-over"],
  };
}

function isProfile(name: string): name is keyof typeof PROFILES {
  return Object.hasOwn(PROFILES, name);
}

function readAddress(name: string, value: string): Address {
  if (isAddress(value)) return value;
  const isTypo = isAddress(value, { strict: false });
  throw new RangeError(
    `--${name} is "${value}", ${isTypo ? "whose checksum (upper and lower case) is wrong" : "which is no address"}.`,
  );
}

function readWhole(name: string, value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(number)) return number;
  throw new RangeError(`--${name} is "${value}": use a whole number.`);
}

function readUsd(name: string, value: string): bigint {
  try {
    return parseUsd(value);
  } catch {
    throw new RangeError(`--${name} is "${value}": use an amount of USD such as 10 or 0.5.`);
  }
}
