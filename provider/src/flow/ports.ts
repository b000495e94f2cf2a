import type { AimoError } from "@aimo/protocol/errors";
import type { Address, Hex } from "viem";
import type { RelayTotals, SignedGroup } from "../core/outstanding.ts";
import type { Route, ServedModel } from "../core/types.ts";
import type { Vendor } from "../core/vendors.ts";

/**
 * What the flow needs from the rooms around it. Each port is implemented by one room and passed in by `node.ts`.
 */

/** chain/: a registered relay. `bonded`: its bond reaches the minimum now. */
export type RelayOnChain = {
  readonly relayId: number;
  readonly signer: Address;
  readonly active: boolean;
  readonly bonded: boolean;
};
export interface RelayDirectory {
  /** Cached for a short time; undefined when no such relay is registered. Throws `chain_unavailable`. */
  relayOf(relayId: number): Promise<RelayOnChain | undefined>;
}

/** chain/: models with the prices that the chain has now. Synchronous: refreshed in the background. */
export interface Catalogue {
  /** By registry id. */
  byId(modelId: number): ServedModel | undefined;
  bySlug(slug: string): ServedModel | undefined;
  all(): readonly ServedModel[];
}

/** Protocol time: wall clock less the deployment's pauses, whole seconds. */
export type ProtocolClock = () => number;

/** store/: what must outlive the process. */
export interface Journal {
  load(): Promise<{ readonly groups: readonly SignedGroup[]; readonly totals: readonly RelayTotals[] }>;
  /** Durable when it resolves. */
  saveGroup(group: SignedGroup, totals: RelayTotals): Promise<void>;
  /** Takes out groups that need no re-sending, and keeps the new totals. Durable when it resolves. */
  settleGroups(groups: readonly SignedGroup[], totals: RelayTotals): Promise<void>;
  close(): Promise<void>;
}

/** upstream/: one call to the inference server. Its callbacks never run before `call` has returned. */
export interface Upstream {
  readonly vendor: Vendor;
  call(route: Route, body: string, streamed: boolean, handler: UpstreamHandler): UpstreamCall;
  close(): Promise<void>;
}
export type UpstreamHandler = {
  onHead(status: number, contentType: string, retryAfterSeconds: number | undefined): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  /** Connection refused, reset or too slow. Nothing follows. */
  onError(error: AimoError): void;
};
export interface UpstreamCall {
  pause(): void;
  resume(): void;
  /** Closes the connection, so that the server stops working. No callback follows. */
  abort(): void;
}

/** http/: the answer to one request of a relay. */
export interface Reply {
  json(status: number, body: Uint8Array, headers: Readonly<Record<string, string>>): void;
  error(error: AimoError): void;
  /** False when the relay reads too slowly; `onDrain` follows. The first write sends the head of a stream. */
  write(text: string): boolean;
  end(): void;
  /** Breaks the connection: the relay sees a truncated answer. */
  cut(): void;
  /** MAC of this request's answer over a JSON text. */
  macOf(text: string): Hex;
  onDrain(listener: () => void): void;
  /** Once. `whole`: everything was handed to the network; otherwise the relay hung up. */
  onClose(listener: (whole: boolean) => void): void;
}

/** The node's log, as far as the flow writes to it: an object first, then a short past-tense sentence. */
export type FlowLog = Readonly<
  Record<"debug" | "info" | "warn" | "error", (about: object, message: string) => void>
>;

/** Tokens of a text, by a tokenizer that is nobody's own. */
export type CountTokens = (text: string) => number;
