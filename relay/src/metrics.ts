import { Counter, Gauge, Registry } from "prom-client";
import type { Outcome } from "./core/types.ts";

/** What a relay counts. Labels are closed sets: never a key, an id or a model's name from a request. */
export type RelayMetrics = {
  readonly contentType: string;
  read(): Promise<string>;
  onCommit(outcome: Outcome): void;
};

export type MetricsSources = {
  readonly inFlight: () => number;
  readonly offers: () => number;
  /** pUSD billed and not posted yet. */
  readonly unsettled: () => bigint;
};

export function createMetrics({ inFlight, offers, unsettled }: MetricsSources): RelayMetrics {
  const registry = new Registry();
  const registers = [registry];
  const outcomes = new Counter({
    ...{
      name: "aimo_serve_requests_total",
      help: "Requests that were held for, by how they ended.",
      registers,
    },
    labelNames: ["outcome"] as const,
  });
  const charged = new Counter({
    name: "aimo_serve_charged_pusd_total",
    help: "Charged, provisionally.",
    registers,
  });
  const tokens = new Counter({
    ...{ name: "aimo_serve_units_total", help: "Billed units.", registers },
    labelNames: ["slot"] as const,
  });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(read());
      },
    });
  gauge("aimo_serve_in_flight", "Requests in flight.", inFlight);
  gauge("aimo_gossip_offers", "Live offers.", offers);
  gauge("aimo_settle_unsettled_pusd", "Billed and not posted yet.", () => Number(unsettled()));
  return {
    contentType: registry.contentType,
    read: () => registry.metrics(),
    onCommit: (outcome) => {
      outcomes.inc({ outcome: outcome.kind === "usage" ? "billed" : outcome.reason });
      if (outcome.kind !== "usage") return;
      charged.inc(Number(outcome.charge));
      outcome.statement.units.forEach((count, slot) => tokens.inc({ slot: String(slot) }, count));
    },
  };
}
