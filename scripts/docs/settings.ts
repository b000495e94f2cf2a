import { PROVIDER_SETTINGS, type ProviderSetting } from "@aimo/provider/settings";
import { RelayConfigSchema } from "@aimo/relay/settings";
import { table } from "./table.ts";

/** `docs/reference/settings.md`. */
export function settingsPage(): string {
  return [
    "<!-- Generated from relay/src/settings.ts and provider/src/settings.ts by `npm run docs`. -->",
    "# Settings of a relay and of a provider",
    "",
    "How to get from a wallet to a node that serves is in [running-a-node.md](../running-a-node.md). Who to stay connected to",
    "is `gossip.bootstrap` for a relay and `provider.p2p_bootstrap` for a provider; where to listen for others is",
    "`gossip.listen` and `provider.p2p_listen`.",
    "",
    "## relay.toml",
    "",
    "TOML, or JSON by the file's ending. `AIMO_RELAY_` and the name in capitals sets one from the environment, over the",
    "file: `AIMO_RELAY_HTTP_PORT` is `port` of `[http]`, lists have commas. Paths are relative to the file.",
    "",
    ...relayTables(),
    "## provider.toml",
    "",
    ...providerTables(),
  ].join("\n");
}

type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly { readonly const: string }[];
  readonly properties?: Readonly<Record<string, Schema>>;
};

function relayTables(): string[] {
  const all = Object.entries((RelayConfigSchema as Schema).properties ?? {});
  const own = all.filter(([, { properties }]) => !properties);
  const sections = all.flatMap(([name, { properties }]) => (properties ? [{ name, properties }] : []));
  return [
    ...relayTable(own),
    ...sections.flatMap(({ name, properties }) => [
      `### [${snake(name)}]`,
      "",
      ...relayTable(Object.entries(properties)),
    ]),
  ];
}

function relayTable(entries: readonly (readonly [string, Schema])[]): string[] {
  const rows = entries.map(([name, schema]) => [
    `\`${snake(name)}\``,
    schema.default === undefined ? "needed" : `\`${JSON.stringify(schema.default)}\``,
    rangeOf(schema),
    schema.description ?? "",
  ]);
  return [...table(["Setting", "Default", "From, to", "Meaning"], rows), ""];
}

function rangeOf({ minimum, maximum, anyOf, type }: Schema): string {
  if (anyOf) return anyOf.map((each) => each.const).join(", ");
  if (type === "boolean") return "true, false";
  if (minimum === undefined || maximum === undefined) return type === "array" ? "list" : "text";
  return `${minimum.toLocaleString("en")} to ${maximum.toLocaleString("en")}`;
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function providerTables(): string[] {
  return PROVIDER_SETTINGS.flatMap(({ name, meaning, settings }) => [
    `### ${name}`,
    "",
    meaning,
    "",
    ...table(["Setting", "Default", "Meaning"], settings.map(providerRow)),
    "",
  ]);
}

function providerRow({ name, fallback, isOptional, meaning, routes }: ProviderSetting): string[] {
  const shown = fallback === undefined ? (isOptional ? "" : "needed") : `\`${fallback}\``;
  return [`\`${name}\``, shown, routes ? `${meaning} Of ${routes.join(" and ")}.` : meaning];
}
