import { createServer } from "node:net";
import { addressOf, generateKey } from "@aimo/node/keys";
import { silentLog } from "@aimo/node/log";
import { type P2p, type P2pParameters, peerAddress, startP2p } from "@aimo/node/p2p";
import type { Verdict } from "@aimo/node/verdict";
import { MAX_ANNOUNCEMENT_BYTES } from "@aimo/protocol/announcement";
import { utf8 } from "@aimo/protocol/bytes";
import { expect } from "chai";
import { errorOf } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";

const LOOPBACK = "/ip4/127.0.0.1/tcp/0";
const TOPIC = "/aimo/test/offers";

/** Accepts texts that begin with "good", ignores "late", rejects the rest. */
function judge(data: Uint8Array): Verdict<string> {
  const text = Buffer.from(data).toString();
  if (text.startsWith("good")) return { accept: text };
  return text.startsWith("late") ? { ignore: "late" } : { reject: "junk" };
}

describe("node/p2p", function () {
  this.timeout(60_000);
  const running: P2p[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((node) => node.close()));
  });

  async function start(change: Partial<P2pParameters<string>> = {}) {
    const heard: string[] = [];
    const key = generateKey();
    const node = await startP2p({
      privateKey: key.privateKey,
      listen: [LOOPBACK],
      bootstrap: [],
      topic: TOPIC,
      judge,
      onAccepted: (text) => heard.push(text),
      log: silentLog(),
      ...change,
    });
    running.push(node);
    return { node, heard, key };
  }

  it("has the on-chain address of the node's key in its id", async () => {
    const { node, key } = await start();
    expect(peerAddress(node.id)).to.equal(key.address);
    expect(addressOf(key.privateKey)).to.equal(key.address);
    expect(node.addresses()[0]).to.match(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/16Uiu2/);
  });

  it("finds no address in what is no secp256k1 id", () => {
    for (const id of ["", "hello", "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"])
      expect(peerAddress(id), id).to.equal(undefined);
  });

  it("carries the first message to a peer that was dialled a moment ago", async () => {
    const relay = await start();
    const provider = await start({ bootstrap: relay.node.addresses() });
    const sent = await provider.node.publish(utf8("good day"));
    expect(sent).to.equal(1);
    await eventually("the message arrives", () => relay.heard.includes("good day"));
    expect(provider.node.peers()).to.have.length(1);
    expect(provider.node.peers()[0]?.address).to.equal(relay.key.address);
  });

  it("carries a message on through a node in between", async () => {
    const middle = await start();
    const far = await start({ bootstrap: middle.node.addresses() });
    const near = await start({ bootstrap: middle.node.addresses() });
    await eventually("the far node is in the middle's mesh", async () => {
      await near.node.publish(utf8(`good ${performance.now()}`));
      return far.heard.length > 0;
    });
  });

  it("lowers the score of a peer that sends junk until it is not heard any more", async () => {
    const relay = await start();
    const vandal = await start({ bootstrap: relay.node.addresses() });
    await vandal.node.publish(utf8("good beginning"));
    await eventually("the relay hears the peer", () => relay.heard.includes("good beginning"));
    for (const text of ["junk 1", "junk 2"]) await vandal.node.publish(utf8(text));
    const score = await eventually("the score falls", () => {
      const now = relay.node.peers().find(({ id }) => id === vandal.node.id)?.score ?? 0;
      return now < -80 ? now : undefined;
    });
    expect(score).to.be.lessThan(-80);
    await vandal.node.publish(utf8("good again"));
    const honest = await start({ bootstrap: relay.node.addresses() });
    await honest.node.publish(utf8("good from another"));
    await eventually("the relay hears an honest peer", () => relay.heard.includes("good from another"));
    expect(relay.heard).to.not.include("good again");
    expect(relay.heard).to.not.include("junk 1");
  });

  it("drops what the judge ignores without blaming the peer", async () => {
    const relay = await start();
    const provider = await start({ bootstrap: relay.node.addresses() });
    await provider.node.publish(utf8("late news"));
    await provider.node.publish(utf8("good news"));
    await eventually("the second message arrives", () => relay.heard.length > 0);
    expect(relay.heard).to.deep.equal(["good news"]);
    expect(relay.node.peers()[0]?.score).to.be.at.least(0);
  });

  it("refuses to publish more bytes than the protocol allows", async () => {
    const { node } = await start();
    const error = await node.publish(new Uint8Array(MAX_ANNOUNCEMENT_BYTES + 1)).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(RangeError);
  });

  it("publishes the same bytes twice, and to nobody, without an error", async () => {
    const relay = await start();
    const provider = await start({ bootstrap: relay.node.addresses() });
    expect(await provider.node.publish(utf8("good"))).to.equal(1);
    expect(await provider.node.publish(utf8("good"))).to.equal(0);
    await relay.node.close();
    await eventually("the relay is gone", () => provider.node.peers().length === 0);
    expect(await provider.node.publish(utf8("good bye"))).to.equal(0);
  });

  it("dials a bootstrap node again after it was away", async () => {
    const first = await start();
    const [address = ""] = first.node.addresses();
    const provider = await start({ bootstrap: [address] });
    await eventually("they meet", () => provider.node.peers().length === 1);
    await first.node.close();
    await eventually("the relay is gone", () => provider.node.peers().length === 0);
    const listen = [address.replace(/\/p2p\/.*$/, "")];
    const second = await start({ privateKey: first.key.privateKey, listen });
    await eventually("they meet again", () => second.node.peers().length === 1);
    await eventually("a message arrives", async () => {
      await provider.node.publish(utf8(`good ${performance.now()}`));
      return second.heard.length > 0;
    });
  });

  it("tells when a peer joins the mesh", async () => {
    const met: string[] = [];
    const relay = await start();
    await start({ bootstrap: relay.node.addresses(), onPeer: (peer) => met.push(peer) });
    await eventually("the provider meets the relay", () => met.length > 0);
    expect(met[0]).to.equal(relay.node.id);
  });

  it("names the address when its port is taken", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    try {
      const error = await errorOf("port_in_use", start({ listen: [`/ip4/127.0.0.1/tcp/${port}`] }));
      expect(error.message).to.include(`127.0.0.1:${port}`);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("refuses an address that it cannot read, naming it", async () => {
    const error = await errorOf("config_invalid", start({ bootstrap: ["127.0.0.1:4001"] }));
    expect(error.message).to.include("127.0.0.1:4001");
  });

  it("leaves no handle behind, also while it dials a node that is not there", async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).length;
    await eventually(
      "earlier nodes are gone",
      () => !process.getActiveResourcesInfo().includes("TCPSocketWrap"),
    );
    const before = sockets();
    const relay = await start();
    const provider = await start({ bootstrap: [...relay.node.addresses(), "/ip4/127.0.0.1/tcp/1"] });
    await provider.node.publish(utf8("good day"));
    await Promise.all([provider.node.close(), relay.node.close()]);
    await eventually("sockets and timers are gone", () => sockets() <= before);
  });
});
