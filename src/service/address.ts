import { isIPv6 } from "node:net";

/**
 * What counts as one address: an IPv4 address, also where it comes as an IPv6 one, or the /64 network of an IPv6 address,
 * of which one host may have all. Anything else as it is.
 */
export function networkOf(peer: string): string {
  if (!peer.includes(":")) return peer;
  const address = peer.replace(/%.*$/, "");
  if (!isIPv6(address)) return peer;
  const [, ipv4] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  const [head = "", tail] = address.toLowerCase().split("::");
  const groups = head === "" ? [] : head.split(":");
  // What `::` leaves out are zeros; of the groups after it, those matter that belong to the first four of eight.
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const left = tail === undefined ? 0 : 8 - groups.length - after.length;
  const all = [...groups, ...Array<string>(Math.max(0, left)).fill("0"), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
