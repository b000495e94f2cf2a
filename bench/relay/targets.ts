import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createKey } from "../../scripts/local/sign-in.ts";
import { localWallet } from "../../scripts/local/wallets.ts";
import { type Child, startChild } from "./child.ts";
import type { Target } from "./modes.ts";
import { payByVoucher } from "./pay-by-voucher.ts";
import { portkeyHeaders, startPortkey } from "./portkey.ts";
import { WORLD_FILE, type World } from "./world.ts";

/** Cores: what is measured has one for itself; the mocks, the chain and the load share the other. */
export const CORES = { target: 0, rest: 1 } as const;

export type Targets = {
  readonly targets: readonly Target[];
  /** What could not be started, and why. */
  readonly missing: Readonly<Record<string, string>>;
  close(): Promise<void>;
};

export type TargetsParameters = { readonly portkey: boolean; readonly progress: (text: string) => void };

/** Starts everything that is compared, each in a process of its own. */
export async function startTargets({ portkey, progress }: TargetsParameters): Promise<Targets> {
  const started = new AsyncDisposableStack();
  const keep = (child: Child): Child => {
    started.defer(() => child.close());
    return child;
  };
  try {
    progress("starting the mock and the bare proxies");
    const mock = keep(await startChild({ program: "run-mock.ts", core: CORES.rest }));
    const behind = async (program: string) =>
      keep(await startChild({ program, core: CORES.target, args: [String(mock.ready["port"])] }));
    const target = (name: string, process: Child, headers = {}): Target => ({
      ...{ name, process, mock, headers },
      port: Number(process.ready["port"]),
    });
    const targets = [
      target("direct", mock),
      target("nodeUndici", await behind("run-node-proxy.ts")),
      target("fastifyUndici", await behind("run-fastify-proxy.ts")),
      ...(await startAimo({ started, keep, progress })),
    ];
    const missing: Record<string, string> = {};
    try {
      if (!portkey) throw new Error("it was left out");
      progress("starting Portkey's gateway");
      const process = keep(await startPortkey(CORES.target));
      targets.push(target("portkey", process, portkeyHeaders(Number(mock.ready["port"]))));
    } catch (error) {
      missing["portkey"] = String(error);
    }
    return { targets, missing, close: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

type AimoParameters = {
  readonly started: AsyncDisposableStack;
  readonly keep: (child: Child) => Child;
  readonly progress: (text: string) => void;
};

/** Our relay with a chain, a provider and two users: one whose METERED channel pays, one whose SIGNED channel does. */
async function startAimo({ started, keep, progress }: AimoParameters): Promise<Target[]> {
  const folder = await mkdtemp(join(tmpdir(), "aimo-bench-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  progress("deploying the contracts");
  keep(await startChild({ program: "run-world.ts", core: CORES.rest, args: [folder] }));
  progress("starting the relay and its provider");
  const relay = keep(await startChild({ program: "run-relay.ts", core: CORES.target, args: [folder] }));
  const providerArgs = [folder, String(relay.ready["p2p"])];
  const mock = keep(await startChild({ program: "run-provider.ts", core: CORES.rest, args: providerArgs }));
  const port = Number(relay.ready["port"]);
  const url = `http://127.0.0.1:${port}`;
  const world: World = JSON.parse(await readFile(join(folder, WORLD_FILE), "utf8"));
  await waitForModels(url);
  const keyOf = async (account: number) => {
    const key = await createKey(url, localWallet(world.rpcUrl, account), "bench");
    return { authorization: `Bearer ${key}` };
  };
  const [metered, signed] = [await keyOf(world.user), await keyOf(world.signedUser)];
  const userId = await readUserId(url, signed);
  const line = await payByVoucher(world, { userId, sessionKey: world.sessionKey });
  return [
    { name: "aimo", port, headers: metered, process: relay, mock },
    { name: "aimoSigned", port, headers: signed, line, process: relay, mock },
  ];
}

/** The account's number on the chain, which vouchers name. Throws an Error when it has no channel. */
async function readUserId(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const response = await fetch(`${url}/v1/channels`, { headers });
  const { data } = (await response.json()) as { data: readonly { user: number }[] };
  const [channel] = data;
  if (!channel) throw new Error("The relay knows no channel of the user.");
  return channel.user;
}

const POLL_MS = 100;
const OFFER_TIMEOUT_MS = 60_000;

/** The provider's announcement comes by gossip. */
async function waitForModels(url: string): Promise<void> {
  const deadline = Date.now() + OFFER_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: unknown[] };
    if (data.length > 0) return;
    await wait(POLL_MS);
  }
  throw new Error("The provider's offer did not reach the relay.");
}
