import { AimoError } from "@aimo/protocol/errors";
import rateLimit from "@fastify/rate-limit";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { Address } from "viem";
import { type Hex, isAddressEqual, recoverMessageAddress } from "viem";
import { parseSiweMessage, validateSiweMessage } from "viem/siwe";
import type { AuthSessions } from "../flow/sign-in-ports.ts";
import { open, SiweBody } from "./schemas.ts";

export type AuthOptions = {
  readonly sessions: AuthSessions;
  readonly chainId: number;
  /** Authorities that a sign-in message may name: where this relay is reached. */
  readonly domains: () => readonly string[];
  /** Asks the chain about a contract wallet's signature (ERC-1271). */
  readonly verifyOnChain?: (wallet: {
    address: Address;
    message: string;
    signature: Hex;
  }) => Promise<boolean>;
  readonly now: () => number;
  /** Calls per minute and address. */
  readonly callsPerMinute: number;
};

/** A wallet signs within minutes; an older message is somebody else's find. Milliseconds. */
const MAX_MESSAGE_AGE_MS = 10 * 60_000;
const MAX_CLOCK_AHEAD_MS = 60_000;

/** Wallet sign-in by EIP-4361: a nonce, then the signed message for a session of a few minutes. */
export const authRoutes: FastifyPluginAsyncTypebox<AuthOptions> = async (app, options) => {
  await app.register(rateLimit, {
    max: options.callsPerMinute,
    timeWindow: 60_000,
    // The limits of the whole interface are in the headers already.
    addHeaders: {
      "x-ratelimit-limit": false,
      "x-ratelimit-remaining": false,
      "x-ratelimit-reset": false,
      "retry-after": false,
    },
    errorResponseBuilder: (_request, { max, ttl }) =>
      new AimoError("rate_limit_exceeded", {
        message: `More than ${max} sign-in calls in a minute.`,
        retryAfterSeconds: Math.ceil(ttl / 1000),
      }),
  });
  app.post("/v1/auth/nonce", { schema: open("createNonce", "A nonce for a sign-in message") }, async () => {
    const { nonce, expiresAt } = options.sessions.createNonce();
    return {
      nonce,
      expires_at: new Date(expiresAt).toISOString(),
      domain: options.domains()[0],
      chain_id: options.chainId,
      version: "1",
    };
  });
  app.post(
    "/v1/auth/siwe",
    { schema: { ...open("signIn", "A session for a signed EIP-4361 message"), body: SiweBody } },
    async ({ body }) => {
      const owner = await verifySignIn(options, { message: body.message, signature: body.signature as Hex });
      const { token, expiresAt } = options.sessions.open(owner);
      return { token, token_type: "Bearer", address: owner, expires_at: new Date(expiresAt).toISOString() };
    },
  );
};

const refuse = (message: string) => new AimoError("authentication_failed", { message });

/** The address that signed in. Throws `authentication_failed` with what is wrong. */
async function verifySignIn(
  options: AuthOptions,
  sent: { message: string; signature: Hex },
): Promise<Address> {
  const fields = parseSiweMessage(sent.message);
  const { address, domain, chainId, nonce, issuedAt } = fields;
  if (!address || !domain || !nonce || !issuedAt)
    throw refuse("The sign-in message is not an EIP-4361 message.");
  if (!options.domains().includes(domain))
    throw refuse(`The sign-in message is for ${domain}, not for ${options.domains()[0]}.`);
  if (chainId !== options.chainId)
    throw refuse(`The sign-in message is for chain ${chainId}, not ${options.chainId}.`);
  const time = new Date(options.now());
  const age = time.getTime() - issuedAt.getTime();
  if (!(age <= MAX_MESSAGE_AGE_MS && age >= -MAX_CLOCK_AHEAD_MS))
    throw refuse("The sign-in message is too old, or from the future.");
  if (!validateSiweMessage({ message: fields, time }))
    throw refuse("The sign-in message is expired or not valid.");
  // Used up even if the signature is wrong: a nonce is good for one try.
  if (!options.sessions.useNonce(nonce))
    throw refuse("The nonce of the sign-in message is unknown, used or expired.");
  if (await isSignedBy(options, { ...sent, address })) return address;
  throw refuse("The signature is not by the address in the sign-in message.");
}

async function isSignedBy(
  { verifyOnChain }: AuthOptions,
  wallet: { address: Address; message: string; signature: Hex },
): Promise<boolean> {
  try {
    if (isAddressEqual(await recoverMessageAddress(wallet), wallet.address)) return true;
  } catch {
    // Not the shape of a key's signature: a contract wallet may still know it.
  }
  return (await verifyOnChain?.(wallet)) ?? false;
}
