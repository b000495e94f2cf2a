import { AimoError } from "@aimo/protocol/errors";
import type { PresetJson, PresetSettings } from "@aimo/protocol/presets";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyRequest } from "fastify";
import type { Static } from "typebox";
import { checkPreset, type Preset } from "../core/preset.ts";
import type { Presets } from "../flow/preset-ports.ts";
import type { Access } from "./access.ts";
import { managePreset, NewPresetBody, PresetBody, PresetParams, readPreset } from "./preset-schemas.ts";

export type PresetsOptions = { readonly access: Access; readonly presets: Presets };

const EMPTY: PresetSettings = {
  ...{ name: "", description: "", model: null, models: null, system_prompt: null },
  ...{ parameters: {}, provider: null, cache: null },
};
const one = { params: PresetParams };

/** Presets: made and changed by the wallet's session, read and used by the account's keys too. */
export const presetsRoutes: FastifyPluginAsyncTypebox<PresetsOptions> = async (app, { access, presets }) => {
  const owner = async (request: FastifyRequest) => access.userIdOf(access.owner(request));
  app.get("/v1/presets", { schema: readPreset("listPresets", "The account's presets") }, async (request) => {
    const { userId } = await access.account(request);
    return { data: (await presets.list(userId)).map(presetJson) };
  });
  app.post(
    "/v1/presets",
    { schema: { ...managePreset("createPreset", "A new preset"), body: NewPresetBody } },
    async (request, reply) => {
      const userId = await owner(request);
      if (userId === 0)
        throw new AimoError("insufficient_credits", {
          message: `${access.owner(request)} has not deposited credits yet.`,
          hint: "Deposit first, with `aimo credits buy`; then make the preset.",
        });
      const { slug, ...changes } = request.body;
      const preset = await presets.create(userId, slug, changed(EMPTY, changes));
      return reply.code(201).send({ data: presetJson(preset) });
    },
  );
  app.get(
    "/v1/presets/:slug",
    { schema: { ...readPreset("readPreset", "One preset"), ...one } },
    async (request) => {
      const { userId } = await access.account(request);
      const { slug } = request.params;
      const preset = await presets.find(userId, slug);
      if (preset) return { data: presetJson(preset) };
      throw new AimoError("not_found", { message: `The account has no preset ${slug}.`, param: "slug" });
    },
  );
  app.patch(
    "/v1/presets/:slug",
    { schema: { ...managePreset("changePreset", "Change a preset"), ...one, body: PresetBody } },
    async (request) => {
      const change = (old: Preset) => changed(old, request.body);
      const preset = await presets.change(await owner(request), request.params.slug, change);
      return { data: presetJson(preset) };
    },
  );
  app.delete(
    "/v1/presets/:slug",
    { schema: { ...managePreset("removePreset", "Remove a preset"), ...one } },
    async (request) => {
      await presets.remove(await owner(request), request.params.slug);
      return { deleted: true };
    },
  );
};

/** Settings with the ones that a body names; each is replaced whole. Throws what `checkPreset` throws. */
function changed(old: PresetSettings, body: Static<typeof PresetBody>): PresetSettings {
  const { name, description, model, models, system_prompt, parameters, provider, cache } = {
    ...old,
    ...body,
  };
  const settings = { name, description, model, models, system_prompt, parameters, provider, cache };
  checkPreset(settings);
  return settings;
}

function presetJson({ createdAt, updatedAt, ...preset }: Preset): PresetJson {
  const time = (ms: number) => new Date(ms).toISOString();
  return { ...preset, created_at: time(createdAt), updated_at: time(updatedAt) };
}
