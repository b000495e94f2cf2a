import {
  MAX_ANNOUNCED_PARAMETERS,
  MAX_PARAMETER_CHARACTERS,
  QUANTIZATIONS,
} from "@aimo/protocol/announcement";
import type { TableReader } from "./config-reader.ts";
import type { Claims } from "./core/types.ts";

const REGION = /^[a-z0-9-]{1,32}$/;
const PARAMETER = new RegExp(`^[a-z0-9_]{1,${MAX_PARAMETER_CHARACTERS}}$`);

/** What holds for all models of a provider that do not say otherwise: how prompts are treated, and where. */
export function readPolicy(table: TableReader): Claims {
  const zeroRetention = table.optionalBoolean("zero_retention");
  const collectsData = table.optionalBoolean("collects_data");
  const residency = table.optionalText("residency");
  if (residency !== undefined && !REGION.test(residency))
    throw table.fault("residency", "must have 1 to 32 characters of a-z 0-9 -");
  if (zeroRetention && collectsData)
    throw table.fault("collects_data", "cannot be true where nothing is kept (zero_retention)");
  return {
    ...(zeroRetention === undefined ? {} : { zeroRetention }),
    ...(collectsData === undefined ? {} : { collectsData }),
    ...(residency === undefined ? {} : { residency }),
  };
}

/** What a provider says of one model, for relays that filter by it. */
export function readClaims(table: TableReader, policy: Claims): Claims {
  const quantization = table.optionalOneOf("quantization", QUANTIZATIONS);
  const hiddenReasoning = table.optionalBoolean("hidden_reasoning");
  const supportedParameters = table.texts("supported_parameters");
  if (
    supportedParameters.length > MAX_ANNOUNCED_PARAMETERS ||
    !supportedParameters.every((name) => PARAMETER.test(name))
  )
    throw table.fault(
      "supported_parameters",
      `must be a list of at most ${MAX_ANNOUNCED_PARAMETERS} names, each 1 to ${MAX_PARAMETER_CHARACTERS} characters of a-z 0-9 _`,
    );
  return {
    ...policy,
    ...readPolicy(table),
    ...(quantization === undefined ? {} : { quantization }),
    ...(hiddenReasoning === undefined ? {} : { hiddenReasoning }),
    ...(supportedParameters.length === 0 ? {} : { supportedParameters }),
  };
}
