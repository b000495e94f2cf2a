import {
  chargeBound,
  costOf,
  formatUsd,
  MAX_RELAY_FEE_BPS,
  MAX_U32,
  MAX_U64,
  type Price,
  type Prices,
  packKinds,
  protocolFee,
  type Units,
} from "@aimo/protocol/units";
import { type Case, decimals } from "./case.ts";

type Input = {
  readonly name: string;
  readonly units: Units;
  readonly prices: Prices;
  readonly kinds: Price["kinds"];
  readonly relayFeeBps: number;
  readonly protocolFeeBps: number;
};

const TEXT: Price["kinds"] = ["token", "token", "token"];
const text = (
  name: string,
  units: Units,
  prices: Prices,
  relayFeeBps = 500,
  protocolFeeBps = 100,
): Input => ({
  name,
  units,
  prices,
  kinds: TEXT,
  relayFeeBps,
  protocolFeeBps,
});

const INPUTS: readonly Input[] = [
  text("nothing", [0, 0, 0], [150_000n, 75_000n, 600_000n]),
  text("one prompt token", [1, 0, 0], [150_000n, 75_000n, 600_000n]),
  text("one cached token", [0, 1, 0], [150_000n, 75_000n, 600_000n]),
  text("one completion token", [0, 0, 1], [150_000n, 75_000n, 600_000n]),
  text("a chat", [1_203, 512, 388], [150_000n, 75_000n, 600_000n]),
  text("a fee that rounds down", [1, 0, 0], [3n, 0n, 0n], 3_333 % (MAX_RELAY_FEE_BPS + 1), 9_999),
  text("a fee below one pUSD", [1, 0, 0], [1n, 0n, 0n], MAX_RELAY_FEE_BPS, 9_999),
  text("no fee", [7, 0, 11], [13n, 0n, 17n], 0, 0),
  text("the highest fee", [1_000_000, 0, 1_000_000], [999_999n, 0n, 1_000_001n], MAX_RELAY_FEE_BPS, 10_000),
  text("most units", [MAX_U32, MAX_U32, MAX_U32], [1n, 1n, 1n]),
  text("highest price", [1, 0, 0], [MAX_U64, MAX_U64, MAX_U64]),
  text("largest cost that fits", [MAX_U32, 1, 0], [2n ** 32n, 2n ** 32n - 1n, 0n]),
  text("one pUSD too many", [MAX_U32, 1, 0], [2n ** 32n, 2n ** 32n, 0n]),
  text("far too much", [MAX_U32, MAX_U32, MAX_U32], [MAX_U64, MAX_U64, MAX_U64]),
  {
    ...text("images", [0, 0, 4], [0n, 0n, 40_000_000_000n]),
    kinds: ["none", "none", "image"],
  },
  {
    ...text("seconds of audio", [61_500, 0, 0], [100_000n, 0n, 0n]),
    kinds: ["millisecond", "none", "none"],
  },
  {
    ...text("characters and a request", [1_024, 1, 0], [15_000_000n, 1_000_000_000n, 0n]),
    kinds: ["character", "request", "none"],
  },
];

/** Cost, the relay's bound and the protocol's fee on it; `fits` is false where a cost is no u64 and must be refused. */
export function unitCases(): Case[] {
  return INPUTS.map(({ name, units, prices, kinds, relayFeeBps, protocolFeeBps }) => {
    const sum = units.reduce((total, count, index) => total + BigInt(count) * (prices[index] ?? 0n), 0n);
    const fits = sum <= MAX_U64;
    const cost = fits ? costOf(units, prices) : 0n;
    const bound = chargeBound(cost, relayFeeBps);
    const [units0, units1, units2] = units;
    const [price0, price1, price2] = prices;
    return {
      name,
      fits,
      ...decimals({ units0, units1, units2, price0, price1, price2, kinds: packKinds(kinds) }),
      ...decimals({ cost, relayFeeBps, chargeBound: bound, protocolFeeBps }),
      protocolFee: String(protocolFee(bound, protocolFeeBps)),
      costUsd: formatUsd(cost),
    };
  });
}
