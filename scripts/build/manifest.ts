import { readFileSync } from "node:fs";

export type Manifest = {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
};

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as Manifest;
}

const WORKSPACES = ["protocol", "node", "relay", "provider", "sdk/typescript", "cli"];

export type PublishParameters = {
  readonly root: string;
  /** Packages from npm that the bundle imports. */
  readonly packages: readonly string[];
  /** What stands before a version: `^` lets a library share its dependencies with the program that uses it. */
  readonly range: "^" | "";
};

/** The package.json of a published package: its own words, and what its bundle really imports. */
export function publishedManifest(
  { name, version, description, license }: Manifest,
  { root, packages, range }: PublishParameters,
): Manifest {
  const versions: Record<string, string> = {};
  for (const workspace of WORKSPACES)
    Object.assign(versions, readManifest(`${root}${workspace}`).dependencies);
  const dependencies = Object.fromEntries(
    packages.map((dependency) => {
      const known = versions[dependency];
      if (!known) throw new Error(`${name} imports ${dependency}, which no workspace depends on.`);
      return [dependency, `${range}${known}`];
    }),
  );
  return { name, version, description, license, type: "module", dependencies };
}
