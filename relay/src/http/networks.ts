import { BlockList, isIP } from "node:net";
import { AimoError } from "@aimo/protocol/errors";

/** Networks that addresses are looked up in. */

const BITS = { 4: 32, 6: 128 } as const;

/** Reads addresses and networks (CIDR). Throws `invalid_request` naming the one that is neither. */
export function networksOf(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = "", prefix] = text.split("/");
    const version = isIP(address) as 0 | 4 | 6;
    const bits = version === 0 ? 0 : BITS[version];
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (version === 0 || length < 0 || length > bits)
      throw new AimoError("invalid_request", {
        message: `allowed_ips: ${text} is no address and no network like 10.0.0.0/8 or 2001:db8::/32.`,
        param: "allowed_ips",
      });
    list.addSubnet(address, length, version === 4 ? "ipv4" : "ipv6");
  }
  return list;
}

/** IPv4 addresses that arrive on an IPv6 socket carry this. */
const MAPPED = /^::ffff:(?=\d+\.)/i;

export function isIn(networks: BlockList, ip: string): boolean {
  const address = ip.replace(MAPPED, "");
  return networks.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
