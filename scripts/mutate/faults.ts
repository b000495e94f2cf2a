import { CHANNELS_FAULTS } from "./channels.ts";
import type { Fault } from "./fault.ts";
import { LIBRARIES_FAULTS } from "./libraries.ts";
import { POSTS_FAULTS } from "./posts.ts";
import { PROOFS_FAULTS } from "./proofs.ts";
import { REGISTRY_FAULTS } from "./registry.ts";
import { STAKES_FAULTS } from "./stakes.ts";
import { VAULT_FAULTS } from "./vault.ts";

/** Every fault that the tests must catch. */
export const FAULTS: readonly Fault[] = [
  ...POSTS_FAULTS,
  ...CHANNELS_FAULTS,
  ...STAKES_FAULTS,
  ...VAULT_FAULTS,
  ...PROOFS_FAULTS,
  ...LIBRARIES_FAULTS,
  ...REGISTRY_FAULTS,
];
