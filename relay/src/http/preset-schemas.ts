import { Type } from "typebox";
import { SLUG_PATTERN } from "../core/preset.ts";
import { MAX_TTL_SECONDS } from "./cache-headers.ts";
import { RoutingFields } from "./routing-schemas.ts";
import { Model } from "./schemas.ts";

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]));
const Slug = Type.String({ pattern: SLUG_PATTERN, description: "1 to 64 of a-z, 0-9 and hyphens" });
const { models, provider } = RoutingFields;

const settings = {
  name: Type.Optional(Type.String({ maxLength: 100 })),
  description: Type.Optional(Type.String({ maxLength: 1_000 })),
  model: Nullable(Model),
  models: Nullable(models),
  system_prompt: Nullable(
    Type.String({ minLength: 1, description: "Put before the messages of a chat without a system message" }),
  ),
  parameters: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), { description: "Fields of a request, e.g. temperature" }),
  ),
  provider: Nullable(provider),
  cache: Nullable(
    Type.Object(
      {
        enabled: Type.Boolean(),
        ttl: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_TTL_SECONDS, description: "seconds" })),
      },
      { additionalProperties: false },
    ),
  ),
};
export const NewPresetBody = Type.Object({ slug: Slug, ...settings }, { additionalProperties: false });
export const PresetBody = Type.Object(settings, { additionalProperties: false });
export const PresetParams = Type.Object({ slug: Slug });

const about = (
  operationId: string,
  summary: string,
  security: readonly Readonly<Record<string, readonly string[]>>[],
) => ({
  operationId,
  summary,
  tags: ["presets"],
  security,
});
export const readPreset = (operationId: string, summary: string) =>
  about(operationId, summary, [{ key: [] }, { session: [] }]);
export const managePreset = (operationId: string, summary: string) =>
  about(operationId, summary, [{ session: [] }]);
