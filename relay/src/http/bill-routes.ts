import { MAX_BILLS } from "@aimo/protocol/bill";
import { AimoError } from "@aimo/protocol/errors";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyRequest } from "fastify";
import { generationJson } from "../core/account-json.ts";
import type { Generation } from "../core/types.ts";
import type { Bills, Ledger } from "../flow/ports.ts";
import type { Access } from "./access.ts";
import { limitOf } from "./pages.ts";
import { BatchParams, GenerationParams, GenerationQuery, PageQuery, read } from "./schemas.ts";

export type BillOptions = {
  readonly access: Access;
  readonly ledger: Pick<Ledger, "generationOf">;
  readonly bills: Bills;
};

/** What requests became, and the proofs of what they cost. Of the caller's own account only. */
export const billRoutes: FastifyPluginAsyncTypebox<BillOptions> = async (app, options) => {
  const { access, bills } = options;
  app.get(
    "/v1/generation",
    { schema: { ...read("getGeneration", "What became of a request"), querystring: GenerationQuery } },
    async (request) => generationJson(await ownGeneration(options, request, request.query.id)),
  );
  app.get(
    "/v1/generation/:id/proof",
    {
      schema: {
        ...read("getProof", "A billed request's way to the on-chain root"),
        params: GenerationParams,
      },
    },
    async (request) => {
      const { id, state } = await ownGeneration(options, request, request.params.id);
      const proof = await bills.proof(id);
      if (proof) return proof;
      throw new AimoError("not_found", {
        message: `The request is ${state}; it is in no posted batch.`,
        details: { state },
      });
    },
  );
  app.get(
    "/v1/settlements",
    {
      schema: { ...read("listSettlements", "Batches with a row of the account"), querystring: PageQuery },
    },
    async (request) => {
      const { userId } = await access.account(request);
      const { after, limit } = request.query;
      return bills.list(userId, {
        ...(after === undefined ? {} : { after: BigInt(after) }),
        limit: limitOf(limit, { defaultLimit: MAX_BILLS, maxLimit: MAX_BILLS }),
      });
    },
  );
  app.get(
    "/v1/settlements/:batchNo",
    { schema: { ...read("getSettlement", "All receipts under the account's row"), params: BatchParams } },
    async (request) => {
      const { userId } = await access.account(request);
      const bill = await bills.settlement(userId, BigInt(request.params.batchNo));
      if (bill) return bill;
      throw new AimoError("not_found", {
        message: "The account has no row in this batch.",
        param: "batchNo",
      });
    },
  );
};

/** Another account's generation is as unknown as one that never was. */
async function ownGeneration(
  { access, ledger }: BillOptions,
  request: FastifyRequest,
  id: string,
): Promise<Generation> {
  const { userId } = await access.account(request);
  const generation = await ledger.generationOf(id);
  if (generation && generation.userId === userId) return generation;
  throw new AimoError("not_found", { message: `The account has no generation ${id}.`, param: "id" });
}
