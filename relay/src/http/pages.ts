import { AimoError } from "@aimo/protocol/errors";

export type PageRequest = {
  /** Id of the last entry that is known. */
  readonly after?: string;
  readonly limit?: string;
  readonly defaultLimit: number;
  readonly maxLimit: number;
};

/** A part of a list, in OpenAI's shape of one. Throws `invalid_request`. */
export function pageOf<T extends { readonly id: string }>(
  entries: readonly T[],
  { after, limit, defaultLimit, maxLimit }: PageRequest,
  toJson: (entry: T) => object,
): object {
  const count = limitOf(limit, { defaultLimit, maxLimit });
  const last = after === undefined ? -1 : entries.findIndex(({ id }) => id === after);
  if (after !== undefined && last === -1) throw invalid("after names no entry of the list.", "after");
  const page = entries.slice(last + 1, last + 1 + count);
  return {
    object: "list",
    data: page.map(toJson),
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
    has_more: entries.length > last + 1 + count,
  };
}

/** How many entries a query asks for. Throws `invalid_request`. */
export function limitOf(
  limit: string | undefined,
  { defaultLimit, maxLimit }: Pick<PageRequest, "defaultLimit" | "maxLimit">,
): number {
  const count = limit === undefined ? defaultLimit : Number(limit);
  if (count >= 1 && count <= maxLimit) return count;
  throw invalid(`limit must be an integer from 1 to ${maxLimit}.`, "limit");
}

const invalid = (message: string, param: string) => new AimoError("invalid_request", { message, param });
