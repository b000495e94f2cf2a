import { isBuiltin } from "node:module";
import { basename } from "node:path";
import { build, type Plugin } from "esbuild";

export type BundleParameters = {
  readonly root: string;
  /** Source of the package, relative to the root. */
  readonly entry: string;
  /** Programs beside it: their names in `dist`, and their sources. */
  readonly programs?: Readonly<Record<string, string>>;
  readonly dist: string;
  readonly target: string;
};

/**
 * Bundles an entry and our own workspaces into plain JavaScript. Packages from npm stay outside; returns their names.
 * What is imported on demand becomes files of its own, so that a command loads only what it needs.
 */
export async function bundle(parameters: BundleParameters): Promise<string[]> {
  const { root, entry, programs = {}, dist, target } = parameters;
  const packages = new Set<string>();
  await build({
    absWorkingDir: root,
    entryPoints: { [basename(entry, ".ts")]: entry, ...programs },
    outdir: dist,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "neutral",
    target,
    mainFields: ["module", "main"],
    conditions: ["import"],
    chunkNames: "chunks/[name]-[hash]",
    legalComments: "none",
    logLevel: "warning",
    plugins: [keepPackagesOutside(packages)],
  });
  return [...packages].sort();
}

function keepPackagesOutside(packages: Set<string>): Plugin {
  return {
    name: "packages stay outside",
    setup({ onResolve }) {
      onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
        if (kind === "entry-point" || path.startsWith("@aimo/")) return undefined;
        if (!isBuiltin(path)) packages.add(packageOf(path));
        return { path, external: true };
      });
    },
  };
}

/** `viem/accounts` is of viem, `@libp2p/crypto/keys` of `@libp2p/crypto`. */
function packageOf(path: string): string {
  const [first = "", second] = path.split("/");
  return first.startsWith("@") ? `${first}/${second}` : first;
}
