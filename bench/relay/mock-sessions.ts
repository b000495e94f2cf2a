import type { KeyObject } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { sign } from "@aimo/node/fast-crypto";
import { createHandshake, createSessionSecret, macOf, sha256, verifyMac } from "@aimo/node/session-crypto";
import { toHex } from "@aimo/protocol/bytes";
import { buildGroup, groupDigest } from "@aimo/protocol/groups";
import { textResponseHash, type UsageReceipt, usageDigest } from "@aimo/protocol/receipts";
import { receiptToJson, SESSION_PATH, type SessionEvent, type SessionOffer } from "@aimo/protocol/session";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { costOf, type Units } from "@aimo/protocol/units";
import type { Hex } from "viem";
import { PROMPT_TOKENS } from "./mock.ts";
import { PRICES, type World } from "./world.ts";

type Session = {
  readonly id: string;
  readonly macKey: KeyObject;
  seq: number;
  events: ServerResponse | undefined;
};

/** The chain, the relay, and the provider that is played. */
export type MockIdentity = Pick<World, "deployment" | "relayId" | "modelId" | "providerId" | "providerKey">;

/** One inference request whose MAC is right. */
export type Call = {
  /** The id that the relay wants to read in the answer. */
  readonly id: string;
  /** The most completion tokens that the relay pays for. */
  readonly max: number;
  /** States what was served: the statement as JSON and its MAC. Its receipt goes into the next group. */
  state(text: string, completionTokens: number): { readonly statement: string; readonly mac: Hex };
};

type SignedRequest = {
  readonly session: string;
  readonly seq: bigint;
  readonly mac: string;
  readonly path: string;
  readonly body: Uint8Array;
};

const GROUP_MS = 100;
const GROUP_SIZE = 256;
const PING_MS = 5_000;

/** A provider's side of sessions as the protocol describes it, without books: nobody gets paid here. */
export class MockSessions {
  readonly #world: MockIdentity;
  readonly #separator: Uint8Array;
  readonly #sessions = new Map<string, Session>();
  readonly #receipts: UsageReceipt[] = [];
  readonly #digests: Uint8Array[] = [];
  readonly #timers: readonly NodeJS.Timeout[];
  /** How many were signed. */
  groups = 0;

  constructor(world: MockIdentity) {
    const { chainId, contracts } = world.deployment;
    this.#world = world;
    this.#separator = domainSeparator({ chainId, verifyingContract: contracts.settlement });
    this.#timers = [
      setInterval(() => this.#closeGroup(), GROUP_MS),
      setInterval(() => this.#emit({ type: "ping" }), PING_MS),
    ];
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Answers what belongs to the session itself; false when it is an inference request. */
  handle(request: IncomingMessage, body: Buffer, response: ServerResponse): boolean {
    const path = request.url ?? "";
    if (!path.startsWith(SESSION_PATH)) return false;
    if (path === SESSION_PATH) this.#offer(JSON.parse(body.toString()), response);
    else if (path.endsWith("/events")) this.#listen(path, response);
    else response.writeHead(204).end();
    return true;
  }

  knows(id: string): boolean {
    return this.#sessions.has(id);
  }

  /** Undefined when the request's MAC is not right. */
  open({ headers, url: path = "" }: IncomingMessage, body: Buffer): Call | undefined {
    const seq = BigInt(String(headers["aimo-seq"]));
    return this.check({
      ...{ session: String(headers["aimo-session"]), seq, mac: String(headers["aimo-mac"]), path, body },
    });
  }

  /** As `open`, for a request that came by another way. */
  check({ session: id, seq, mac, path, body }: SignedRequest): Call | undefined {
    const session = this.#sessions.get(id);
    if (!session) return undefined;
    const signed = { seq, method: "POST", path };
    if (!verifyMac(session.macKey, { ...signed, direction: 0, bodyHash: sha256(body) }, mac))
      return undefined;
    const query = new URLSearchParams(path.slice(path.indexOf("?")));
    return {
      id: query.get("id") ?? "",
      max: Number(query.get("max")),
      state: (text, tokens) => {
        const receipt = this.#receiptOf(query, [PROMPT_TOKENS, 0, tokens], textResponseHash([{ text }]));
        const digest = usageDigest(this.#separator, receipt);
        const { issuedAt, units, cost, responseHash } = receipt;
        const statement = JSON.stringify({
          ...{ attempt: query.get("attempt"), issuedAt, units, cost: cost.toString(), responseHash },
          receiptHash: toHex(digest),
        });
        this.#receipts.push(receipt);
        this.#digests.push(digest);
        if (this.#receipts.length >= GROUP_SIZE) this.#closeGroup();
        const about = { ...signed, direction: 1 as const, bodyHash: sha256(statement) };
        return { statement, mac: macOf(session.macKey, about) };
      },
    };
  }

  #receiptOf(query: URLSearchParams, units: Units, responseHash: Hex): UsageReceipt {
    const { relayId, providerId, modelId } = this.#world;
    return {
      ...{ relayId, providerId, modelId, priceVersion: 1, issuedAt: Math.floor(Date.now() / 1_000), units },
      ...{ cost: costOf(units, PRICES), requestHash: query.get("request") as Hex, responseHash },
    };
  }

  #offer(offer: SessionOffer, response: ServerResponse): void {
    const { deployment, relayId, providerId, providerKey } = this.#world;
    const secret = createSessionSecret();
    const { signature, macKey } = createHandshake({
      role: "provider",
      transcript: {
        ...{ chainId: deployment.chainId, relayId, providerId },
        ...{ relayNonce: offer.nonce, relayEphemeral: offer.ephemeral },
        ...{ providerNonce: secret.nonce, providerEphemeral: secret.ephemeral },
      },
      ...{ privateKey: providerKey, secret },
    });
    const sessionId = crypto.randomUUID();
    this.#sessions.set(sessionId, { id: sessionId, macKey, seq: 1, events: undefined });
    const { nonce, ephemeral } = secret;
    response.writeHead(200).end(JSON.stringify({ sessionId, nonce, ephemeral, signature }));
  }

  #listen(path: string, response: ServerResponse): void {
    const session = this.#sessions.get(path.split("/").at(-2) ?? "");
    if (!session) return void response.writeHead(401).end("{}");
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    session.events = response;
    this.#emit({ type: "ready" });
  }

  /** A relay of several processes listens in one of them only, and perhaps not yet. */
  #closeGroup(): void {
    if (![...this.#sessions.values()].some(({ events }) => events)) return;
    const receipts = this.#receipts.splice(0, GROUP_SIZE);
    const digests = this.#digests.splice(0, GROUP_SIZE);
    if (receipts.length === 0) return;
    this.groups++;
    const { relayId, providerId, providerKey } = this.#world;
    const closedAt = Math.floor(Date.now() / 1_000);
    const group = { relayId, providerId, count: receipts.length, closedAt, root: buildGroup(digests).root };
    const signature = sign(groupDigest(this.#separator, group), providerKey);
    this.#emit({ type: "group", group, signature, receipts: receipts.map(receiptToJson) });
  }

  #emit(event: SessionEvent): void {
    for (const session of this.#sessions.values()) {
      if (!session.events) continue;
      const seq = session.seq++;
      const text = JSON.stringify(event);
      const path = `${SESSION_PATH}/${session.id}/events`;
      const about = { direction: 1 as const, seq: BigInt(seq), method: "GET", path, bodyHash: sha256(text) };
      session.events.write(`{"seq":${seq},"event":${text},"mac":"${macOf(session.macKey, about)}"}\n`);
    }
  }
}
