/**
 * Everything that a provider's operator may set, for the documentation: `test/docs/settings.test.ts` holds this table to
 * what `config.ts` reads.
 */

export type ProviderSetting = {
  readonly name: string;
  /** As TOML writes it; undefined: it is needed, or has a default that the meaning tells. */
  readonly fallback?: string;
  readonly meaning: string;
  readonly isOptional?: true;
  /** Routes whose models have it; all when absent. */
  readonly routes?: readonly string[];
};

export type ProviderTable = {
  /** As TOML writes it. */
  readonly name: "[provider]" | "[[upstreams]]" | "[[models]]" | "[models.pricing]";
  readonly meaning: string;
  readonly settings: readonly ProviderSetting[];
};

const needed = (name: string, meaning: string): ProviderSetting => ({ name, meaning });
const optional = (name: string, meaning: string): ProviderSetting => ({ name, meaning, isOptional: true });
const or = (name: string, fallback: string, meaning: string): ProviderSetting => ({
  name,
  fallback,
  meaning,
});

const POLICY = [
  optional("zero_retention", "Promises that prompts and answers are kept nowhere; true or false."),
  optional("collects_data", "Says that prompts are collected; true or false. Not with zero_retention."),
  optional("residency", "Where prompts stay, e.g. eu: 1 to 32 characters of a-z 0-9 -."),
];

/** Sections of `provider.toml`, in the order of its reference. */
export const PROVIDER_SETTINGS: readonly ProviderTable[] = [
  {
    name: "[provider]",
    meaning: "The node. Paths are relative to the file.",
    settings: [
      needed("key_file", "The node's hot key: a V3 keystore, or 64 hex digits in a file of mode 0600."),
      optional("key_password_file", "File with the keystore's password, where the key is a keystore."),
      optional("owner_key_file", "The owner's key, for sync_prices alone; the node holds none otherwise."),
      optional("owner_key_password_file", "File with the password of that key."),
      or(
        "sync_prices",
        "false",
        "Registers models and sets prices on the chain at the start, where they differ. Needs owner_key_file.",
      ),
      needed("rpc_url", "RPC endpoint of the chain."),
      needed("deployment_file", "JSON file with the addresses of the deployment."),
      needed("data_folder", "Where the journal of receipts lives."),
      or("host", '"127.0.0.1"', "Address to listen on. Another than this machine's own needs endpoint."),
      or("port", "0", "Port to listen on, to 65,535; 0 takes any."),
      optional(
        "endpoint",
        "Where relays reach the node: https unless it is on this machine. Default: host and port.",
      ),
      or("region", '"unknown"', "Where it stands, as it announces."),
      ...POLICY,
      or(
        "credit_limit_usd",
        '"0.50"',
        "What a relay may leave unpaid above its reserve: what can be lost to it.",
      ),
      or(
        "redeem_after_seconds",
        "0",
        "Age of an unpaid voucher at which the node redeems it, to 172,800; 0: half the posting window.",
      ),
      or("redeem_least_usd", '"0.01"', "Least debt that is worth a redemption's gas."),
      optional(
        "voucher_folder",
        "Where each relay's newest voucher lies. Default: data_folder with -vouchers behind it.",
      ),
      or("max_concurrency", "32", "Requests at a time, 1 to 10,000."),
      or("max_body_bytes", "28311552", "Largest request body, 1,024 to 67,108,864."),
      or("p2p_listen", "[]", "Multiaddrs to listen on for gossip; none: it dials only."),
      or(
        "p2p_bootstrap",
        "[]",
        "Multiaddrs of relays (or others) to stay connected to: who hears what it offers.",
      ),
    ],
  },
  {
    name: "[[upstreams]]",
    meaning: "Inference servers, 1 to 64.",
    settings: [
      needed("name", "What [[models]] call it."),
      or("kind", '"openai"', '"openai": a server of that interface. "demo": a built-in one without weights.'),
      optional(
        "vendor",
        "generic, openai, vllm, sglang, ollama, llama.cpp or demo: what the server understands beyond the common ground. Default: generic.",
      ),
      optional(
        "continuous_usage",
        "Counts inside streams: per_choice, in_all or none. Default: the vendor's.",
      ),
      needed("base_url", "Its address, with /v1. Not for a demo."),
      optional("api_key_env", "Name of the environment variable with its API key."),
      or("connect_timeout_seconds", "2", "Time to connect, 1 to 3,600."),
      or("first_byte_timeout_seconds", "120", "Time to the head of an answer, 1 to 3,600."),
      or("stall_timeout_seconds", "30", "Longest silence within an answer, 1 to 3,600."),
    ],
  },
  {
    name: "[[models]]",
    meaning: "What is sold.",
    settings: [
      needed("id", "Its name on the network: 1 to 128 characters of a-z 0-9 . _ : / @ + -."),
      or("route", '"chat"', "chat, embeddings, images, transcriptions, speech or moderations."),
      needed("upstream", "Name of one of the [[upstreams]]."),
      optional("upstream_model", "What that server calls it. Default: id."),
      optional("context_tokens", "Most tokens of prompt and answer. Default: 8,192; images: 4,000."),
      optional(
        "max_output_tokens",
        "Most tokens of an answer. Default: 4,096, or context_tokens if that is less.",
      ),
      optional("description", "A sentence for lists. Default: id."),
      ...POLICY,
      optional("quantization", "How the weights are stored, e.g. fp8 or int4."),
      optional("hidden_reasoning", "Whether it thinks in tokens that are billed and not shown."),
      or("supported_parameters", "[]", "Names of request fields that it obeys, e.g. tools."),
    ],
  },
  {
    name: "[models.pricing]",
    meaning: "Of the model above it, in USD: numbers, or texts for small ones.",
    settings: [
      { ...needed("prompt", "Per million prompt tokens."), routes: ["chat", "embeddings"] },
      {
        ...optional("cached", "Per million cached prompt tokens, not above prompt. Default: as prompt."),
        routes: ["chat"],
      },
      { ...needed("completion", "Per million completion tokens."), routes: ["chat"] },
      { ...needed("image", "Per image."), routes: ["images"] },
      {
        ...needed("minute", "Per minute of a recording, a multiple of 0.00000006."),
        routes: ["transcriptions"],
      },
      {
        ...needed("characters", "Per million characters; moderations may leave it out."),
        routes: ["speech", "moderations"],
      },
      { ...optional("request", "Per request. Default: 0."), routes: ["moderations"] },
    ],
  },
];
