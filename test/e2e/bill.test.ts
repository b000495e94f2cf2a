import { execFile } from "node:child_process";
import { join } from "node:path";
import { type Database, openData } from "@aimo/node/data-dir";
import { silentLog } from "@aimo/node/log";
import { loadConfig } from "@aimo/relay/config";
import { startRelay } from "@aimo/relay/node";
import { expect } from "chai";
import { type LocalNetwork, type LocalUser, startLocalNetwork } from "../../scripts/local-network.ts";

type Report = {
  readonly ok: boolean;
  readonly receipts: number;
  readonly problems: readonly {
    kind: string;
    id?: string;
    batchNo: string;
    row?: number;
    leaf?: number;
    interval?: string[];
    detail: string;
  }[];
};
type Bill = { ids: string[] };
type Stored = { outcome: { statement: { units: number[] } } };

/** What `aimo bill verify` says of a relay whose store somebody changed while it was stopped. */
describe("e2e/aimo bill verify", function () {
  this.timeout(180_000);
  let network: LocalNetwork;
  let user: LocalUser;
  let ids: string[];

  before(async () => {
    network = await startLocalNetwork({ ports: "free" });
    const [first] = network.users;
    const [relay] = network.relays;
    if (!first || !relay) throw new Error("A user and a relay expected.");
    user = first;
    for (let turn = 0; turn < 5; turn++) await chat(user, turn);
    await relay.settle();
    const intact = await verify(network, user, user.baseUrl);
    expect(intact.report.problems).to.deep.equal([]);
    expect(intact.code).to.equal(0);
    expect(intact.report.receipts).to.equal(5);
    await relay.close();
    ids = await withStore(network, async (db) => (await readBill(db)).bill.ids);
  });

  after(() => network.close());

  it("says of an untouched bill that it holds", async () => {
    const { code, report } = await verifyTampered(network, user, async () => {});
    expect([code, report.ok, report.receipts]).to.deep.equal([0, true, 5]);
  });

  it("names an altered receipt by its id", async () => {
    const [, , altered = ""] = ids;
    const { code, report } = await verifyTampered(network, user, async (db) => {
      const key = `!generations!${altered}`;
      const stored = JSON.parse((await db.get(key)) ?? "") as Stored;
      const { units } = stored.outcome.statement;
      units[2] = (units[2] ?? 0) + 1;
      await db.put(key, JSON.stringify(stored));
    });
    expect(code).to.not.equal(0);
    expect(report.problems.some(({ kind, id }) => kind === "altered" && id === altered)).to.equal(
      true,
      JSON.stringify(report.problems),
    );
  });

  it("names a dropped receipt by batch, row, leaf and interval", async () => {
    const { code, report } = await verifyTampered(network, user, async (db) => {
      const { key, bill } = await readBill(db);
      await db.put(key, JSON.stringify({ ...bill, ids: bill.ids.toSpliced(1, 1) }));
    });
    expect(code).to.not.equal(0);
    const dropped = report.problems.find(({ kind }) => kind === "dropped");
    expect(dropped, JSON.stringify(report.problems)).to.include({ row: 0, leaf: 1 });
    expect(dropped?.interval).to.have.lengthOf(2);
  });

  it("names a duplicated receipt by its id", async () => {
    const [, duplicated = ""] = ids;
    const { code, report } = await verifyTampered(network, user, async (db) => {
      const { key, bill } = await readBill(db);
      await db.put(key, JSON.stringify({ ...bill, ids: bill.ids.toSpliced(2, 0, duplicated) }));
    });
    expect(code).to.not.equal(0);
    expect(report.problems.some(({ kind, id }) => kind === "duplicated" && id === duplicated)).to.equal(
      true,
      JSON.stringify(report.problems),
    );
  });
});

async function chat({ baseUrl, apiKey }: LocalUser, turn: number): Promise<void> {
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: "demo-text",
      messages: [{ role: "user", content: `Turn ${turn}` }],
      max_tokens: 8 + turn,
    }),
  });
  expect(response.status, await response.text()).to.equal(200);
}

/** Changes the stopped relay's store, starts the relay on it, verifies, stops it and puts the store back. */
async function verifyTampered(
  network: LocalNetwork,
  user: LocalUser,
  tamper: (db: Database) => Promise<void>,
): Promise<{ code: number; report: Report }> {
  const before = await withStore(network, async (db) => {
    const entries = await db.iterator({ gte: "!", lt: "!\uffff" }).all();
    await tamper(db);
    return entries;
  });
  const config = await loadConfig({ file: join(relayFolder(network), "relay.toml"), environment: {} });
  const relay = await startRelay(config, { log: silentLog() });
  try {
    return await verify(network, user, `${relay.url}/v1`);
  } finally {
    await relay.close();
    await withStore(network, (db) => db.batch(before.map(([key, value]) => ({ type: "put", key, value }))));
  }
}

const relayFolder = ({ folder }: LocalNetwork) => join(folder, "relay-1");

async function withStore<T>(network: LocalNetwork, use: (db: Database) => Promise<T>): Promise<T> {
  const { chainId, genesisHash, contracts } = network.deployment;
  const db = await openData({
    location: { folder: join(relayFolder(network), "data") },
    identity: { chainId, genesisHash, settlement: contracts.settlement },
  });
  try {
    return await use(db);
  } finally {
    await db.close();
  }
}

async function readBill(db: Database): Promise<{ key: string; bill: Bill }> {
  const [entry] = await db.iterator({ gte: "!bills!", lt: "!bills!\uffff" }).all();
  if (!entry) throw new Error("The store has no bill.");
  return { key: entry[0], bill: JSON.parse(entry[1]) as Bill };
}

/** Runs the command as a user would: in a folder of its own, told where relay, chain and contracts are. */
function verify(
  network: LocalNetwork,
  user: LocalUser,
  baseUrl: string,
): Promise<{ code: number; report: Report }> {
  const main = new URL("../../cli/src/main.ts", import.meta.url).pathname;
  const environment = {
    HOME: network.folder,
    AIMO_BASE_URL: baseUrl,
    AIMO_API_KEY: user.apiKey,
    AIMO_OWNER: user.address,
    AIMO_RPC_URL: network.rpcUrl,
    AIMO_DEPLOYMENT: join(network.folder, "deployment.json"),
  };
  return new Promise((done) => {
    execFile(
      process.execPath,
      [main, "bill", "verify", "--json"],
      { cwd: network.folder, env: environment },
      (error, stdout) => {
        const code = error ? Number(error.code ?? 1) : 0;
        done({ code, report: JSON.parse(stdout) as Report });
      },
    );
  });
}
