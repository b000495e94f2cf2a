import { createHmac, createSecretKey } from "node:crypto";
import { addressOf } from "@aimo/node/keys";
import { createReplayWindow } from "@aimo/node/replay-window";
import {
  createHandshake,
  createSessionSecret,
  macOf,
  type SessionSecret,
  sha256,
  verifyMac,
} from "@aimo/node/session-crypto";
import { DIRECTION, type MacParameters, macInput, type SessionTranscript } from "@aimo/protocol/session";
import { expect } from "chai";
import fc from "fast-check";
import type { Hex } from "viem";

const RELAY_KEY: Hex = `0x${"11".repeat(32)}`;
const PROVIDER_KEY: Hex = `0x${"22".repeat(32)}`;

function transcriptOf(relay: SessionSecret, provider: SessionSecret): SessionTranscript {
  return {
    chainId: 31_337,
    relayId: 1,
    providerId: 2,
    relayNonce: relay.nonce,
    providerNonce: provider.nonce,
    relayEphemeral: relay.ephemeral,
    providerEphemeral: provider.ephemeral,
  };
}

function shakeHands(change: Partial<SessionTranscript> = {}) {
  const secrets = { relay: createSessionSecret(), provider: createSessionSecret() };
  const transcript = transcriptOf(secrets.relay, secrets.provider);
  const relay = createHandshake({ role: "relay", transcript, privateKey: RELAY_KEY, secret: secrets.relay });
  const provider = createHandshake({
    role: "provider",
    transcript: { ...transcript, ...change },
    privateKey: PROVIDER_KEY,
    secret: secrets.provider,
  });
  return { relay, provider, secrets, transcript };
}

const message: MacParameters = {
  direction: DIRECTION.toProvider,
  seq: 7n,
  method: "POST",
  path: "/aimo/v1/infer/chat?attempt=0x01",
  bodyHash: sha256("{}"),
};

describe("node/session-crypto", () => {
  it("gives both sides one key, and signatures that the other side accepts", () => {
    const { relay, provider } = shakeHands();
    expect(relay.macKey.equals(provider.macKey)).to.equal(true);
    expect(relay.macKey.symmetricKeySize).to.equal(32);
    expect(relay.isPeerSignature(provider.signature, addressOf(PROVIDER_KEY))).to.equal(true);
    expect(provider.isPeerSignature(relay.signature, addressOf(RELAY_KEY))).to.equal(true);
  });

  it("refuses a signature of another key, of the own role, or over another transcript", () => {
    const { relay, provider } = shakeHands();
    expect(relay.isPeerSignature(provider.signature, addressOf(RELAY_KEY))).to.equal(false);
    expect(relay.isPeerSignature(relay.signature, addressOf(RELAY_KEY))).to.equal(false);
    expect(relay.isPeerSignature(shakeHands().provider.signature, addressOf(PROVIDER_KEY))).to.equal(false);
    expect(relay.isPeerSignature("0x", addressOf(PROVIDER_KEY))).to.equal(false);
  });

  it("binds the key to every part of the transcript", () => {
    const changes: Partial<SessionTranscript>[] = [
      { chainId: 1 },
      { relayId: 9 },
      { providerId: 9 },
      { relayNonce: `0x${"ab".repeat(32)}` },
    ];
    for (const change of changes) {
      const { relay, provider } = shakeHands(change);
      expect(relay.macKey.equals(provider.macKey), JSON.stringify(change)).to.equal(false);
    }
  });

  it("is the same for the same randomness", () => {
    const draw = () => createSessionSecret((size) => new Uint8Array(size).fill(5));
    expect(draw()).to.deep.equal(draw());
    const transcript = transcriptOf(
      draw(),
      createSessionSecret((size) => new Uint8Array(size).fill(6)),
    );
    const shake = () => createHandshake({ role: "relay", transcript, privateKey: RELAY_KEY, secret: draw() });
    expect(shake().macKey.equals(shake().macKey)).to.equal(true);
    expect(shake().signature).to.equal(shake().signature);
  });

  it("draws again when the draw is no key", () => {
    const draws = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(1)];
    const secret = createSessionSecret((size) => draws.shift() ?? new Uint8Array(size).fill(9));
    expect(secret.ephemeralPrivate).to.deep.equal(new Uint8Array(32).fill(1));
  });

  it("refuses a session key that is no point, and a transcript without the own secret", () => {
    const relay = createSessionSecret();
    const provider = createSessionSecret();
    const base = transcriptOf(relay, provider);
    const shake = (transcript: SessionTranscript) => () =>
      createHandshake({ role: "relay", transcript, privateKey: RELAY_KEY, secret: relay });
    expect(shake({ ...base, providerEphemeral: `0x02${"ff".repeat(32)}` })).to.throw(RangeError, /point/);
    expect(shake({ ...base, providerEphemeral: "0x1234" })).to.throw(RangeError, /33 bytes/);
    expect(shake({ ...base, providerNonce: "0x1234" })).to.throw(RangeError);
    expect(shake({ ...base, relayEphemeral: provider.ephemeral })).to.throw(RangeError, /this relay/);
  });

  it("computes the MAC that the protocol describes", () => {
    const key = createSecretKey(Buffer.alloc(32, 3));
    const expected = createHmac("sha256", key).update(macInput(message)).digest("hex");
    expect(macOf(key, message)).to.equal(`0x${expected}`);
  });

  it("verifies a MAC, and refuses it when any field, the key or the MAC itself differs", () => {
    const key = createSecretKey(Buffer.alloc(32, 3));
    const mac = macOf(key, message);
    expect(verifyMac(key, message, mac)).to.equal(true);
    const changes: Partial<MacParameters>[] = [
      { direction: DIRECTION.toRelay },
      { seq: 8n },
      { method: "GET" },
      { path: "/" },
      { bodyHash: sha256("{ }") },
    ];
    for (const change of changes)
      expect(verifyMac(key, { ...message, ...change }, mac), Object.keys(change)[0]).to.equal(false);
    expect(verifyMac(createSecretKey(Buffer.alloc(32)), message, mac)).to.equal(false);
    fc.assert(fc.property(fc.string(), (text) => !verifyMac(key, message, text)));
    expect(verifyMac(key, message, mac.slice(0, -2))).to.equal(false);
  });
});

describe("node/replay-window", () => {
  it("accepts each number once, in any order within the window", () => {
    const order = fc.shuffledSubarray(
      Array.from({ length: 40 }, (_, i) => BigInt(i)),
      { minLength: 40 },
    );
    fc.assert(
      fc.property(order, (numbers) => {
        const window = createReplayWindow(64);
        for (const seq of numbers) expect(window.accept(seq), String(seq)).to.equal(true);
        for (const seq of numbers) expect(window.accept(seq), String(seq)).to.equal(false);
      }),
    );
  });

  it("agrees with a set that forgets nothing, for any sequence of numbers", () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -2n, max: 60n }), { maxLength: 200 }), (numbers) => {
        const window = createReplayWindow(16);
        const seen = new Set<bigint>();
        let highest = -1n;
        for (const seq of numbers) {
          const fresh = seq >= 0n && !seen.has(seq) && seq > highest - 16n;
          expect(window.accept(seq)).to.equal(fresh);
          if (!fresh) continue;
          seen.add(seq);
          if (seq > highest) highest = seq;
          expect(window.highest).to.equal(highest);
        }
      }),
    );
  });

  it("refuses what is further behind than the window, and numbers beyond 63 bits", () => {
    const window = createReplayWindow();
    expect(window.accept(5_000n)).to.equal(true);
    expect(window.accept(904n)).to.equal(false);
    expect(window.accept(905n)).to.equal(true);
    expect(window.accept(2n ** 64n - 1n)).to.equal(false);
    expect(() => createReplayWindow(0)).to.throw(RangeError);
  });
});
