/** Defaults of requests, by name. */
export type PresetSettings = {
  readonly name: string;
  readonly description: string;
  readonly model: string | null;
  readonly models: readonly string[] | null;
  /** Put before the messages of a chat that has no system message. */
  readonly system_prompt: string | null;
  /** Fields of a request's body, e.g. `temperature`. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** The `provider` object of a request. */
  readonly provider: Readonly<Record<string, unknown>> | null;
  readonly cache: { readonly enabled: boolean; readonly ttl?: number } | null;
};
export type PresetJson = PresetSettings & {
  readonly slug: string;
  /** ISO 8601. */
  readonly created_at: string;
  readonly updated_at: string;
};
