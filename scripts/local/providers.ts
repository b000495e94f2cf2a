import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadOrCreateKey } from "@aimo/node/keys";
import type { Log } from "@aimo/node/log";
import type { Route } from "@aimo/protocol/announcement";
import { PUSD_PER_USD } from "@aimo/protocol/units";
import { loadConfig } from "@aimo/provider/config";
import { startProvider } from "@aimo/provider/node";
import { type Network, registerProvider } from "./register.ts";
import { ACCOUNT, deposit, faucet, localPrivateKey, localWallet } from "./wallets.ts";

/** One kind of provider of a local network. Prices in USD: per million tokens or characters, per image, per minute. */
export type ProviderPlan = {
  readonly name: string;
  readonly models: readonly ModelPlan[];
  readonly upstream: { readonly kind: "demo" } | { readonly kind: "openai"; readonly url: string };
};
type ModelPlan = {
  readonly id: string;
  readonly route: Route;
  readonly upstreamModel: string;
  readonly description: string;
  readonly pricing: Readonly<Record<string, string>>;
};

export type LocalProvider = {
  readonly id: number;
  readonly name: string;
  readonly url: string;
  /** Account of the local mnemonic that owns it. */
  readonly ownerIndex: number;
  close(): Promise<void>;
};

/** Three providers of the same models at different prices, so that routing has something to choose. */
export const DEMO_PROVIDERS: readonly ProviderPlan[] = [
  demoProvider("alpha", {
    prompt: "0.20",
    cached: "0.10",
    completion: "0.60",
    image: "0.004",
    speech: "15",
    minute: "0.006",
  }),
  demoProvider("beta", {
    prompt: "0.15",
    cached: "0.15",
    completion: "0.75",
    image: "0.003",
    speech: "12",
    minute: "0.0054",
  }),
  demoProvider("gamma", {
    prompt: "0.30",
    cached: "0.05",
    completion: "0.50",
    image: "0.005",
    speech: "10",
    minute: "0.003",
  }),
];

type DemoPrices = Readonly<
  Record<"prompt" | "cached" | "completion" | "image" | "speech" | "minute", string>
>;

function demoProvider(
  name: string,
  { prompt, cached, completion, image, speech, minute }: DemoPrices,
): ProviderPlan {
  const model = (
    id: string,
    route: ModelPlan["route"],
    description: string,
    pricing: ModelPlan["pricing"],
  ) => ({
    id,
    route,
    upstreamModel: id,
    description,
    pricing,
  });
  return {
    name,
    upstream: { kind: "demo" },
    models: [
      model(
        "demo-text",
        "chat",
        "AiMo demo text model: an n-gram generator without weights; for local networks only",
        {
          prompt,
          cached,
          completion,
        },
      ),
      model(
        "demo-embed",
        "embeddings",
        "AiMo demo embeddings: random indexing without weights; for local networks only",
        { prompt },
      ),
      model(
        "demo-image",
        "images",
        "AiMo demo image model: draws simple scenes without weights; for local networks only",
        { image },
      ),
      model("demo-speech", "speech", "AiMo demo speech: two tones for each byte; for local networks only", {
        characters: speech,
      }),
      model(
        "demo-listen",
        "transcriptions",
        "AiMo demo transcription: hears what the demo speech model says; for local networks only",
        { minute },
      ),
      model(
        "demo-moderation",
        "moderations",
        "AiMo demo moderation: a list of words; for local networks only",
        {
          characters: prompt,
          request: "0.000001",
        },
      ),
    ],
  };
}

/** A provider in front of an OpenAI-compatible server of the operator's. */
export function upstreamProvider({
  url,
  model,
}: {
  readonly url: string;
  readonly model: string;
}): ProviderPlan {
  const id = model.toLowerCase();
  const pricing = { prompt: "0.20", cached: "0.10", completion: "0.60" };
  return {
    name: "upstream",
    upstream: { kind: "openai", url },
    models: [{ id, route: "chat", upstreamModel: model, description: `${model} at ${url}`, pricing }],
  };
}

export type StartLocalProviderOptions = Network & {
  readonly folder: string;
  readonly deploymentFile: string;
  readonly index: number;
  readonly plan: ProviderPlan;
  readonly port: number;
  readonly bootstrap: readonly string[];
  /** Protocol seconds after which a voucher is redeemed; the node's own limit otherwise. */
  readonly redeemAfterSeconds?: number;
  readonly log: Log;
};

const STAKE = 20n * PUSD_PER_USD;

/** Registers, stakes and starts a provider node: its own key, its own data, its configuration on disk as TOML. */
export async function startLocalProvider(options: StartLocalProviderOptions): Promise<LocalProvider> {
  const { rpcUrl, deployment, plan, log } = options;
  const ownerIndex = ACCOUNT.providerOwner + options.index;
  const owner = localWallet(rpcUrl, ownerIndex);
  const folder = join(options.folder, `provider-${plan.name}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const key = await loadOrCreateKey({ path: join(folder, "node.key") });
  const ownerKeyFile = join(folder, "owner.key");
  await writeFile(ownerKeyFile, localPrivateKey(ownerIndex), { mode: 0o600 });
  await deposit(rpcUrl, deployment, owner, STAKE);
  const id = await registerProvider(options, owner, { signerKey: key.privateKey, stake: STAKE });
  // The node redeems vouchers by itself, so it needs gas.
  await faucet(rpcUrl, deployment, key.address, PUSD_PER_USD);
  const configFile = join(folder, "provider.toml");
  await writeFile(configFile, tomlOf(options));
  const node = await startProvider(await loadConfig(configFile), { log: log.child({ node: plan.name }) });
  return { id, name: plan.name, url: node.url, ownerIndex, close: () => node.close() };
}

function tomlOf(options: StartLocalProviderOptions): string {
  const { rpcUrl, deploymentFile, plan, port, bootstrap, redeemAfterSeconds = 0 } = options;
  const text = (value: string) => JSON.stringify(value);
  const table = (entries: Readonly<Record<string, string | number | boolean | readonly string[]>>) =>
    Object.entries(entries)
      .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
      .join("\n");
  const upstream =
    plan.upstream.kind === "demo" ? { kind: "demo" } : { kind: "openai", base_url: plan.upstream.url };
  const models = plan.models.map(
    ({ id, route, upstreamModel, description, pricing }) =>
      `[[models]]\n${table({ id, route, upstream: "main", upstream_model: upstreamModel, description })}\n` +
      `[models.pricing]\n${Object.entries(pricing)
        .map(([name, usd]) => `${name} = ${text(usd)}`)
        .join("\n")}\n`,
  );
  return `# A provider of a local AiMo network. Prices in USD: per million tokens, per image.
[provider]
${table({
  key_file: "node.key",
  owner_key_file: "owner.key",
  sync_prices: true,
  rpc_url: rpcUrl,
  deployment_file: deploymentFile,
  data_folder: "data",
  port,
  region: "local",
  redeem_after_seconds: redeemAfterSeconds,
  p2p_bootstrap: bootstrap,
})}

[[upstreams]]
name = "main"
${table(upstream)}

${models.join("\n")}`;
}
