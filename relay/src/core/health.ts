/** How providers have done lately, as this relay saw it. Time is given; wall-clock milliseconds. */

/** Source: Envoy's outlier detection. A provider this often in a row wrong rests. */
export const FAILURES_TO_EJECT = 5;
export const EJECTION_MS = 30_000;
/** Rests grow with each ejection in a row, up to this many times the first. */
const MAX_EJECTION_FACTOR = 10;
/** Far above the providers of one network; the oldest record goes first. */
const MAX_PROVIDERS = 4_096;

type Record_ = { failures: number; ejections: number; ejectedUntil: number };

export class ProviderHealth {
  readonly #records = new Map<number, Record_>();

  onSuccess(providerId: number): void {
    this.#records.delete(providerId);
  }

  onFailure(providerId: number, now: number): void {
    const record = this.#recordOf(providerId);
    record.failures++;
    if (record.failures < FAILURES_TO_EJECT) return;
    record.failures = 0;
    record.ejections = Math.min(record.ejections + 1, MAX_EJECTION_FACTOR);
    record.ejectedUntil = now + EJECTION_MS * record.ejections;
  }

  isEjected(providerId: number, now: number): boolean {
    return (this.#records.get(providerId)?.ejectedUntil ?? 0) > now;
  }

  #recordOf(providerId: number): Record_ {
    const known = this.#records.get(providerId);
    if (known) return known;
    const made = { failures: 0, ejections: 0, ejectedUntil: 0 };
    for (const oldest of this.#records.keys()) {
      if (this.#records.size < MAX_PROVIDERS) break;
      this.#records.delete(oldest);
    }
    this.#records.set(providerId, made);
    return made;
  }
}
