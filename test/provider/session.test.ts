import { once } from "node:events";
import { generateKey } from "@aimo/node/keys";
import { PROTOCOL_VERSION } from "@aimo/protocol/deployment";
import { SESSION_PATH } from "@aimo/protocol/session";
import { expect } from "chai";
import { type FaultUpstream, startFaultUpstream } from "./support/fault-upstream.ts";
import {
  attemptOn,
  chatBody,
  chatPath,
  DEPLOYMENT,
  PROVIDER_ID,
  RELAY_ID,
  signVoucher,
  startWorld,
  type World,
} from "./support/provider.ts";
import { type ConnectParameters, exchange, offerSession } from "./support/relay-client.ts";

describe("provider sessions", () => {
  let upstream: FaultUpstream;
  let world: World;

  before(async () => {
    upstream = await startFaultUpstream();
  });
  beforeEach(async () => {
    world = await startWorld({ upstream: upstream.url });
  });
  afterEach(() => world.provider.close(0));
  after(() => upstream.close());

  const offering = (changes: Partial<ConnectParameters> = {}) =>
    offerSession({
      url: world.provider.url,
      chainId: DEPLOYMENT.chainId,
      relayId: RELAY_ID,
      providerId: PROVIDER_ID,
      key: world.relayKey,
      providerSigner: world.key.address,
      sign: (cumulative) => signVoucher(world.relayKey, cumulative).signature,
      ...changes,
    });
  const refusal = async (changes: Partial<ConnectParameters>) => {
    const { answer } = await offering(changes);
    const { code, param } = JSON.parse(answer.text).error;
    return [answer.status, code, param];
  };

  it("refuses a relay that is not registered, has left, or is not bonded", async () => {
    expect(await refusal({ relayId: 8 })).to.deep.equal([403, "not_registered", null]);
    const relay = { relayId: 9, signer: world.relayKey.address, active: false, bonded: true };
    world.relays.set(9, relay);
    expect(await refusal({ relayId: 9 })).to.deep.equal([403, "not_registered", null]);
    world.relays.set(9, { ...relay, active: true, bonded: false });
    expect(await refusal({ relayId: 9 })).to.deep.equal([403, "not_bonded", null]);
  });

  it("refuses another protocol version, chain or provider, and a key that is no point", async () => {
    expect(await refusal({ offer: { version: PROTOCOL_VERSION + 1 } })).to.deep.equal([
      400,
      "invalid_request",
      "version",
    ]);
    expect(await refusal({ offer: { chainId: 1 } })).to.deep.equal([400, "invalid_request", "chainId"]);
    expect(await refusal({ offer: { providerId: 4 } })).to.deep.equal([400, "invalid_request", "providerId"]);
    expect(await refusal({ offer: { nonce: "0x12" } })).to.deep.equal([400, "invalid_request", "nonce"]);
    const ephemeral = `0x02${"ff".repeat(32)}` as const;
    expect(await refusal({ offer: { ephemeral } })).to.deep.equal([400, "invalid_request", null]);
  });

  it("refuses a confirmation by another key than the registered one, and the session with it", async () => {
    const { client, signature } = await offering({ key: generateKey() });
    if (!client) throw new Error("No session.");
    const path = `${SESSION_PATH}/${client.sessionId}/confirm`;
    const confirm = () => exchange(client.url + path, "POST", JSON.stringify({ signature }));
    const { status, text } = await confirm();
    expect([status, JSON.parse(text).error.code]).to.deep.equal([401, "authentication_failed"]);
    expect(text).to.contain(world.relayKey.address);
    expect((await client.ack(1n)).status).to.equal(401);
    expect((await confirm()).status).to.equal(401);
  });

  it("serves nothing on a session that was not confirmed", async () => {
    const { client } = await offering();
    expect((await client?.send("POST", chatPath(attemptOn()), chatBody()))?.status).to.equal(401);
  });

  it("refuses a sequence number that was used before, and takes them out of order", async () => {
    const relay = await world.connect();
    const body = JSON.stringify({ cumulative: "0", signature: relay.sign(0n) });
    const path = `${SESSION_PATH}/${relay.sessionId}/ack`;
    expect((await relay.send("POST", path, body, 5n)).status).to.equal(204);
    expect((await relay.send("POST", path, body, 3n)).status).to.equal(204);
    const { status, text } = await relay.send("POST", path, body, 5n);
    expect([status, JSON.parse(text).error.code]).to.deep.equal([401, "authentication_failed"]);
    expect(text).to.contain("Sequence number 5");
    expect((await relay.send("POST", path, body, 9_000n)).status).to.equal(204);
    expect((await relay.send("POST", path, body, 6n)).status).to.equal(401);
  });

  it("refuses a MAC over another body, path, method or number, without using the number up", async () => {
    const relay = await world.connect();
    const path = `${SESSION_PATH}/${relay.sessionId}/ack`;
    const body = JSON.stringify({ cumulative: "7", signature: relay.sign(7n) });
    const wrong = [
      relay.headersFor("POST", path, JSON.stringify({ cumulative: "8" }), 1n),
      relay.headersFor("POST", `${path}?x`, body, 1n),
      relay.headersFor("PUT", path, body, 1n),
      { ...relay.headersFor("POST", path, body, 2n), "aimo-seq": "1" },
      { ...relay.headersFor("POST", path, body, 1n), "aimo-mac": "0x00" },
      { ...relay.headersFor("POST", path, body, 1n), "aimo-seq": "-1" },
      { "aimo-session": relay.sessionId },
    ];
    for (const headers of wrong) {
      const { status, text } = await exchange(relay.url + path, "POST", body, headers);
      expect([status, JSON.parse(text).error.code]).to.deep.equal([401, "authentication_failed"]);
    }
    expect((await relay.send("POST", path, body, 1n)).status).to.equal(204);
  });

  it("ends the sessions of a relay that lost its bond or changed its key", async () => {
    const relay = await world.connect();
    await relay.listen();
    await world.provider.sessions.recheck();
    expect((await relay.ack(0n)).status).to.equal(204);
    const known = world.relays.get(RELAY_ID);
    if (!known) throw new Error("No relay.");
    world.relays.set(RELAY_ID, { ...known, signer: generateKey().address });
    const ended = once(relay.events, "end");
    await world.provider.sessions.recheck();
    await ended;
    expect((await relay.ack(0n)).status).to.equal(401);
  });

  it("makes room for a relay's new session at the cost of one that nobody is connected for", async () => {
    const listening = await world.connect();
    await listening.listen();
    const gone = await world.connect();
    for (let i = 0; i < 14; i++) await (await world.connect()).listen();
    const next = await world.connect();
    expect(
      [await gone.ack(0n), await listening.ack(0n), await next.ack(0n)].map(({ status }) => status),
    ).to.deep.equal([401, 204, 204]);
  });

  it("names what is wrong with paths, methods and messages", async () => {
    const relay = await world.connect();
    const { url } = world.provider;
    expect((await exchange(`${url}/nothing`, "GET", "")).status).to.equal(404);
    expect((await exchange(`${url}/health`, "GET", "")).status).to.equal(200);
    expect((await exchange(url + SESSION_PATH, "GET", "")).status).to.equal(405);
    expect((await exchange(url + SESSION_PATH, "POST", "[]")).status).to.equal(400);
    expect((await exchange(url + SESSION_PATH, "POST", "x".repeat(5_000))).status).to.equal(413);
    const ack = `${SESSION_PATH}/${relay.sessionId}/ack`;
    expect((await relay.send("POST", ack, '{"cumulative":"-1"}')).status).to.equal(400);
    const abort = `${SESSION_PATH}/${relay.sessionId}/abort`;
    expect((await relay.send("POST", abort, '{"attempt":"0x01","frames":-1}')).status).to.equal(400);
    expect(await relay.abort("0x01", 1)).to.equal(undefined);
  });
});
