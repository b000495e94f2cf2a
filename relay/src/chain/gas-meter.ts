/** Gas spent on strangers' channels, by UTC day. The caller keeps the record over restarts. */
export type GasRecord = { readonly day: string; readonly wei: string };

export type GasMeterParameters = {
  readonly limit: bigint;
  readonly stored: GasRecord | undefined;
  readonly save: (record: GasRecord) => void;
  readonly now: () => number;
};

export function createGasMeter({ limit, stored, save, now }: GasMeterParameters) {
  let record: GasRecord = stored ?? { day: "", wei: "0" };
  const today = () => new Date(now()).toISOString().slice(0, 10);
  const spentToday = () => (record.day === today() ? BigInt(record.wei) : 0n);
  return {
    limit,
    spentToday,
    add(wei: bigint) {
      record = { day: today(), wei: `${spentToday() + wei}` };
      save(record);
    },
  };
}
