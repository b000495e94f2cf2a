import { AimoError } from "@aimo/protocol/errors";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { type Address, type Hex, isAddressEqual } from "viem";
import { channelJson, creditsJson } from "../core/account-json.ts";
import type { Accounts, Ledger } from "../flow/ports.ts";
import type { Access } from "./access.ts";
import { ChannelBody, manage, read } from "./schemas.ts";

export type AccountOptions = {
  readonly relayId: number;
  readonly access: Access;
  readonly accounts: Accounts;
  readonly ledger: Pick<Ledger, "balanceOf">;
};

/** Balance and channel of the caller's own account. */
export const accountRoutes: FastifyPluginAsyncTypebox<AccountOptions> = async (app, options) => {
  const { relayId, access, accounts, ledger } = options;
  app.get("/v1/credits", { schema: read("getCredits", "Credits and usage") }, async (request) => {
    const { userId } = await access.account(request);
    if (userId === 0) return creditsJson(0n, { relayId, balance: undefined });
    const credits = await accounts.creditsOf(userId);
    if (!ledger.balanceOf(userId)) await accounts.refreshChannel(userId);
    return creditsJson(credits, { relayId, balance: ledger.balanceOf(userId) });
  });
  app.get(
    "/v1/channels",
    { schema: read("listChannels", "The account's channel to this relay") },
    async (request) => {
      const { userId } = await access.account(request);
      const onChain = userId === 0 ? undefined : await accounts.refreshChannel(userId);
      const balance = ledger.balanceOf(userId);
      return { data: balance ? [channelJson(relayId, balance, onChain)] : [] };
    },
  );
  app.post(
    "/v1/channels",
    {
      schema: {
        ...manage("openChannel", "Open a channel by signature, at the relay's gas"),
        body: ChannelBody,
      },
    },
    async (request, reply) => {
      const { body } = request;
      if (!isAddressEqual(access.owner(request), body.user as Address))
        throw new AimoError("permission_denied", {
          message: "The authorization is another wallet's.",
          param: "user",
        });
      if (body.relayId !== relayId)
        throw new AimoError("invalid_request", {
          message: `relayId must be ${relayId}, this relay.`,
          param: "relayId",
        });
      const transaction = await accounts.openChannel({
        ...body,
        user: body.user as Address,
        sessionKey: body.sessionKey as Address,
        signature: body.signature as Hex,
        amount: BigInt(body.amount),
        nonce: BigInt(body.nonce),
      });
      return reply.code(201).send({ transaction });
    },
  );
};
