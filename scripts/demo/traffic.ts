import type { LocalNetwork, LocalUser } from "../local-network.ts";

/** One request of the story and what the relay said of it. */
export type Served = {
  readonly user: number;
  readonly kind: Kind;
  readonly ok: boolean;
  readonly status: number;
  readonly generationId: string | undefined;
  readonly providerId: number | undefined;
  /** Provisional charge, pUSD. */
  readonly costPusd: bigint;
};
export type Kind = "chat" | "stream" | "embeddings" | "images";

const PLAN: readonly { readonly kind: Kind; readonly count: number }[] = [
  { kind: "chat", count: 7 },
  { kind: "stream", count: 7 },
  { kind: "embeddings", count: 4 },
  { kind: "images", count: 3 },
];

const SUBJECTS = ["a market", "a ledger", "the weather", "a river", "a good soup", "a lighthouse", "a train"];

/** All requests of all users, interleaved so that any stretch of the list has every kind and every user in it. */
export function planOf(
  users: readonly LocalUser[],
): { readonly user: number; readonly kind: Kind; readonly turn: number }[] {
  const kinds = PLAN.flatMap(({ kind, count }) =>
    Array.from({ length: count }, (_, i) => ({ kind, at: (i + 0.5) / count })),
  )
    .sort((a, b) => a.at - b.at)
    .map(({ kind }) => kind);
  return kinds.flatMap((kind, turn) => users.map((_, user) => ({ user, kind, turn })));
}

export async function send(
  network: LocalNetwork,
  step: { user: number; kind: Kind; turn: number },
): Promise<Served> {
  const user = network.users[step.user];
  if (!user) throw new RangeError(`No user ${step.user}.`);
  const { path, body } = requestOf(step.kind, step.turn);
  const response = await fetch(`${user.baseUrl}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${user.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  const aimo = response.ok ? aimoOf(step.kind, text) : undefined;
  return {
    user: step.user,
    kind: step.kind,
    ok: response.ok && aimo !== undefined,
    status: response.status,
    generationId: aimo?.generation_id,
    providerId: aimo?.provider?.id,
    costPusd: BigInt(aimo?.cost_pusd ?? "0"),
  };
}

type AimoObject = { generation_id?: string; provider?: { id: number }; cost_pusd?: string };

/** The additive `aimo` object: in the body, or in the last data frame before [DONE]. */
function aimoOf(kind: Kind, text: string): AimoObject | undefined {
  if (kind !== "stream") return (JSON.parse(text) as { aimo?: AimoObject }).aimo;
  const frames = text.split("\n").filter((line) => line.startsWith("data: {"));
  const withAimo = frames
    .map((line) => JSON.parse(line.slice(6)) as { aimo?: AimoObject })
    .findLast((frame) => frame.aimo);
  return withAimo?.aimo;
}

function requestOf(kind: Kind, turn: number): { path: string; body: object } {
  const subject = SUBJECTS[turn % SUBJECTS.length];
  if (kind === "embeddings")
    return {
      path: "/embeddings",
      body: { model: "demo-embed", input: [`All about ${subject}`, `Turn ${turn}`] },
    };
  if (kind === "images")
    return {
      path: "/images/generations",
      body: {
        model: "demo-image",
        prompt: `${subject} at dusk`,
        size: "256x256",
        response_format: "b64_json",
      },
    };
  const messages = [{ role: "user", content: `Tell me how ${subject} works.` }];
  return {
    path: "/chat/completions",
    body: { model: "demo-text", messages, max_tokens: 16 + turn, stream: kind === "stream" },
  };
}
